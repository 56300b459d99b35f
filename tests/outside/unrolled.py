"""Unrolled GAN: Metz et al. 2017, equations 7 to 10.

    theta_D^0 = theta_D,   theta_D^(k + 1) = theta_D^k - rate * grad L_d(theta_D^k)
    the generator minimises  L_g(theta_D^K)  through all of these steps

The steps are made on copies; the discriminator itself moves in its own turn alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from ganexp.config.ranges import Positive, Whole
from ganexp.data.batches import Batch
from ganexp.distributed import collectives
from ganexp.games.game import Turn
from ganexp.games.gan import GAN
from ganexp.games.turns import generator_turn
from ganexp.penalties import Critic
from ganexp.system.float32 import at_least_float32


@dataclass(eq=False, repr=False, kw_only=True)
class Unrolled(GAN):
    """``unrolled`` steps of gradient descent with ``inner_rate``; none of them is the plain game."""

    unrolled: Whole
    inner_rate: Positive

    def generator_turn(self, batch: Batch) -> Turn:
        if not self.unrolled:
            return super().generator_turn(batch)
        real, (fake, inputs) = self.real(batch), self.fake(batch)
        critic = self.after_inner_steps(real, fake)
        with torch.no_grad():
            real_logits = critic(real)
        call = self.player_call(critic, batch, real, fake, real_logits, critic(fake), inputs)
        return generator_turn(self.loss, self.penalties_of("g"), call)

    def after_inner_steps(self, real: Tensor, fake: Tensor) -> Critic:
        """The discriminator with weights that depend on the fakes."""
        weights = {
            name: weight.detach().clone().requires_grad_()
            for name, weight in self.discriminator.named_parameters()
        }
        buffers = {name: buffer.clone() for name, buffer in self.discriminator.named_buffers()}

        def critic(samples: Tensor) -> Tensor:
            (shown,) = self.augment(samples)
            logits: Tensor = functional_call(self.discriminator, weights | buffers, (shown,))
            return at_least_float32(logits)

        for _ in range(self.unrolled):
            loss = self.loss.d(real=critic(real), fake=critic(fake))
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            steps = _over_all_processes(gradients)
            weights = {
                name: weight - self.inner_rate * step
                for (name, weight), step in zip(weights.items(), steps, strict=True)
            }
        return critic


def _over_all_processes(gradients: tuple[Tensor, ...]) -> list[Tensor]:
    """Their means, through which gradients flow on."""
    flat = collectives.all_gather_rows(torch.cat([gradient.flatten() for gradient in gradients])).mean(0)
    parts = flat.split([gradient.numel() for gradient in gradients])
    return [part.view(gradient.shape) for part, gradient in zip(parts, gradients, strict=True)]
