"""The two turns that most games share. A game calls them and adds its own losses with ``|``.

critic_turn        adversarial loss of real and fake samples; the critic's penalties
generator_turn     adversarial loss of fakes; the generator's penalties
"""

import torch
from torch import Tensor, nn

from ganexp.games.game import Turn
from ganexp.losses import Loss
from ganexp.penalties import Critic, Penalty, PlayerCall
from ganexp.system.float32 import at_least_float32


def critic_turn(
    loss: Loss, penalties: dict[str, Penalty], call: PlayerCall, augment: nn.Module | None = None
) -> Turn:
    """The discriminator's losses: the adversarial loss and each of its penalties.

    The real logits are passed to ``augment.observe`` (ADA adapts to them).
    """
    assert call.real_logits is not None
    losses = {"adversarial": loss.d(real=call.real_logits, fake=call.fake_logits)}
    for name, penalty in penalties.items():
        losses[name] = penalty(call)
    real_logits, fake_logits = call.real_logits.detach(), call.fake_logits.detach()
    if augment is not None:
        augment.observe(real_logits)  # type: ignore[operator]
    logs = {"D_x": loss.output(real_logits).mean(), "D_G_z": loss.output(fake_logits).mean()}
    return Turn(losses, logs)


def generator_turn(loss: Loss, penalties: dict[str, Penalty], call: PlayerCall) -> Turn:
    """The generator's losses: the adversarial loss and each of its penalties."""
    losses = {"adversarial": loss.g(real=call.real_logits, fake=call.fake_logits)}
    for name, penalty in penalties.items():
        losses[name] = penalty(call)
    return Turn(losses, {"D_G_z": loss.output(call.fake_logits.detach()).mean()})


def critic_of(discriminate: Critic, augment: nn.Module | None) -> Critic:
    """A critic that answers to samples as ``augment`` shows them, if there is one, in float32 at least."""

    def critic(samples: Tensor) -> Tensor:
        (shown,) = (samples,) if augment is None else augment(samples)
        return at_least_float32(discriminate(shown))

    return critic


@torch.no_grad()
def clip_weights(net: nn.Module, limit: float) -> None:
    """w <- clip(w, -limit, limit): Arjovsky et al. 2017, Algorithm 1."""
    for parameter in net.parameters():
        parameter.clamp_(-limit, limit)


def real_and_fake_logits(
    critic: Critic, real: Tensor, fake: Tensor, *, samplewise: bool
) -> tuple[Tensor, Tensor]:
    """The critic's answers to real and to fake samples: their logits, or rows that begin with these.

    ``samplewise``: each logit depends on its own sample only, so one forward pass, which is faster, is enough.
    """
    if samplewise:
        real_logits, fake_logits = critic(torch.cat([real, fake.to(real.dtype)])).chunk(2)
        return real_logits, fake_logits
    return critic(real), critic(fake)


@torch.no_grad()
def real_logits_if_needed(loss: Loss, critic: Critic, real: Tensor) -> Tensor | None:
    """For a generator's turn: the answer to real samples, without a graph, if the loss uses it; else None."""
    return critic(real) if loss.needs_real else None
