"""Every loss in every game: the algorithm box is kept, one player moves at a time, labels matter."""

from pathlib import Path
from typing import cast

import pytest
import torch
from conftest import OF_GAME, SEVERAL_CRITICS, WITHOUT_LOSS, composed
from omegaconf import OmegaConf
from torch import nn

from ganexp.config.targets import conf_folder
from ganexp.data.batches import Batch
from ganexp.errors import UserError
from ganexp.games.game import Game, StepProgress
from ganexp.games.gan import GAN
from ganexp.games.pacgan import pack
from ganexp.games.request import Request
from ganexp.nets.layers import DiscriminatorBase
from ganexp.penalties import Penalty, PlayerCall
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.precision import Precision

LOSSES = sorted(path.stem for path in Path(conf_folder(), "loss").glob("*.yaml") if path.stem != "none")
GAMES = sorted(path.stem for path in Path(conf_folder(), "game").glob("*.yaml"))
PENALTIES = sorted(
    {path.stem for path in Path(conf_folder(), "penalties").glob("*.yaml")} - {"none", "r1_lazy", "path_length"}
)
FP32 = Precision("fp32", torch.device("cpu"))
SMALL = ["arch=mlp", "data.resolution=8", "arch.generator.widths=[12]", "arch.discriminator.widths=[12]"]


def parts(*overrides: str) -> tuple[Game, dict[str, torch.optim.Optimizer], Batch]:
    """``overrides``: the game comes first, if there is one."""
    named = overrides[0].removeprefix("game=") if overrides else ""
    cfg = composed(*(OF_GAME.get(named, SMALL)), *overrides)
    torch.manual_seed(0)
    game = build_game(cfg)
    game.prepare_training()
    optim = build(cfg.optim)
    optimisers = {name: optim(player.net.parameters(), name) for name, player in game.players.items()}
    x = torch.rand(6, 1, 8, 8) * 2 - 1
    return game, optimisers, Batch(x, torch.arange(6), x.flip(0) if game.UNPAIRED else None)


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in net.parameters()])


@pytest.mark.parametrize(
    ("game", "loss"),
    [(game, loss) for game in GAMES for loss in (["none"] if game in WITHOUT_LOSS else LOSSES)],
)
def test_two_steps_of_everything(game: str, loss: str) -> None:
    played, optimisers, batch = parts(f"game={game}", f"loss={loss}")
    for _ in range(2):
        for name in played.players:
            before = {other: weights(player.net) for other, player in played.players.items()}
            seen = player_step(played, name, optimisers, batch, FP32)
            assert all(torch.isfinite(value) for value in seen.values())
            assert not any(value.requires_grad for value in seen.values())
            for other, player in played.players.items():
                assert torch.equal(before[other], weights(player.net)) == (other != name)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_penalty_joins_every_loss(loss: str, penalty: str) -> None:
    if (loss, penalty) in (("wgan_gp", "dragan"), ("dragan", "gradient")):
        with pytest.raises(UserError, match="gradients of a certain norm"):
            parts(f"loss={loss}", f"penalties={penalty}")
        return
    game, optimisers, batch = parts(f"loss={loss}", f"penalties={penalty}")
    seen = player_step(game, "d", optimisers, batch, FP32)
    assert penalty in seen and torch.isfinite(seen[penalty])


def test_the_generator_learns_from_the_discriminators_judgement() -> None:
    """A step of the generator alone makes its fakes look more real."""
    game, optimisers, batch = parts("optim.lr=1e-3")
    first = player_step(game, "g", optimisers, batch, FP32)["D_G_z"]
    for _ in range(100):
        last = player_step(game, "g", optimisers, batch, FP32)["D_G_z"]
    assert last > first + 0.05


def test_the_discriminator_learns_to_tell_real_from_fake() -> None:
    game, optimisers, batch = parts("optim.lr=1e-3")
    for _ in range(200):
        seen = player_step(game, "d", optimisers, batch, FP32)
    assert seen["D_x"] > 0.7 and seen["D_G_z"] < 0.3


