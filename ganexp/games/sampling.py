"""Draws samples from a generator. They depend on its weights and inputs only, not on the RNG state."""

from collections import defaultdict
from copy import deepcopy

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganexp.data.source import SampleCritic, Source
from ganexp.games.game import Game
from ganexp.games.request import Inputs, Request
from ganexp.system.rng import fork_rng

_STATISTICS_LATENTS, _STATISTICS_BATCH = 1000, 100
"""Number of latents that batch norm's statistics are computed from, and their batch size."""


@torch.no_grad()
def generate(generator: nn.Module, inputs: Inputs, batch_size: int, device: torch.device) -> np.ndarray:
    """Samples [N, ...] float32 for N inputs, in batches of ``batch_size``, in evaluation mode."""
    modes = [(module, module.training) for module in generator.modules()]
    generator.eval()
    batches_of_inputs = zip(*(part.split(batch_size) for part in inputs.args), strict=True)
    with fork_rng(device):
        torch.manual_seed(0)  # for generators that draw noise of their own
        batches = [
            generator(*(part.to(device) for part in batch)).float().cpu().numpy() for batch in batches_of_inputs
        ]
    for module, training in modes:
        module.training = training
    return np.concatenate(batches)


def sample_critic(game: Game, device: torch.device) -> SampleCritic:
    """``Game.judge`` in evaluation mode, and the gradients of the logits; changes nothing of the run."""

    def judged(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        modes = [(module, module.training) for module in game.modules()]
        game.eval()
        x = torch.from_numpy(samples).to(device).requires_grad_()
        try:
            with fork_rng(device), torch.enable_grad():
                logits = game.judge(x)
                if logits is None:
                    return None
                (gradient,) = torch.autograd.grad(logits.sum(), x)
        finally:
            for module, training in modes:
                module.training = training
        return logits.detach().float().cpu().numpy(), gradient.float().cpu().numpy()

    return judged


def draw_grid(
    source: Source, inputs: Inputs, samples: np.ndarray, columns: int, critic: SampleCritic | None = None
) -> Image.Image:
    """Draws samples as a grid, each between its source and its target, where the inputs have these.

    A source that all samples of a row share is drawn once, at the beginning of the row. What ``critic`` makes
    of samples is drawn too where the data's kind of sample can show it.
    """
    if inputs.source is None and inputs.target is None:
        if critic is not None:
            return source.draw_judged(samples, columns, critic)
        return source.draw(samples, columns)
    if inputs.target is None and inputs.source is not None and _one_source_in_each_row(inputs.source, columns):
        shown = inputs.source.numpy()
        starts = range(0, len(samples), columns)
        rows = [np.concatenate([shown[at : at + 1], samples[at : at + columns]]) for at in starts]
        return source.draw(np.concatenate(rows), columns + 1)
    before = None if inputs.source is None else inputs.source.numpy()
    after = None if inputs.target is None else inputs.target.numpy()
    return source.draw_beside(before, samples, after, columns)


def _one_source_in_each_row(sources: Tensor, columns: int) -> bool:
    rows = sources.split(columns)
    return columns > 1 and len(sources) >= columns and all(bool((row == row[:1]).all()) for row in rows)


def recompute_batch_norm(game: Game, generator: nn.Module, device: torch.device) -> nn.Module:
    """A copy of an averaged generator whose batch norm statistics are computed with the averaged weights.

    The running statistics of training belong to the live weights; with them, FID on MNIST was 0.6 to 2.9 %
    higher. The new statistics are always computed from the same latents. The generator itself is not changed.
    It is returned as it is if it has no batch norm, or if it takes real samples or labels: a checkpoint does
    not hold their distribution, and with it FID of a conditional generator on the digits rose from 5.2 to 7.4.
    """
    takes_only_noise = (
        game.prior is not None and not game.needs_reference and not getattr(generator, "classes", 0)
    )
    if not takes_only_noise or not _batch_norms(generator):
        return generator
    inputs = game.inputs(Request(_STATISTICS_LATENTS), torch.Generator().manual_seed(0))
    copy = deepcopy(generator)
    batch_statistics: dict[nn.Module, list[tuple[Tensor, Tensor]]] = defaultdict(list)

    def normalise_by_batch(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        (x,) = arguments
        variance, mean = torch.var_mean(x.float(), [0, *range(2, x.dim())])
        _set_running_statistics(layer, mean, variance)
        batch_statistics[layer].append((mean, variance))

    hooks = [layer.register_forward_pre_hook(normalise_by_batch) for layer in _batch_norms(copy)]
    generate(copy, inputs, _STATISTICS_BATCH, device)
    for hook in hooks:
        hook.remove()
    for layer, pairs in batch_statistics.items():
        means, variances = zip(*pairs, strict=True)
        _set_running_statistics(layer, torch.stack(means).mean(0), torch.stack(variances).mean(0))
    return copy


def _batch_norms(net: nn.Module) -> list[_BatchNorm]:
    return [module for module in net.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def _set_running_statistics(layer: nn.Module, mean: Tensor, variance: Tensor) -> None:
    layer.get_buffer("running_mean").copy_(mean)
    layer.get_buffer("running_var").copy_(variance)
