"""CycleGAN: its terms and their gradients, its pool of earlier fakes, both directions, and what is refused."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import OF_GAME, Verb, asked_to_stop, composed, verb
from PIL import Image
from torch import Tensor, nn

from ganexp.augment import NoAugment
from ganexp.data.batches import Batch
from ganexp.data.degradations.gray import Gray
from ganexp.data.degradations.unpaired import Unpaired
from ganexp.errors import UserError
from ganexp.games.cyclegan import CycleGAN
from ganexp.games.game import Parts, StepProgress
from ganexp.games.image_pool import ImagePool
from ganexp.losses import LeastSquares
from ganexp.nets.layers import count_weights
from ganexp.nets.patch import PatchDiscriminator
from ganexp.nets.resnet_translator import ResnetTranslator
from ganexp.penalties import R1
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.system.tensor_file import read
from ganexp.train import player_step
from ganexp.training.build import build, build_game
from ganexp.training.model import make_optimisers
from ganexp.training.precision import Precision

SETTINGS: dict[str, Any] = {
    "cycle_weight": 10.0,
    "identity_weight": 0.5,
    "adversarial_weight": 2.0,
    "pool": 0,
    "n_critic": 1,
    "n_generator": 1,
    "clip": None,
}
FP32 = Precision("fp32", torch.device("cpu"))


class Scale(nn.Module):
    """x times one weight: as a generator, and as a critic of single pixels."""

    samplewise, classes = True, 0

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x


def scaled(g: float, f: float, d_b: float, d_a: float, **settings: Any) -> CycleGAN:
    nets = {
        "generator": Scale(g),
        "generator_back": Scale(f),
        "discriminator": Scale(d_b),
        "discriminator_back": Scale(d_a),
    }
    degrade = Unpaired(source_shape=[1, 2, 2], output_shape=[1, 2, 2])
    loss, penalties = LeastSquares(a=0.0, b=1.0, c=1.0), {"r1": R1(weight=1.0, every=1)}
    parts = Parts(nets, loss, penalties, NoAugment(), "classes", degrade)  # type: ignore[arg-type]
    return CycleGAN(parts=parts, **(SETTINGS | settings))


def of_positive_values() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(3)
    return torch.rand(4, 1, 2, 2, generator=rng), torch.rand(4, 1, 2, 2, generator=rng)


def batch_of(a: Tensor, b: Tensor) -> Batch:
    return Batch(b, torch.zeros(len(b), dtype=torch.int64), a)


def gradients(losses: dict[str, Tensor], game: CycleGAN) -> dict[str, float]:
    nets = game.parts.nets
    weights = [net.weight for net in nets.values()]
    found = torch.autograd.grad(sum(losses.values()), weights, allow_unused=True)  # type: ignore[arg-type]
    return {name: float(part) for name, part in zip(nets, found, strict=True) if part is not None}


def test_the_generators_gradient_by_hand() -> None:
    """With G = g a, F = f b and critics v, u: each difference has one sign, as all values are positive."""
    (a, b), g, f, v, u = of_positive_values(), 0.5, 1.4, 0.3, -0.8
    game = scaled(g, f, v, u)
    turn = game.generator_turn(batch_of(a, b))
    assert turn.losses["adversarial"].item() == pytest.approx(float((v * g * a - 1).square().mean()))
    assert turn.losses["cycle"].item() == pytest.approx(10 * 0.3 * float(a.mean()))
    assert turn.losses["identity_back"].item() == pytest.approx(5 * 0.4 * float(a.mean()))
    assert set(turn.losses) == {f"{n}{s}" for n in ("adversarial", "cycle", "identity") for s in ("", "_back")}
    both = float(a.mean() + b.mean())
    found = gradients(turn.losses, game)
    of_g = 2 * float(((v * g * a - 1) * v * a).mean()) - 10 * f * both - 5 * float(b.mean())
    of_f = 2 * float(((u * f * b - 1) * u * b).mean()) - 10 * g * both + 5 * float(a.mean())
    assert found["generator"] == pytest.approx(of_g, rel=1e-5)
    assert found["generator_back"] == pytest.approx(of_f, rel=1e-5)


@pytest.mark.parametrize("with_generators", [True, False])
def test_the_critics_gradient_by_hand(with_generators: bool) -> None:
    """The fakes are those of the generators' turn, or new ones; neither is differentiated."""
    (a, b), g, f, v, u = of_positive_values(), 0.5, 1.4, 0.3, -0.8
    game = scaled(g, f, v, u)
    if with_generators:
        game.generator_turn(batch_of(a, b))
    turn = game.discriminator_turn(batch_of(a, b))
    assert set(turn.losses) == {"adversarial", "r1", "adversarial_back", "r1_back"}
    assert (turn.losses["r1_back"] / turn.losses["r1"]).item() == pytest.approx(u**2 / v**2)
    losses = {name: loss for name, loss in turn.losses.items() if not name.startswith("r1")}
    found = gradients(losses, game)
    assert set(found) == {"discriminator", "discriminator_back"}
    of_v = float(((v * b - 1) * b).mean() + (v * (g * a).square()).mean())
    of_u = float(((u * a - 1) * a).mean() + (u * (f * b).square()).mean())
    assert found == pytest.approx({"discriminator": of_v, "discriminator_back": of_u}, rel=1e-5)


