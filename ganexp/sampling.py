"""Samples from a generator: the same inputs, the same bytes, whatever training does meanwhile."""

import numpy as np
import torch
from torch import nn

from ganexp.device import random_numbers_left_alone
from ganexp.games.game import Inputs


@torch.no_grad()
def generate(generator: nn.Module, inputs: Inputs, batch_size: int, device: torch.device) -> np.ndarray:
    """Samples [N, ...] float32 for N inputs, made ``batch_size`` at a time, in evaluation mode."""
    training = generator.training
    generator.eval()
    pieces = zip(*(part.split(batch_size) for part in inputs), strict=True)
    with random_numbers_left_alone(device):
        made = [generator(*(part.to(device) for part in piece)).float().cpu().numpy() for piece in pieces]
    generator.train(training)
    return np.concatenate(made)