def test_wgan_clips_the_critic_and_only_the_critic() -> None:
    game, optimisers, batch = parts("loss=wgan")
    player_step(game, "d", optimisers, batch, FP32)
    assert weights(game.players["d"].net).abs().max() <= 0.01
    assert weights(game.players["g"].net).abs().max() > 0.01


@pytest.mark.parametrize(("loss", "every"), [("gan", 1), ("wgan", 5), ("wgan_gp", 5)])
def test_critic_steps(loss: str, every: int) -> None:
    game, _, _ = parts(f"loss={loss}")
    moving = [game.begin_step(StepProgress(step, 0, 0.0)).players for step in range(10)]
    assert moving == [("d", "g") if (step + 1) % every == 0 else ("d",) for step in range(10)]


def test_recipes_are_their_papers() -> None:
    wgan = composed("loss=wgan")
    assert (wgan.optim._target_, wgan.optim.lr, wgan.game.clip) == ("ganexp.optim.RMSprop", 5e-5, 0.01)
    improved = composed("loss=wgan_gp")
    assert (improved.optim.lr, improved.optim.betas) == (1e-4, [0.0, 0.9])
    assert improved.penalties.gradient.weight == 10
    assert improved.arch.discriminator.norm == "none"
    assert composed("loss=gan").arch.discriminator.norm == "batch"
    assert composed("loss=gan", "penalties=r1").arch.discriminator.norm == "none"
    assert composed("loss=wgan_gp", "optim.lr=3e-4").optim.lr == 3e-4, "the command line has the last word"


PENALTIES_OF_ONES_OWN = """
from ganexp import penalties
from ganexp.penalties import GradientTerm, Penalty

class OfLogits(Penalty): ...
class OfTheGenerator(GradientTerm):
    player = "g"
class OfGradients(GradientTerm): ...
class ByModule(penalties.GradientTerm): ...
class Unknown(made_elsewhere()): ...
"""


