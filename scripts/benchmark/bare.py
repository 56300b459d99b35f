"""A minimal training step with ganexp's networks and optimisations: a lower bound of the time per step.

It reuses one batch and has no loader, log, EMA, gradient norms or checkpoints. The difference between ganexp
and this is ganexp's own overhead.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.textbook import Pair
from benchmark.workloads import BATCH
from ganexp.training.precision import Precision

Turns = tuple[Callable[[], None], Callable[[], None]]
"""The critic's turn and the generator's."""


class Bare:
    """What both games share: generator, critic and fused optimisers; the critic can be frozen."""

    def __init__(
        self, pair: Pair, real: Tensor, precision: Precision, lr: float, betas: tuple[float, float]
    ) -> None:
        self.g, self.d = pair
        self.real, self.autocast = real, precision.autocast
        self.last_fake = real  # the critic's last batch of fakes
        self.d_weights, capturable = list(self.d.parameters()), real.is_cuda
        self.g_optimiser, self.d_optimiser = (
            torch.optim.Adam(net.parameters(), lr=lr, betas=betas, fused=True, capturable=capturable)
            for net in pair
        )

    def fake(self) -> Tensor:
        samples: Tensor = self.g(torch.randn(BATCH, self.g.latent, device=self.real.device))
        return samples

    def logits_of_both(self, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of real and fake, in one forward pass where the critic treats samples independently."""
        if not self.d.samplewise:
            return self.d(self.real), self.d(fake)
        real_logits, fake_logits = self.d(torch.cat([self.real, fake.to(self.real.dtype)])).chunk(2)
        return real_logits, fake_logits

    def freeze(self, frozen: bool) -> None:
        for weight in self.d_weights:
            weight.requires_grad_(not frozen)


def gan(bare: Bare) -> Turns:
    """The non-saturating game; both players use the same fakes, as in the textbook's loop."""

    def critic() -> None:
        bare.freeze(False)
        with bare.autocast():
            bare.last_fake = bare.fake()
            real_logits, fake_logits = bare.logits_of_both(bare.last_fake.detach())
        bare.d_optimiser.zero_grad()
        loss = (
            functional.softplus(-real_logits.float()).mean() + functional.softplus(fake_logits.float()).mean()
        )
        torch.autograd.backward(loss)
        bare.d_optimiser.step()

    def generator() -> None:
        bare.freeze(True)
        bare.g_optimiser.zero_grad()
        with bare.autocast():
            logits = bare.d(bare.last_fake)
        torch.autograd.backward(functional.softplus(-logits.float()).mean())
        bare.g_optimiser.step()

    return critic, generator


def wgan_gp(bare: Bare) -> Turns:
    """Wasserstein with gradient penalty."""

    def critic() -> None:
        bare.freeze(False)
        with bare.autocast():
            with torch.no_grad():
                fake = bare.fake()
            real_logits, fake_logits = bare.logits_of_both(fake)
            loss = fake_logits.float().mean() - real_logits.float().mean()
        between = torch.lerp(fake.float(), bare.real, torch.rand(BATCH, 1, 1, 1, device=fake.device))
        between.requires_grad_(True)
        (gradient,) = torch.autograd.grad(bare.d(between).sum(), between, create_graph=True)
        norms = (gradient.flatten(1).square().sum(1) + torch.finfo(torch.float32).tiny).sqrt()
        bare.d_optimiser.zero_grad()
        torch.autograd.backward(loss + 10 * (norms - 1).square().mean())
        bare.d_optimiser.step()

    def generator() -> None:
        bare.freeze(True)
        bare.g_optimiser.zero_grad()
        with bare.autocast():
            logits = bare.d(bare.fake())
        torch.autograd.backward(-logits.float().mean())
        bare.g_optimiser.step()

    return critic, generator


def captured(turn: Callable[[], None]) -> Callable[[], None]:
    """The turn captured as a CUDA graph, which replaces its separate kernel launches."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # warm-up: allocations of the first calls must not be captured
            turn()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        turn()
    return graph.replay