def test_a_step_of_one_player_gives_the_other_no_gradient() -> None:
    game = scaled(0.5, 1.4, 0.3, -0.8)
    optimisers = make_optimisers(composed().optim, game)
    for moving, still in (("g", "d"), ("d", "g")):
        for weight in game.parameters():
            weight.grad = None
        player_step(game, moving, optimisers, batch_of(*of_positive_values()), FP32)
        assert all(weight.grad is not None for weight in game.players[moving].net.parameters())
        assert all(weight.grad is None for weight in game.players[still].net.parameters())
    trained = {id(weight) for player in game.players.values() for weight in player.net.parameters()}
    assert trained == {id(weight) for weight in game.parameters()} and len(trained) == 4


def test_generators_that_change_nothing_have_adversarial_losses_only() -> None:
    losses = scaled(1.0, 1.0, 0.3, -0.8).generator_turn(batch_of(*of_positive_values())).losses
    for name, loss in losses.items():
        assert (loss.item() == 0) == (not name.startswith("adversarial"))
    assert not any("identity" in name for name in turn_without_identity())


def turn_without_identity() -> dict[str, Tensor]:
    return scaled(1.0, 1.0, 0.3, -0.8, identity_weight=0).generator_turn(batch_of(*of_positive_values())).losses


def test_swapping_the_domains_swaps_the_halves_of_every_term() -> None:
    a, b = of_positive_values()
    one, other = scaled(0.5, 1.4, 0.3, -0.8), scaled(1.4, 0.5, -0.8, 0.3)
    pairs = [
        (one.generator_turn(batch_of(a, b)), other.generator_turn(batch_of(b, a))),
        (one.discriminator_turn(batch_of(a, b)), other.discriminator_turn(batch_of(b, a))),
    ]
    for turns in pairs:
        ours, theirs = (turn.losses | turn.logs for turn in turns)
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            swapped = name.removesuffix("_back") if name.endswith("_back") else f"{name}_back"
            assert torch.equal(value, theirs[swapped]), name
            assert not torch.equal(value, theirs[name]), name


def test_who_moves_and_which_fakes_the_critics_are_given() -> None:
    """In a step with the generators, theirs from before they moved; in others, new ones."""
    game = scaled(0.5, 1.4, 0.3, -0.8, n_critic=2)
    moving = [game.begin_step(StepProgress(step, 0, 0.0)).players for step in range(4)]
    assert moving == [("d",), ("g", "d"), ("d",), ("g", "d")], "the generators first, as the authors' program"
    a, b = of_positive_values()
    made: list[Tensor] = []
    judged: list[Tensor] = []
    game.generator.register_forward_hook(lambda _, __, fake: made.append(fake.detach()))
    game.parts.nets["discriminator"].register_forward_pre_hook(
        lambda _, given: judged.append(given[0].detach())
    )
    game.parts.penalties.clear()
    game.generator_turn(batch_of(a, b))
    with torch.no_grad():
        next(game.parts.nets["generator"].parameters()).fill_(0.9)
    before = len(made)
    game.discriminator_turn(batch_of(a, b))
    assert len(made) == before and torch.equal(judged[-1][4:], 0.5 * a) and torch.equal(judged[-1][:4], b)
    game.discriminator_turn(batch_of(a, b))
    assert len(made) == before + 1 and torch.equal(judged[-1][4:], 0.9 * a)