@pytest.mark.parametrize(
    ("penalty", "norm"),
    [
        ("OfLogits", "batch"),
        ("OfTheGenerator", "batch"),
        ("OfGradients", "none"),
        ("ByModule", "none"),
        ("Unknown", "none"),
    ],
)
def test_only_a_penalty_of_each_samples_gradient_rules_batch_norm_out(
    penalty: str, norm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "penalties_of_ones_own.py").write_text(PENALTIES_OF_ONES_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    settings = "" if penalty == "Unknown" else ",weight:1.0,every:1"
    own = f"+penalties.own={{_target_:penalties_of_ones_own.{penalty}{settings}}}"
    assert composed(own).arch.discriminator.norm == norm
    assert composed(own, "penalties=r1").arch.discriminator.norm == "none"


def test_batch_norm_and_a_penalty_per_sample_are_refused() -> None:
    with pytest.raises(UserError, match=r"norm=batch.*batch norm mixes.*set arch\.discriminator\.norm=none"):
        build_game(composed("penalties=r1", "arch.discriminator.norm=batch"))


def test_a_penalty_is_handed_the_real_batch_first() -> None:
    class Recording(Penalty):
        def term(self, call: PlayerCall) -> torch.Tensor:
            seen.append((call.real, call.fake))
            return call.critic(call.real).sum() * 0

    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    game, optimisers, batch = parts()
    game.parts.penalties["recording"] = Recording(weight=1.0, every=1)
    player_step(game, "d", optimisers, batch, FP32)
    ((real, fake),) = seen
    assert torch.equal(real, batch.x) and not torch.equal(fake, batch.x) and not fake.requires_grad


def test_a_conditional_game_refuses_networks_without_labels() -> None:
    with pytest.raises(UserError, match=r"arch\.discriminator takes no labels"):
        parts("game=cgan", "arch.discriminator.classes=0")


def test_labels_reach_the_networks_of_a_conditional_game() -> None:
    game, _, _ = parts("game=cgan")
    request, columns = game.grid(Request(100))
    assert request.label is not None
    labels = request.label.tolist()
    assert columns == 10 and labels[:10] == [0] * 10 and labels[-1] == 9
    asked = Request(2, torch.tensor([3, 4]))
    (z, y), shown, *_ = game.inputs(asked, torch.Generator().manual_seed(0))
    assert y.tolist() == [3, 4] and shown is y
    game.eval()
    swapped = game.generator(z, y.flip(0))
    assert not torch.allclose(game.generator(z, y), swapped)
    with pytest.raises(UserError, match="0 to 9"):
        game.inputs(Request(1, torch.tensor([10])), torch.Generator())


def test_looking_does_not_draw_from_the_trainings_random_numbers() -> None:
    game, _, _ = parts()
    before = torch.get_rng_state()
    one = game.inputs(Request(4), torch.Generator().manual_seed(5))
    two = game.inputs(Request(4), torch.Generator().manual_seed(5))
    assert torch.equal(one.args[0], two.args[0])
    assert torch.equal(before, torch.get_rng_state())


def test_a_generator_may_move_twice_in_its_turn() -> None:
    game, _, _ = parts("game.n_generator=2")
    assert game.begin_step(StepProgress(0, 0, 0.0)).players == ("d", "g", "g")


@pytest.mark.parametrize(("noise", "std"), [("normal", 1.0), ("uniform", 3**-0.5)])
def test_what_latents_are_drawn_from(noise: str, std: float) -> None:
    game, _, batch = parts(f"game.noise={noise}", "arch.generator.latent=5000")
    (z,) = game.inputs(Request(6), torch.Generator().manual_seed(0)).args
    for drawn in (z, cast(GAN, game).latents(batch)):
        assert drawn.shape == (6, 5000)
        assert drawn.std() == pytest.approx(std, rel=0.03) and abs(drawn.mean()) < 0.03
        assert (drawn.abs().max() <= 1) == (noise == "uniform")


def test_packs_are_whole_and_in_order() -> None:
    images = torch.arange(2 * 3 * 2 * 2).reshape(6, 1, 2, 2)
    packed = pack(images, 3)
    assert packed.shape == (2, 3, 2, 2)
    assert torch.equal(packed[1, 2], images[5, 0]) and torch.equal(packed[0, 1], images[1, 0])
    points = torch.arange(8).reshape(4, 2)
    assert pack(points, 2).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_packed_discriminator_judges_packs_and_its_penalties_too() -> None:
    class Recording(Penalty):
        def term(self, call: PlayerCall) -> torch.Tensor:
            seen.append((call.real.shape, call.fake.shape, call.critic(call.fake).shape))
            return call.critic(call.real).sum() * 0

    seen: list[tuple[torch.Size, ...]] = []
    game, optimisers, batch = parts("game=pacgan", "game.packing=3", "batch_size=6")
    game.parts.penalties["recording"] = Recording(weight=1.0, every=1)
    player_step(game, "d", optimisers, batch, FP32)
    assert seen == [((2, 3, 8, 8), (2, 3, 8, 8), (2,))]
    assert game.generator(torch.randn(4, 100)).shape == (4, 1, 8, 8)


def test_a_batch_holds_whole_packs() -> None:
    with pytest.raises(UserError, match=r"batch_size=64.*multiple of game.packing=3"):
        composed("game=pacgan", "game.packing=3")


@pytest.mark.parametrize("game", [game for game in GAMES if game not in (*WITHOUT_LOSS, *SEVERAL_CRITICS)])
def test_one_pass_over_real_and_fake_is_two(game: str) -> None:
    """Where a critic judges one by one, joined batches give the same terms and gradients."""
    found = []
    for joined in (True, False):
        played, optimisers, batch = parts(f"game={game}", "loss=rpgan", "penalties=[r1,r2]")
        critic = cast(DiscriminatorBase, played.players["d"].net)
        assert critic.samplewise
        critic.samplewise = joined
        critic.eval()  # spectral norms take a power iteration in each pass in training
        calls: list[int] = []
        critic.register_forward_hook(lambda _, given, __, calls=calls: calls.append(len(given[0])))
        torch.manual_seed(1)
        terms = player_step(played, "d", optimisers, batch, FP32)
        gradients = [parameter.grad for parameter in critic.parameters()]
        found.append((terms, gradients, len(calls)))
    (one, ours, passes), (two, theirs, more) = found
    assert (passes, more) == (3, 4)  # two penalties, and one or two passes
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in two)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine is not None and other is not None and torch.allclose(mine, other, atol=1e-6)


