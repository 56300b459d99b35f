"""StarGAN: its losses and networks are the paper's, labels reach the image, and pictures follow them."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from conftest import OF_GAME, Verb, asked_to_stop, composed, differences_between_processes, verb
from PIL import Image
from torch import Tensor, nn

from ganexp.cli.translate_labels import WithLabel
from ganexp.config.start import with_nets_from_run
from ganexp.data.batches import Batch
from ganexp.data.degradations.identity import Identity
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.request import Inputs, Request
from ganexp.games.sampling import draw_grid
from ganexp.games.stargan import StarGAN, label_loss, shuffled
from ganexp.games.translation import Restored
from ganexp.metrics.features import SampleFeatures
from ganexp.metrics.label_change import LabelChange
from ganexp.metrics.metric import EvalPair
from ganexp.nets.layers import count_weights
from ganexp.nets.stargan import Discriminator, Generator
from ganexp.runs.bitwise import differences
from ganexp.system.signals import Stopped
from ganexp.training.build import build_game

FACES = [
    *["recipe=none", "game=stargan", "data=celeba", "data.attribute=[A,B,C]", "data.resolution=8"],
    *["data.root=.", "arch.generator.width=2", "arch.generator.blocks=1", "arch.discriminator.width=2"],
]


def game_of(*overrides: str) -> StarGAN:
    """Of three attributes, unless the overrides begin with a recipe."""
    torch.manual_seed(0)
    whole = bool(overrides) and overrides[0].startswith("recipe")
    return cast(StarGAN, build_game(composed(*([] if whole else FACES), *overrides)))


def batch(count: int = 4) -> Batch:
    rng = torch.Generator().manual_seed(1)
    x = torch.rand(count, 3, 8, 8, generator=rng) * 2 - 1
    return Batch(x, torch.randint(2, (count, 3), generator=rng))


def fixed(game: StarGAN, outputs: Tensor, patches: Tensor) -> list[Tensor]:
    """Makes the critic give constant rows for each sample; returns the list of what it is shown."""
    seen: list[Tensor] = []

    def judge(samples: Tensor, y: Tensor | None = None) -> Tensor:
        seen.append(samples)
        times = len(samples) // len(outputs)
        return torch.cat([patches.repeat(times, 1), outputs.repeat(times, 1)], 1)

    game.discriminator.forward = judge  # type: ignore[method-assign, assignment]
    return seen


# --- networks


def test_networks_have_the_references_weights() -> None:
    """yunjey/stargan, 128 pixels and 5 attributes: 53.19 million."""
    with torch.device("meta"):
        shape = [3, 128, 128]
        assert count_weights(Generator(shape, shape, 5, 64, 6, "instance", "transposed")) == 8_430_528
        assert count_weights(Discriminator(shape, 5, 64, None)) == 44_762_048


@pytest.mark.parametrize(("side", "layers"), [(128, 6), (64, 5), (16, 3), (8, 2), (4, 1)])
def test_the_critic_halves_until_a_map_of_2_is_left(side: int, layers: int) -> None:
    net = Discriminator([1, side, side], 3, 2, None)
    assert sum(isinstance(layer, nn.Conv2d) for layer in net.layers) == layers
    assert net(torch.zeros(2, 1, side, side)).shape == (2, 4 + 3)


def test_sides_that_the_networks_cannot_have_are_refused() -> None:
    with pytest.raises(UserError, match="layers=4: too many for 8 x 8"):
        Discriminator([1, 8, 8], 3, 2, 4)
    with pytest.raises(UserError, match="layers=null: too many for 2 x 8"):
        Discriminator([1, 2, 8], 3, 2, None)
    with pytest.raises(UserError, match=r"data\.resolution=10: .* multiples of 4"):
        Generator([1, 10, 10], [1, 10, 10], 3, 2, 1, "instance", "nearest")


@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_sizes_are_kept_and_labels_are_maps(upsample: str) -> None:
    net = Generator([1, 8, 8], [1, 8, 8], 3, 2, 1, "instance", upsample)  # type: ignore[arg-type]
    seen: list[Tensor] = []
    net.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.rand(2, 1, 12, 8)
    assert net(x, torch.tensor([2, 0])).shape == (2, 1, 12, 8)
    assert torch.equal(seen[0][:, :1], x)
    assert (seen[0][:, 1:] == torch.eye(3)[[2, 0]][:, :, None, None]).all()


def test_label_maps_get_gradients() -> None:
    game = game_of()
    given = batch()
    game.generator(given.x, given.y).square().sum().backward()
    gradient = cast(nn.Conv2d, cast(Generator, game.generator.net).layers[0]).weight.grad
    assert gradient is not None and (gradient[:, 3:].abs().sum((0, 2, 3)) > 0).all()


def test_the_norm_does_not_cancel_labels_near_the_border() -> None:
    """With reflected borders the maps of a constant image are constant, and a norm makes 0 of them."""
    torch.manual_seed(0)
    net = Generator([1, 16, 16], [1, 16, 16], 3, 4, 1, "instance", "nearest")
    first, gray = net.layers[:2], torch.zeros(2, 1, 16, 16)
    maps = torch.eye(3)[[0, 1]][:, :, None, None].expand(-1, -1, 16, 16)
    one, two = first(torch.cat([gray, maps], 1))
    assert (one - two)[:, :3].abs().max() > 0.1
    made = net(gray, torch.tensor([0, 1]))
    assert (made[0] - made[1]).abs().max() > 1e-3
    cast(nn.Conv2d, net.layers[0]).padding_mode = "reflect"
    cast(nn.Conv2d, net.layers[0])._reversed_padding_repeated_twice = [3, 3, 3, 3]
    assert first(torch.cat([gray, maps], 1)).abs().max() < 1e-2


# --- losses


def test_the_class_loss_is_summed_over_attributes() -> None:
    logits = torch.tensor([[0.0, 1.0], [2.0, -1.0]], requires_grad=True)
    labels = torch.tensor([[1, 0], [1, 1]])
    loss = label_loss(logits, labels)
    each = torch.log(1 + torch.exp(torch.tensor([[0.0, 1.0], [-2.0, 1.0]])))
    assert loss.item() == pytest.approx(each.sum().item() / 2, rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, (logits.sigmoid() - labels).detach() / 2)
    classes = torch.tensor([1, 0])
    expected = -logits.log_softmax(1)[[0, 1], classes].mean()
    assert label_loss(logits, classes).item() == pytest.approx(expected.item())


def test_the_discriminators_class_loss_is_of_real_images_only() -> None:
    game = game_of("game.class_weight=3", "loss=wgan")
    given, rows = batch(), torch.randn(4, 7, generator=torch.Generator().manual_seed(2), requires_grad=True)
    real_rows = rows[:, 4:]
    fake_rows = torch.zeros(4, 3, requires_grad=True)
    answer = torch.cat([rows[:, :4].repeat(2, 1), torch.cat([real_rows, fake_rows])], 1)
    game.discriminator.forward = lambda x, y=None: answer  # type: ignore[method-assign]
    losses = game.discriminator_turn(given).losses
    assert losses["class"].item() == pytest.approx(3 * label_loss(real_rows, given.y).item())
    assert torch.autograd.grad(losses["class"], fake_rows, allow_unused=True, retain_graph=True)[0].eq(0).all()
    (gradient,) = torch.autograd.grad(losses["class"], rows)
    torch.testing.assert_close(gradient[:, 4:], 3 * (real_rows.sigmoid() - given.y).detach() / 4)
    assert gradient[:, :4].eq(0).all()


def test_the_generators_losses_are_of_the_wanted_and_of_the_original_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    game, given = game_of("game.class_weight=3", "game.cycle_weight=5", "loss=wgan"), batch()
    wanted, outputs, patches = 1 - given.y, torch.randn(4, 3), torch.arange(16.0).reshape(4, 4)
    seen = fixed(game, outputs, patches)
    calls: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr("ganexp.games.stargan.shuffled", lambda labels: 1 - labels)
    game.generator.register_forward_pre_hook(lambda _, args: calls.append(args))
    losses = game.generator_turn(given).losses
    assert torch.equal(calls[0][0], given.x) and torch.equal(calls[0][1], wanted)
    fake = game.generator(given.x, wanted)
    assert torch.equal(seen[0], fake), "the critic is shown fakes only"
    assert torch.equal(calls[1][0], fake) and torch.equal(calls[1][1], given.y), "back to the original labels"
    expected = 5 * (game.generator(fake, given.y) - given.x).abs().mean()
    assert losses["cycle"].item() == pytest.approx(expected.item())
    assert losses["class"].item() == pytest.approx(3 * label_loss(outputs, wanted).item())
    assert losses["adversarial"].item() == pytest.approx(-7.5), "the mean over all patches"
    (gradient,) = torch.autograd.grad(losses["cycle"], [p for p in game.generator.parameters()][-1:])
    restored = game.generator(game.generator(given.x, wanted), given.y)
    by_hand = torch.autograd.grad(restored, [*game.generator.parameters()][-1:], (restored > given.x) * 2.0 - 1)
    torch.testing.assert_close(gradient, by_hand[0] * 5 / given.x.numel())


def test_unchanged_labels_and_no_weights_leave_reconstruction_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With c' = c and a critic that is constant, only the cycle moves the generator; the identity has none."""
    game, given = game_of("loss=wgan"), batch()
    fixed(game, torch.zeros(4, 3), torch.zeros(4, 4))
    monkeypatch.setattr("ganexp.games.stargan.shuffled", lambda labels: labels)
    weights = list(game.generator.parameters())
    losses = game.generator_turn(given).losses
    for name in ("adversarial", "class"):
        assert not losses[name].requires_grad
    assert any(gradient.abs().max() > 0 for gradient in torch.autograd.grad(losses["cycle"], weights))
    game.generator.forward = lambda source, *labels: source  # type: ignore[method-assign]
    assert game.generator_turn(given).losses["cycle"].item() == 0


