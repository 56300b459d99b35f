"""Samples from a generator: the same inputs, the same bytes, whatever training does meanwhile."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from ganexp.data.source import Source
from ganexp.device import random_numbers_left_alone
from ganexp.games.game import Inputs


@torch.no_grad()
def generate(generator: nn.Module, inputs: Inputs, batch_size: int, device: torch.device) -> np.ndarray:
    """Samples [N, ...] float32 for N inputs, made ``batch_size`` at a time, in evaluation mode."""
    modes = [(module, module.training) for module in generator.modules()]
    generator.eval()
    pieces = zip(*(part.split(batch_size) for part in inputs.args), strict=True)
    with random_numbers_left_alone(device):
        torch.manual_seed(0)  # for generators that draw noise of their own
        made = [generator(*(part.to(device) for part in piece)).float().cpu().numpy() for piece in pieces]
    for module, training in modes:
        module.training = training
    return np.concatenate(made)


def draw(source: Source, inputs: Inputs, samples: np.ndarray, columns: int) -> Image.Image:
    """Samples as a grid, each beside what it was made from and what it should be, where the inputs have
    these.
    """
    if inputs.source is None and inputs.target is None:
        return source.draw(samples, columns)
    before = None if inputs.source is None else inputs.source.numpy()
    behind = None if inputs.target is None else inputs.target.numpy()
    return source.draw_beside(before, samples, behind, columns)