def test_critics_are_clipped_both() -> None:
    game = scaled(0.5, 1.4, 0.3, -0.8, clip=0.01)
    game.after_step("g")
    assert next(game.parts.nets["discriminator"].parameters()).item() == pytest.approx(0.3)
    game.after_step("d")
    assert [round(weight.item(), 4) for weight in game.players["d"].net.parameters()] == [-0.01, 0.01]


def numbered(first: int, count: int) -> Tensor:
    """Images [count, 1, 1, 1] that can be told apart."""
    return torch.arange(first, first + count, dtype=torch.float32).view(-1, 1, 1, 1)


def one_after_another(
    pool: list[float], capacity: int, new: list[float], draws: list[list[float]]
) -> list[float]:
    """The pool as the authors describe it; ``pool`` is changed."""
    returned = []
    for image, (place, coin) in zip(new, draws, strict=True):
        if len(pool) < capacity:
            pool.append(image)
            returned.append(image)
        elif coin < 0.5:
            index = int(place * capacity)
            returned.append(pool[index])
            pool[index] = image
        else:
            returned.append(image)
    return returned


@pytest.mark.parametrize(("capacity", "size"), [(50, 1), (50, 16), (4, 7), (1, 5), (7, 7)])
def test_the_pool_takes_images_one_after_another(
    capacity: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, expected = ImagePool(capacity, [1, 1, 1]), list[float]()
    draws: list[Tensor] = []
    rand = torch.rand

    def noted(*shape: int, **more: Any) -> Tensor:
        draws.append(rand(*shape, **more))
        return draws[-1]

    monkeypatch.setattr(torch, "rand", noted)
    for step in range(60):
        new = numbered(size * step, size)
        found = pool(new).flatten().tolist()
        assert found == one_after_another(expected, capacity, new.flatten().tolist(), draws[-1].tolist())
        assert pool.images.flatten()[: len(expected)].tolist() == expected
        assert int(pool.count) == len(expected) <= capacity


def test_what_comes_out_of_the_pool() -> None:
    pool, fresh, seen = ImagePool(50, [1, 1, 1]), 0, set[float]()
    torch.manual_seed(0)
    for step in range(1000):
        new = numbered(5 * step, 5)
        found = pool(new)
        seen.update(new.flatten().tolist())
        assert seen.issuperset(found.flatten().tolist()), "each was put in once"
        if step < 10:
            assert torch.equal(found, new), "the first 50 are returned unchanged"
        fresh += int((found == new).sum()) if step >= 10 else 0
    assert fresh / 4950 == pytest.approx(0.5, abs=0.02)
    assert torch.equal(ImagePool(0, [1, 1, 1])(new), new), "without a pool, all are new"


def test_the_pool_takes_fakes_of_bf16() -> None:
    pool, fakes = ImagePool(2, [1, 1, 1]), numbered(0, 4).to(torch.bfloat16).requires_grad_()
    assert not pool(fakes).requires_grad and pool.images.dtype == torch.float32
    assert int(pool.count) == 2 and set(pool.images.flatten().tolist()) <= {0, 1, 2, 3}


def test_full_networks_have_the_references_weights() -> None:
    common = ["game=cyclegan", "degrade=noise", "data=celeba", "data.root=.", "data.resolution=256"]
    for arch, weights in (("cyclegan", 11_378_179), ("cyclegan_128", 7_837_699)):
        cfg = composed(f"arch={arch}", *common)
        with torch.device("meta"):
            nets = {str(name): count_weights(build(node)) for name, node in cfg.arch.items()}
        assert nets["generator"] == nets["generator_back"] == weights
        assert nets["discriminator"] == nets["discriminator_back"] == 2_764_737


def test_the_authors_recipe(tmp_path: Path) -> None:
    for domain in "AB":
        (tmp_path / f"train{domain}").mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / f"train{domain}/a.png")
    cfg = composed("experiment=cyclegan", f"data.root={tmp_path}")
    assert (cfg.batch_size, cfg.epochs, cfg.optim.lr, cfg.optim.betas) == (1, 200, 2e-4, [0.5, 0.999])
    assert cfg.loss._target_.endswith("LeastSquares") and cfg.data.resolution == 256
    schedule = build(cfg.schedule)
    assert [schedule(done) for done in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([1, 1, 0.5, 0])
    weights = (
        cfg.game.adversarial_weight * 0.5,
        cfg.game.cycle_weight,
        cfg.game.identity_weight,
        cfg.game.pool,
    )
    assert weights == (1, 10, 0.5, 50), "the authors' least squares have no 1/2"


def test_the_networks_back_follow_the_first_ones() -> None:
    arch = composed(
        "game=cyclegan", "degrade=edges", "arch.generator.width=4", "arch.discriminator.layers=1"
    ).arch
    assert arch.generator_back.width == 4 and arch.discriminator_back.layers == 1
    assert list(arch.generator_back.source_shape) == [1, 16, 16]


def test_grey_sources_get_generators_of_other_channels() -> None:
    """The lightness is exact, and F makes lightness of colour; the identity term is refused."""

    def game(identity_weight: float) -> CycleGAN:
        gray = Gray(source_shape=[1, 8, 8], output_shape=[2, 8, 8])
        shapes = {"generator": ([1, 8, 8], [2, 8, 8]), "generator_back": ([3, 8, 8], [1, 8, 8])}
        nets: dict[str, nn.Module] = {
            name: ResnetTranslator(*pair, 2, 1, 3, "none", False, "reflect", "nearest")
            for name, pair in shapes.items()
        }
        nets |= {"discriminator": PatchDiscriminator([3, 8, 8], 2, 1, "none")}
        nets |= {"discriminator_back": PatchDiscriminator([1, 8, 8], 2, 1, "none")}
        parts = Parts(nets, LeastSquares(a=0.0, b=1.0, c=1.0), {}, NoAugment(), "classes", gray)
        return CycleGAN(parts=parts, **(SETTINGS | {"identity_weight": identity_weight, "pool": 3}))

    played = game(0)
    x = torch.rand(4, 3, 8, 8) * 2 - 1
    for turn in (played.generator_turn(Batch(x, x, x.flip(0))), played.discriminator_turn(Batch(x, x))):
        assert all(torch.isfinite(loss) for loss in turn.losses.values())
    assert played.translator("BtoA").degrade.source_shape == [3, 8, 8]
    assert played.generator.back(x).shape == (4, 1, 8, 8) and played.image_pool_back.images.shape[1] == 1
    expected = played.degrade.shown(played.generator.back(x))
    assert torch.equal(played.translator("BtoA")(x), expected), "a file has grey values, not a lightness"
    with pytest.raises(UserError, match=r"\[1, 8, 8\] and images \[3, 8, 8\].*set game.identity_weight=0"):
        game(0.5)


def test_sources_are_made_of_other_images() -> None:
    game = cast(CycleGAN, build_game(composed(*OF_GAME["cyclegan"])))
    x = torch.rand(4, 1, 8, 8) * 2 - 1
    a, b = game.domains(Batch(x, torch.zeros(4), x.flip(0)))
    assert torch.equal(a, game.degrade(x.flip(0))) and torch.equal(b, x)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["loss=none"], "loss=none: this game is adversarial"),
        (["degrade=holes"], "a hole .* cannot be made from images.*another degrade, or game=inpaint"),
        (["degrade=lowres"], "keeps an image's size .* with sources of another size.*game=srgan"),
        (["degrade=edges", "game.pool=-1"], "game.pool=-1: should be greater than or equal to 0"),
        (["degrade=edges", "batch_size=0"], "batch_size=0: should be greater than or equal to 1"),
        ([], "CycleGAN makes images from images: choose what they are made from"),
        (["degrade=edges", "penalties=path_length"], "a generator without styles"),
        (
            ["degrade=edges", "arch=unet_small"],
            "arch.discriminator_back is missing|arch.generator_back is missing",
        ),
        (["degrade=edges", "penalties=r1", "arch.discriminator_back.norm=batch"], "batch norm mixes"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], told: str) -> None:
    degrade = [] if any("degrade" in override for override in overrides) or not overrides else ["degrade=edges"]
    with pytest.raises(UserError, match=told):
        build_game(composed("game=cyclegan", *degrade, *overrides))