def test_the_penalty_is_of_mixtures_and_of_the_patches_only() -> None:
    """The critic's patches sum to 2 <x, 1> and its classes are steep: gradients have the norm 2 sqrt(192)."""
    game, given = game_of("loss=wgan_gp"), batch()
    seen: list[Tensor] = []

    def judge(samples: Tensor, y: Tensor | None = None) -> Tensor:
        seen.append(samples)
        total = samples.flatten(1).sum(1, keepdim=True)
        return torch.cat([total.expand(-1, 4) / 2, 100 * total.expand(-1, 3)], 1)

    game.discriminator.forward = judge  # type: ignore[method-assign, assignment]
    losses = game.discriminator_turn(given).losses
    assert losses["gradient"].item() == pytest.approx(10 * (2 * 192**0.5 - 1) ** 2, rel=1e-5)
    assert len(seen) == 2 and len(seen[0]) == 8, "real and fake together, then mixtures"
    real, fake = seen[0].chunk(2)
    share = ((seen[1] - fake) / (real - fake)).flatten(1)
    assert (share.std(1) < 1e-3).all() and (share.mean(1) > 0).all() and (share.mean(1) < 1).all()


def test_the_authors_program_moves_the_generator_in_each_fifth_step() -> None:
    game = game_of("loss=wgan_gp")
    assert (game.players["d"].every, game.players["g"].every) == (1, 5)


