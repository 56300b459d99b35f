"""Opens the latent space of a trained generator: z of its prior, or w of a generator with styles.

run = open_run(cfg)
loaded = run.generator(cfg.checkpoint)
space = space_of(loaded.game, loaded.net, cfg.latents, cfg.truncation)
points = space.draw(8, torch.Generator().manual_seed(0))
images = space.images(points)
"""

from torch import nn

from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.translation import Translation
from ganexp.latents.latent_space import LatentSpace, SpaceName, ZSpace
from ganexp.latents.style_space import WSpace
from ganexp.latents.truncation import set_truncation
from ganexp.penalties import as_styled


def space_of(
    game: Game, net: nn.Module, which: SpaceName | None = None, truncation: float | None = None
) -> LatentSpace:
    """The latent space of a game's trained generator ``net``, which is put into evaluation mode and frozen.

    ``which``: None: w where there are styles, else z. ``truncation``: see ``truncation.py``; it holds for all
    points that are drawn. Raises UserError where the generator has no such space, or cannot be truncated.
    """
    if isinstance(game, Translation):
        raise UserError(
            f"run: {type(game).__name__} makes images from images and has no latents; ganexp translate applies "
            "it to files"
        )
    if game.prior is None:
        raise UserError(f"run: {type(game).__name__} has no latents; take a run of game=gan")
    net.eval().requires_grad_(False)
    styled = as_styled(net)
    if which == "w" and styled is None:
        raise UserError("latents=w: this run's generator has no styles: set latents=z, or train arch=stylegan2")
    set_truncation(game, net, truncation)
    z = ZSpace(game, game.prior, net, truncation)
    return z if which == "z" or styled is None else WSpace(z, styled)  # type: ignore[arg-type]
