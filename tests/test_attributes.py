"""Labels that are several attributes at once: from the file of CelebA to grids, samples and scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import composed, verb
from PIL import Image

from ganexp.data.arrays import Arrays
from ganexp.data.held_out import held_out
from ganexp.data.source import Source
from ganexp.errors import UserError
from ganexp.games.game import Game
from ganexp.games.request import Request
from ganexp.nets.layers import label_vectors
from ganexp.training.build import build, build_game

NAMES = ("Bright", "Red", "Round")
FACES = 48
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
    assert many.preview_count(64) == 80, "as many rows as classes have at most"


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
