"""Labels that are several attributes at once: from the file of CelebA to grids, samples and scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Verb, composed, verb
from PIL import Image

from ganexp.data.arrays import Arrays
from ganexp.data.held_out import held_out
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.request import Request
from ganexp.metrics import classifier
from ganexp.nets.layers import label_vectors
from ganexp.training.build import build, build_game
from ganexp.training.evaluation import Evaluator

NAMES = ("Bright", "Red", "Round")
CPU = torch.device("cpu")
FACES = 160
BOTH = "data.attribute=[Red,Bright]"
DATA = ["data=celeba", "data.resolution=8", "arch=mlp"]


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder like CelebA's: the attributes of number n are n's last bits, and two of them can be seen."""
    root = tmp_path / "faces"
    (root / "img_align_celeba").mkdir(parents=True)
    rows, splits = [str(FACES), " ".join(NAMES)], []
    for number in range(FACES):
        bright, red, round_ = (number >> bit & 1 for bit in range(3))
        low, high = (130, 250) if bright else (10, 120)
        colour = (high, low, low) if red else (low, low, high)
        name = f"{number:06d}.png"
        Image.new("RGB", (20, 24), colour).save(root / "img_align_celeba" / name)
        rows.append(" ".join([name, *("1" if has else "-1" for has in (bright, red, round_))]))
        splits.append(f"{name} {0 if number < 32 else 2}")
    (root / "list_attr_celeba.txt").write_text("\n".join(rows) + "\n")
    (root / "list_eval_partition.txt").write_text("\n".join(splits) + "\n")
    return root


def source_of(faces: Path, *overrides: str) -> Source:
    cfg = composed(*DATA, f"data.root={faces}", *overrides)
    source: Source = build(cfg.data)
    return source


def test_a_list_of_names_makes_attributes(faces: Path) -> None:
    source = source_of(faces, "data.split=all", BOTH)
    found = source.load()
    assert (source.label_kind, source.classes) == ("attributes", 2) and found.classes == ("Red", "Bright")
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == [[number >> 1 & 1, number & 1] for number in range(FACES)]
    other = source_of(faces, "data.split=all", "data.attribute=[Bright,Red]").load()
    assert other.fingerprint != found.fingerprint and (other.labels == found.labels[:, ::-1]).all()


def test_a_list_of_one_name_is_one_attribute_and_a_name_is_two_classes(faces: Path) -> None:
    several, one, none = (source_of(faces, f"data.attribute={each}") for each in ("[Red]", "Red", "null"))
    assert several.load().labels.shape == (32, 1) and several.load().classes == ("Red",)
    assert one.load().classes == ("not Red", "Red") and one.load().labels.shape == (32,)
    assert [each.classes for each in (several, one, none)] == [1, 2, 1]
    assert [each.label_kind for each in (several, one, none)] == ["attributes", "classes", "classes"]


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("[]", "data.attribute=[]: should be a name, or a list of one or more names"),
        ("3", "data.attribute=3: should be a name, or a list of one or more names"),
        ("[Red,3]", r"data.attribute=['Red', 3]: should be a name, or a list of one or more names"),
        ("[Red,Bright,Red]", "should have each name once, and Red is there 2 times"),
    ],
)
def test_what_is_no_attribute_is_refused_before_the_data_are_read(attribute: str, told: str) -> None:
    with pytest.raises(UserError) as refused:
        composed("data=celeba", f"data.attribute={attribute}")
    assert told in str(refused.value)


def test_an_attribute_that_is_not_in_the_file_is_refused_with_the_nearest(faces: Path) -> None:
    with pytest.raises(UserError, match=r"data\.attribute=Rond: no such attribute; did you mean Round\?"):
        source_of(faces, "data.attribute=[Red,Rond]").load()


def test_held_out_attributes_are_in_the_order_of_the_training_data(faces: Path) -> None:
    source = source_of(faces, BOTH)
    found = held_out(source, source.load(), "test")
    assert found.labels is not None
    assert found.labels.tolist() == [[number >> 1 & 1, number & 1] for number in range(32, FACES)]
    mine = source.load()
    swapped = Arrays(mine.samples, mine.labels, mine.classes[::-1])
    labels = held_out(source, swapped, "test").labels
    assert labels is not None and (labels == found.labels[:, ::-1]).all()
    assert held_out(source, Arrays(mine.samples, mine.labels, ("Red", "Old")), "test").labels is None


