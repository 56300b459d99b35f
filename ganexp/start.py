"""The first weights of a run that begins with another run's networks (``start_from``).

They are read once, before the first step, and stored in the new run's first checkpoint: the other folder may
go.
"""

from pathlib import Path

from omegaconf import DictConfig

from ganexp.errors import UserError, first_line
from ganexp.state import State
from ganexp.vault import chosen


def load_start(state: State, cfg: DictConfig) -> str:
    """Gives the networks that both runs have the other run's last weights; returns a line that says so.

    ``generator`` takes the averaged ones, unless ``start_weights=live``; the others have live ones only. Raises
    UserError where they do not fit.
    """
    found = chosen(Path(cfg.start_from) / "checkpoints", "last")
    names = []
    for name, net in state.game.parts.nets.items():
        own = {key: value for key, value in found.content["game"].items() if key.startswith(f"{name}.")}
        weights = {key.removeprefix(f"{name}."): value for key, value in own.items()}
        if name == "generator" and weights and cfg.start_weights == "averaged":
            weights = found.content["ema"]
        if not weights:
            continue
        try:
            net.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(
                f"start_from={cfg.start_from}: its {name} does not fit: {first_line(error)}"
            ) from None
        names.append(name)
    state.ema.restart(state.game.generator)
    images = found.content["progress"]["images"]
    return f"{', '.join(names)} from {found.file}, {images:,} images"