def test_batch_norm_is_shown_real_and_fake_apart() -> None:
    played, _, _ = parts("arch.discriminator.norm=batch")
    assert not cast(DiscriminatorBase, played.players["d"].net).samplewise
    played, _, _ = parts("arch.discriminator.norm=layer")
    assert cast(DiscriminatorBase, played.players["d"].net).samplewise


def test_a_reused_fake_is_the_critics_own() -> None:
    """One pass of the generator in a step; its gradient is that of new fakes from the same z."""
    found = []
    for reuse in ("true", "false"):
        played, optimisers, batch = parts(f"game.reuse_fake={reuse}", "arch.generator.norm=none")
        made: list[torch.Tensor] = []
        played.generator.register_forward_hook(lambda _, __, out, made=made: made.append(out.detach()))
        torch.manual_seed(1)
        player_step(played, "d", optimisers, batch, FP32)
        torch.manual_seed(1)
        player_step(played, "g", optimisers, batch, FP32)
        found.append((made, weights(played.players["d"].net), weights(played.generator)))
        assert (len(made) == 1) == (reuse == "true")
    assert torch.equal(found[0][1], found[1][1]) and torch.allclose(found[0][2], found[1][2], atol=1e-7)


def test_fakes_are_reused_once() -> None:
    """The generator's second turn in a step makes its own: the first one's graph is used up."""
    played, optimisers, batch = parts("game.reuse_fake=true", "game.n_generator=2")
    made: list[int] = []
    played.generator.register_forward_hook(lambda _, __, out: made.append(len(out)))
    for _ in range(2):
        for name in played.begin_step(StepProgress(0, 0, 0.0)).players:
            player_step(played, name, optimisers, batch, FP32)
    assert len(made) == 4
    with pytest.raises(UserError, match=r"game.reuse_fake=true asks for game.n_critic=1, and it is 5"):
        parts("loss=wgan_gp", "game.reuse_fake=true")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["arch.generator={_target_:ganexp.losses.Hinge}"],
            "arch.generator._target_=.*it does not build a Module",
        ),
        (["+penalties.x={_target_:ganexp.losses.Hinge}"], "penalties.x._target_=.*it does not build a Penalty"),
        (["augment={_target_:ganexp.losses.Hinge}"], "augment._target_=.*it does not build a Augment"),
        (["loss={_target_:ganexp.augment.NoAugment}"], "loss._target_=.*it does not build a Loss"),
        (["game={_target_:ganexp.losses.Hinge}"], "game._target_=.*it is not a Game"),
    ],
)
def test_a_building_block_in_anothers_place_is_refused(overrides: list[str], told: str) -> None:
    """As a run folder may have it that somebody has edited."""
    cfg = composed(*SMALL)
    for override in overrides:
        key, _, target = override.lstrip("+").partition("=")
        OmegaConf.update(cfg, key, {"_target_": target[10:-1]}, merge=False, force_add=True)
    with pytest.raises(UserError, match=told):
        build_game(cfg)