def test_they_are_counted(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = ["data=celeba", f"data.root={faces}", "data.resolution=8", "data.attribute=[Round,Red]"]
    verb(monkeypatch, tmp_path, "data_info", *chosen)
    assert "attributes   2: Round 16, Red 16\n" in capfd.readouterr().out


# --- the conditional game


def game_of(faces: Path, *overrides: str) -> Game:
    return build_game(composed(*DATA, f"data.root={faces}", "game=cgan", *overrides))


def test_a_grid_has_a_row_for_each_combination(faces: Path) -> None:
    game = game_of(faces, BOTH)
    assert game.preview_count(62) == 64
    request, columns = game.grid(Request(8))
    assert request.label is not None and columns == 2
    assert request.label.tolist() == [[0, 0]] * 2 + [[0, 1]] * 2 + [[1, 0]] * 2 + [[1, 1]] * 2
    asked = torch.tensor([[1, 1]] * 8)
    kept = game.grid(Request(8, asked)).request.label
    assert kept is not None and torch.equal(kept, asked)
    one = game_of(faces, "data.attribute=[Red]").grid(Request(2)).request.label
    assert one is not None and one.tolist() == [[0], [1]]


def test_a_grid_of_many_attributes_has_a_row_for_each_alone(faces: Path) -> None:
    game = game_of(faces, "data.attribute=[A,B,C,D,E]")
    assert game.preview_count(64) == 65
    request, columns = game.grid(Request(10))
    assert request.label is not None and columns == 2
    assert torch.equal(request.label, torch.eye(5, dtype=torch.int64).repeat_interleave(2, 0))
    many = game_of(faces, f"data.attribute=[{','.join(f'A{n}' for n in range(40))}]")
    assert many.preview_count(20) == 20, "as many rows as classes have at most"


def test_what_may_be_asked_for(faces: Path) -> None:
    game, rng = game_of(faces, BOTH), torch.Generator()
    asked = torch.tensor([[1, 1], [0, 1]])
    found = game.inputs(Request(2, asked), rng)
    assert found.labels is not None and torch.equal(found.labels, asked)
    alone = game.inputs(Request(2, torch.tensor([1, 0])), rng).labels
    assert alone is not None and alone.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(UserError, match="label=2: this run's labels are 0 to 1"):
        game.inputs(Request(1, torch.tensor([2])), rng)
    with pytest.raises(UserError, match=r"label: of shape \[3\] for each sample; .* of shape \[2\]"):
        game.inputs(Request(1, torch.zeros(1, 3, dtype=torch.int64)), rng)
    with pytest.raises(UserError, match=r"label: of shape \[2\] for each sample; .* of shape \[\]"):
        game_of(faces, "data.attribute=Red").inputs(Request(2, asked), rng)


def test_attributes_are_the_vectors_that_networks_take() -> None:
    y = torch.tensor([[1, 1, 0], [0, 1, 0]])
    for labels in (y, y.double()):
        found = label_vectors(labels, 3)
        assert found.dtype == torch.float32 and found.tolist() == y.tolist()


@pytest.mark.parametrize("arch", ["mlp", "dcgan", "maxout"])
def test_every_network_sees_each_attribute(faces: Path, arch: str) -> None:
    game = game_of(faces, f"arch={arch}", "data.resolution=16", BOTH).eval()
    z = game.inputs(Request(1, torch.tensor([0])), torch.Generator()).args[0].expand(4, -1)
    labels = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    samples = game.generator(z, labels)
    logits = game.parts.nets["discriminator"](samples[:1].expand_as(samples), labels)
    assert len({tuple(sample.flatten().tolist()) for sample in samples}) == 4
    assert len(set(logits.tolist())) == 4


# --- scores


SCORED = ["game=cgan", "metrics=[accuracy,fid]", "evaluate.count=60", BOTH]


@pytest.fixture
def judge(faces: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluator:
    monkeypatch.setattr(classifier, "_MIN_STEPS", 40)
    cfg = composed(*DATA, f"data.root={faces}", "data.split=all", *SCORED)
    source: Source = build(cfg.data)
    return Evaluator(source, source.load(), cfg, CPU)


def test_accuracy_is_the_mean_over_attributes(judge: Evaluator) -> None:
    assert "right on 100.00% of held-out images' attributes" in judge.features.about
    assert judge.features.suffix == "_cnn", "what features=auto takes"
    probabilities = judge.real.probabilities
    assert probabilities is not None and judge.real.labels is not None
    assert (np.abs(probabilities - judge.real.labels) < 0.5).all(), "sigmoids, which do not sum to 1"
    assert judge.floor()["accuracy_cnn"] == 1
    half = judge.real.labels.copy()
    half[:, 1] = 1 - half[:, 1]
    assert judge.score_samples(judge.real.samples, half)["accuracy_cnn"] == 0.5
    half[::2] = judge.real.labels[::2]
    assert judge.score_samples(judge.real.samples, half)["accuracy_cnn"] == 0.75


@pytest.mark.parametrize("attribute", ["[Red,Bright]", "[Red]"])
def test_the_classifier_predicts_each_attribute(
    faces: Path, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    monkeypatch.setattr(classifier, "_MIN_STEPS", 40)
    source = source_of(faces, "data.split=all", f"data.attribute={attribute}")
    data = source.load()
    net, _, accuracy = classifier.trained_classifier(source, data, CPU)
    predicted = classifier.predict_labels(net, np.asarray(data.samples), CPU)
    assert accuracy == 1 and predicted.dtype == np.int64 and (predicted == data.labels).all()


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("is", "metrics=is goes by classes, and this data's labels are attributes: take features=inception"),
        (
            "intra_fid",
            "metrics=intra_fid, intra_recall and cas go by classes, and this data's labels are several "
            "attributes",
        ),
        (
            "cas",
            "metrics=intra_fid, intra_recall and cas go by classes, and this data's labels are several "
            "attributes",
        ),
    ],
)
def test_scores_of_classes_refuse_attributes(
    faces: Path, monkeypatch: pytest.MonkeyPatch, metric: str, told: str
) -> None:
    monkeypatch.setattr(classifier, "_MIN_STEPS", 1)
    cfg = composed(*DATA, f"data.root={faces}", "data.split=all", *SCORED, f"metrics={metric}")
    source: Source = build(cfg.data)
    with pytest.raises(UserError) as refused:
        Evaluator(source, source.load(), cfg, CPU).floor()
    assert str(refused.value) == told


# --- a run


def test_a_run_with_attributes_is_trained_sampled_and_scored(
    faces: Path,
    train: Verb,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(classifier, "_MIN_STEPS", 1)
    small = ["arch.generator.widths=[8]", "arch.discriminator.widths=[8]", "batch_size=8", "max_steps=2"]
    root = f"data.root={faces}"
    run = train(*DATA, root, "game=cgan", BOTH, *small, "metrics=accuracy", "evaluate.count=12")
    assert "accuracy_cnn" in (run / "metrics.jsonl").read_text()

    def take(name: str, *overrides: str) -> None:
        verb(monkeypatch, tmp_path, name, f"run={run}", *overrides)

    def refused(name: str, *overrides: str) -> str:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            take(name, *overrides)
        assert ended.value.code == 2
        return capfd.readouterr().err.splitlines()[-1]

    take("sample", "n=3", "label=Bright", "format=npz")
    take("sample", "n=8", "format=npz")
    asked, overview = (np.load(run / f"samples/sample_{name}.npz") for name in ("3_seed_0_label_1", "8_seed_0"))
    assert asked["labels"].tolist() == [[0, 1]] * 3
    assert overview["labels"][::2].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert "label=Brigt: no such attribute; did you mean Bright?" in refused("sample", "label=Brigt")
    assert "labels are several attributes: use format=grid" in refused("sample", "format=classes")
    for number in range(8):
        folder = tmp_path / "mine" / ("Red" if number % 2 else "Bright")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    told = refused("evaluate", f"against={tmp_path}/mine", "metrics=accuracy", "count=8")
    assert "need labels: those that a generator was asked for" in told, "folders say one class, not attributes"
