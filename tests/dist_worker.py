"""One of two processes that train small games in float64, and one that trains alone: how far apart are they?

    python dist_worker.py <folder> <rank>

reads ``cases.yaml``, and writes the largest differences of each case. Both draw the random numbers of the whole
batch; a process takes its part of them.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.distributed import FileStore, PrefixStore  # type: ignore[attr-defined]
from torch.optim import SGD

from ganexp.data.batches import Batch
from ganexp.distributed import collectives
from ganexp.games.game import Game, StepProgress
from ganexp.nets.sync_batch_norm import convert_sync_batch_norm
from ganexp.train import player_step
from ganexp.training.build import build_game
from ganexp.training.meter import Meter
from ganexp.training.precision import Precision

WORLD = 2
BATCH = 8
STEPS = 5
CPU = torch.device("cpu")


@contextmanager
def numbers_of_the_whole_batch(seed: int) -> Iterator[None]:
    """Whatever is drawn for N samples here is this process's part of what is drawn for all."""
    rng = torch.Generator().manual_seed(seed)
    real: dict[str, Any] = {"rand": torch.rand, "randn": torch.randn, "randint": torch.randint}

    def part(name: str, *shape: int, **settings: Any) -> Tensor:
        whole: Tensor = real[name](
            size=(collectives.world_size() * shape[0], *shape[1:]), generator=rng, **settings
        )
        return whole[collectives.rank() * shape[0] : (collectives.rank() + 1) * shape[0]]

    with (
        patch("torch.rand", lambda *shape, **where: part("rand", *shape)),
        patch("torch.randn", lambda *shape, **where: part("randn", *shape)),
        patch("torch.randint", lambda high, shape, **where: part("randint", *shape, high=high)),
        patch("torch.rand_like", lambda like: part("rand", *like.shape)),
    ):
        yield


def game_of(cfg: DictConfig) -> Game:
    torch.manual_seed(7)
    game = build_game(cfg)
    game.prepare_training()
    return (
        convert_sync_batch_norm(game) if collectives.world_size() > 1 and cfg.device.sync_batch_norm else game
    )


def parts_of_batches(cfg: DictConfig) -> list[Batch]:
    data = torch.Generator().manual_seed(13)
    x = 2 * torch.rand(STEPS, BATCH, *cfg.data.shape, generator=data) - 1
    y = torch.randint(cfg.data.classes, (STEPS, BATCH), generator=data)
    part = slice(
        collectives.rank() * BATCH // collectives.world_size(),
        (collectives.rank() + 1) * BATCH // collectives.world_size(),
    )
    sources = x.flip(0)  # other images, for games that are given some to make sources of
    return [Batch(*parts) for parts in zip(x[:, part], y[:, part], sources[:, part], strict=True)]


def trained(cfg: DictConfig) -> dict[str, Tensor]:
    """Gradients of every move, weights and buffers at the end, and what the meter says."""
    found: dict[str, Tensor] = {}
    meter = Meter()
    batches, game = parts_of_batches(cfg), game_of(cfg)  # initial weights are whole: they are drawn before
    with numbers_of_the_whole_batch(11):
        optimisers = {name: SGD(player.net.parameters(), 0.01) for name, player in game.players.items()}
        for step, batch in enumerate(batches):
            plan = game.begin_step(StepProgress(step, step * BATCH, step / STEPS))
            for turn, name in enumerate(plan.players):
                meter.add(name, player_step(game, name, optimisers, batch, Precision("fp32", CPU)))
                for key, parameter in game.players[name].net.named_parameters():
                    if parameter.grad is not None:
                        found[f"gradient {step} {turn} {name}.{key}"] = parameter.grad.clone()
    weights = {f"weight {key}": value.clone() for key, value in game.state_dict().items()}
    means = {f"meter {key}": torch.tensor(value) for key, value in meter.means().items()}
    return found | weights | means


def apart(alone: dict[str, Tensor], together: dict[str, Tensor]) -> dict[str, float]:
    """The largest difference of each kind."""
    assert alone.keys() == together.keys()
    largest: dict[str, float] = {}
    for key, value in alone.items():
        kind = key.split()[0]
        difference = float((value.double() - together[key].double()).abs().max())
        largest[kind] = max(largest.get(kind, 0.0), difference)
    return largest


def main() -> None:
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    cases = OmegaConf.load(folder / "cases.yaml")
    alone = {name: trained(cfg) for name, cfg in cases.items()}
    store = FileStore(str(folder / "store"), WORLD)
    with collectives.process_group(
        collectives.ProcessInfo(rank, WORLD, rank, WORLD), PrefixStore("group", store)
    ):
        found = {str(name): apart(alone[name], trained(cfg)) for name, cfg in cases.items()}
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