def test_only_some_games_take_batches_of_one() -> None:
    assert composed("game=cyclegan", "degrade=edges", "batch_size=1").batch_size == 1
    with pytest.raises(UserError, match=r"batch_size=1: should be greater than or equal to 2"):
        composed("batch_size=1")


SMALL = [
    *[
        "game=cyclegan",
        "loss=lsgan",
        "recipe=none",
        "data=unpaired",
        "data.resolution=16",
        "evaluate.every=null",
    ],
    *["arch.generator.width=2", "arch.generator.blocks=1", "arch.discriminator.width=2", "game.pool=3"],
    *["arch.discriminator.layers=1", "ema.halflife=0", "optim.lr=0.02"],
]


def domains(folder: Path) -> Path:
    """Bright images A and dark images B, of two sizes."""
    rng = np.random.default_rng(0)
    for domain, low, count in (("A", 150, 6), ("B", 0, 7)):
        (folder / f"train{domain}").mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(low, low + 100, (17, 18, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"train{domain}/{index}.png")
    return folder


def test_a_run_of_two_folders_and_both_its_directions(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = domains(tmp_path / "set")
    run = train(*SMALL, f"data.root={root}", "batch_size=1", "max_steps=9", "epochs=9")
    pictures = {file.name for file in (run / "samples").iterdir()}
    assert {"epoch_0001.png", "BtoA_epoch_0001.png", "cycle_epoch_0001.png"} <= pictures
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert np.isfinite(last["cycle/psnr"]) and {"g/cycle", "g/identity_back", "d/D_x_back"} <= last.keys()
    content = read(run / "checkpoints/last.pt")
    assert {key.split(".")[0] for key in content["ema"]} == {"net", "back"}, "both directions are averaged"
    assert int(content["game"]["image_pool.count"]) == 3 and content["game"]["image_pool_back.images"].any()
    for direction in ("AtoB", "BtoA"):
        files = [f"run={run}", f"input={root}/train{direction[0]}", f"output={tmp_path}/{direction}"]
        verb(monkeypatch, tmp_path, "translate", *files, f"direction={direction}")
        made = sorted((tmp_path / direction).glob("*.png"))
        assert len(made) == (6 if direction == "AtoB" else 7)
        assert all(Image.open(file).size == (18, 17) for file in made)
    files = [f"run={run}", f"input={root}/trainA", f"output={tmp_path}/back"]
    verb(monkeypatch, tmp_path, "translate", *files, "direction=BtoA")
    both = [np.asarray(Image.open(tmp_path / name / "0.png")) for name in ("AtoB", "back")]
    assert not np.array_equal(both[0], both[1]), "two networks"
    for wrong, told in (
        ([], "direction is missing: set direction=AtoB or BtoA"),
        (["direction=up"], "none such"),
    ):
        with pytest.raises(SystemExit):
            verb(monkeypatch, tmp_path, "translate", *files, *wrong)
        assert told in capfd.readouterr().err


def test_a_run_stopped_with_a_half_full_pool_goes_on_bit_for_bit(train: Verb, tmp_path: Path) -> None:
    overrides = [*SMALL, f"data.root={domains(tmp_path / 'set')}", "batch_size=2", "game.n_critic=2"]
    overrides = [*[o for o in overrides if "pool" not in o], "game.pool=9", "epochs=12"]
    whole = train(*overrides, name="whole")
    with asked_to_stop(after=3), pytest.raises(Stopped):
        train(*overrides, name="cut")
    (cut,) = (whole.parents[1] / "cut").iterdir()
    assert int(read(cut / "checkpoints/last.pt")["game"]["image_pool.count"]) == 6
    for after in (9, 11):
        with asked_to_stop(after=after), pytest.raises(Stopped):
            train(f"resume={cut}", name="cut")
    train(f"resume={cut}", name="cut")
    assert list(differences(whole, cut)) == []