def test_labels_are_shuffled_as_rows() -> None:
    torch.manual_seed(0)
    labels = torch.arange(60).reshape(20, 3)
    found = shuffled(labels)
    assert found.dtype == torch.int64 and not torch.equal(found, labels)
    assert torch.equal(found[found[:, 0].argsort()], labels)
    assert sorted(shuffled(torch.arange(9)).tolist()) == list(range(9))


# --- looking


def reference(count: int) -> Batch:
    x = torch.arange(count * 192.0).reshape(count, 3, 8, 8) / (count * 192)
    return Batch(x, torch.randint(2, (count, 3), generator=torch.Generator().manual_seed(3)))


def test_scores_are_of_another_images_labels() -> None:
    game, given = game_of(), reference(6)
    made = [game.inputs(Request(6), torch.Generator().manual_seed(seed), given) for seed in (0, 1)]
    assert torch.equal(made[0].args[1], given.y[[5, 0, 1, 2, 3, 4]]) and torch.equal(made[0].args[0], given.x)
    assert torch.equal(made[0].args[1], made[1].args[1])
    source, own = made[0].source, made[0].source_labels
    assert made[0].target is None and source is not None and torch.equal(source, given.x)
    assert own is not None and torch.equal(own, given.y)


def test_a_row_is_an_image_and_each_of_its_changes() -> None:
    game = game_of()
    assert game.preview_count(64) == 24, "eight rows of three attributes"
    grid = game.grid(Request(6))
    assert (grid.columns, grid.request.count, grid.request.shared) == (3, 6, 3)
    made = game.inputs(grid.request, torch.Generator(), given := reference(6))
    assert torch.equal(made.args[0], given.x[[0, 0, 0, 1, 1, 1]])
    expected = torch.stack([given.y[n // 3] ^ torch.eye(3, dtype=torch.int64)[n % 3] for n in range(6)])
    assert torch.equal(made.args[1], expected)


def test_a_single_attribute_is_shown_without_and_with_it() -> None:
    game = game_of("data.attribute=[A]")
    request = game.grid(Request(game.preview_count(8)))
    x, y = torch.zeros(8, 3, 8, 8), torch.tensor([[1], [0]] * 4)
    inputs = game.inputs(request.request, torch.Generator(), Batch(x, y))
    assert inputs.labels is not None and inputs.labels[:, 0].tolist() == [0, 1] * 4 and request.columns == 2


def test_exclusive_attributes_are_set_alone() -> None:
    game = game_of("game.exclusive=[0,2]")
    given = Batch(torch.zeros(3, 3, 8, 8), torch.tensor([[1, 1, 0]] * 3))
    made = game.inputs(game.grid(Request(3)).request, torch.Generator(), given)
    assert made.args[1].tolist() == [[1, 1, 0], [1, 0, 0], [0, 1, 1]]


def test_a_row_of_classes_has_each_class() -> None:
    game = game_of(*OF_GAME["stargan"])
    given = Batch(torch.rand(20, 1, 8, 8), torch.arange(20) % 10)
    made = game.inputs(game.grid(Request(20)).request, torch.Generator(), given)
    assert made.args[1].tolist() == [*range(10)] * 2
    asked = game.inputs(Request(2, torch.tensor([3, 4])), torch.Generator(), given)
    assert asked.labels is not None and asked.labels.tolist() == [3, 4]


def test_pairs_differ_in_one_label() -> None:
    pairs = game_of().condition_pairs(40, torch.Generator().manual_seed(0), given := reference(40))
    assert list(pairs) == ["label_0", "label_1", "label_2"]
    for number, inputs in enumerate(pairs.values()):
        x, y = inputs.args
        assert torch.equal(x[::2], given.x) and torch.equal(x[1::2], given.x)
        assert (y[::2] != y[1::2]).any(0).tolist() == [k == number for k in range(3)]
        kept = [k for k in range(3) if k != number]
        assert torch.equal(y[::2, kept], given.y[:, kept]), "the others are the image's own"


def test_a_source_is_drawn_once_where_a_row_shares_it() -> None:
    drawn: list[tuple[np.ndarray, int]] = []

    class Spy(Source):
        def draw(self, samples: np.ndarray, columns: int) -> Image.Image:
            drawn.append((samples, columns))
            return Image.new("L", (1, 1))

    spy = Spy(shape=[1, 1, 1], bounded=True, classes=2, mirror=False)
    source = torch.tensor([1.0, 1, 1, 2, 2]).reshape(5, 1, 1, 1)
    samples = np.arange(10, 15, dtype=np.float32).reshape(5, 1, 1, 1)
    draw_grid(spy, Inputs((source,), source=source), samples, 3)
    assert drawn[0][0].flatten().tolist() == [1, 10, 11, 12, 2, 13, 14] and drawn[0][1] == 4
    for columns in (1, 2):
        with pytest.raises(UserError, match="cannot draw what samples were made from"):
            draw_grid(spy, Inputs((source,), source=source), samples, columns)


# --- scores


def change(before: list[list[float]], made: list[list[float]], own: object, asked: object) -> dict[str, float]:
    """The metric, with features that give these probabilities of sources and outputs."""
    kind = "classes" if np.ndim(own) == 1 else "attributes"  # type: ignore[arg-type]
    source = type("Labelled", (Source,), {"label_kind": kind})(
        shape=[1], bounded=True, classes=len(before[0]), mirror=False
    )
    points, labels = np.zeros((len(before), 1), np.float32), np.array(asked)
    fake = SampleFeatures(points, points, np.array(made), labels, source=points, source_labels=np.array(own))
    features = lambda samples: SampleFeatures(samples, samples, np.array(before))  # noqa: E731
    pair = EvalPair(source, fake, fake, "", torch.device("cpu"), None, features)  # type: ignore[arg-type]
    assert LabelChange().floor(pair) == {}, "real samples have no labels to change"
    return LabelChange()(pair)


def test_what_changed_and_what_was_kept() -> None:
    own, asked = [[0, 1], [1, 0], [0, 0]], [[1, 1], [0, 1], [1, 0]]
    before = [[0.1, 0.9], [0.8, 0.2], [0.6, 0.2]]  # the classifier is wrong of the last one's first attribute
    made = [[0.9, 0.3], [0.2, 0.1], [0.9, 0.4]]
    assert change(before, made, own, asked) == {"changed": 2 / 3, "kept": 1 / 2}
    assert change(before, before, own, asked) == {"changed": 0, "kept": 1}, "unchanged sources"


def test_of_classes_the_wanted_one_counts() -> None:
    before = [[0.9, 0.1, 0], [0.1, 0.9, 0], [0.1, 0.9, 0]]
    made = [[0.1, 0.8, 0.1], [0.9, 0.1, 0], [0.1, 0.9, 0]]
    assert change(before, made, [0, 1, 1], [1, 2, 1]) == {"changed": 1 / 2, "kept": 1}
    assert change(before, made, [0, 1, 1], [1, 2, 2]) == {"changed": 1 / 3}, "none was to stay"


def test_features_without_the_datas_labels_are_refused() -> None:
    with pytest.raises(UserError, match="label_change needs the data's own labels: take features=classifier"):
        change([[0.5, 0.5]], [[0.1, 0.2, 0.7]], [0], [1])


# --- refusals and runs


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["data=celeba", "data.root=.", "data.attribute=null"], r"set data\.attribute=\[Smiling,Male\]"),
        (["arch.discriminator.outputs=3"], r"outputs=3: game=stargan needs a logit for each of 10"),
        (["game.exclusive=[1]"], r"classes are exclusive by themselves"),
        (["degrade=noise"], "StarGAN changes the images themselves and has no targets: set degrade=identity"),
        (["degrade=none"], "StarGAN makes images from images: choose what they are made from"),
        (["game=gan", "arch=dcgan", "degrade=identity"], "GAN makes no images from images"),
        (["loss=none"], "this game is adversarial"),
    ],
)
def test_what_does_not_fit_is_refused(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        build_game(composed("data.resolution=8", "game=stargan", *overrides))


def test_networks_of_a_run_with_other_attributes_are_refused() -> None:
    stored, other = composed(*FACES), composed(*FACES, "data.attribute=[A,B]")
    with pytest.raises(
        UserError, match="its generator takes 3 classes or attributes, and this run's data have 2"
    ):
        with_nets_from_run(other, stored, [])


def test_exclusive_attributes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UserError, match=r"game\.exclusive=3: the attributes are 0 to 2"):
        game_of("game.exclusive=[3]")


def test_two_processes_are_one(tmp_path: Path) -> None:
    tiny = [*OF_GAME["stargan"], "batch_size=8"]
    cases = {
        loss: composed(*tiny, f"loss={loss}", "game.n_critic=1", *more)
        for loss, more in (("wgan_gp", []), ("rpgan", ["game.reuse_fake=true"]))
    }
    for process in differences_between_processes(tmp_path, cases):
        for found in process.values():
            assert found["gradient"] < 1e-12 and found["weight"] < 1e-12 and found["meter"] < 1e-5


def test_a_label_for_files_is_of_every_image() -> None:
    given: list[Tensor] = []

    class Net(nn.Module):
        classes = 2

        def forward(self, source: Tensor, y: Tensor) -> Tensor:
            given.append(y)
            return source

    images = Restored(Net(), Identity(source_shape=[1, 4, 4], output_shape=[1, 4, 4]))
    WithLabel(images, torch.tensor([[1, 0]]))(torch.zeros(3, 1, 4, 4))
    WithLabel(images, torch.tensor([1]))(torch.zeros(2, 1, 4, 4))
    assert given[0].tolist() == [[1, 0]] * 3 and given[1].tolist() == [1, 1]


def test_a_run_goes_on_bit_for_bit_and_changes_files(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides = [*OF_GAME["stargan"], "loss=wgan_gp", "epochs=1", "max_steps=12"]
    whole = train(*overrides, name="whole")
    with asked_to_stop(after=7), pytest.raises(Stopped):
        train(*overrides, name="cut")
    (cut,) = (whole.parents[1] / "cut").iterdir()
    train(f"resume={cut}", name="cut")
    assert list(differences(whole, cut)) == []
    Image.new("L", (10, 13)).save(tmp_path / "a.png")
    call = [f'run="{whole}"', "input=a.png", "output=out"]
    capfd.readouterr()
    verb(monkeypatch, tmp_path, "translate", *call, "label=3")
    assert "1 image with label 3: out" in capfd.readouterr().out
    assert Image.open(tmp_path / "out/a.png").size == (10, 13)
    for more, told in (
        ([], "label is missing: this run changes labels"),
        (["label=0..2"], "each image becomes one image here"),
        (["label=10"], "this run's labels are 0 to 9"),
        (["label.a=1"], "this run's labels are classes"),
    ):
        with pytest.raises(SystemExit):
            verb(monkeypatch, tmp_path, "translate", *call, *more)
        assert told in capfd.readouterr().err


def test_a_label_for_a_run_that_takes_none_is_refused(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(*OF_GAME["pix2pix"], "epochs=1", "max_steps=1")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(SystemExit):
        verb(monkeypatch, tmp_path, "translate", f'run="{run}"', "input=a.png", "output=o", "label=1")
    assert "label: this run makes images from images and takes no label" in capfd.readouterr().err
