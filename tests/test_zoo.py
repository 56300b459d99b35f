"""Generators that come with ganexp: their folders, their copies, and the verbs that take them."""

from pathlib import Path

import pytest
from conftest import command, verb
from PIL import Image

import ganexp
from ganexp.cli.zoo import zoo as list_zoo
from ganexp.config import zoo
from ganexp.config.exported_files import GENERATOR, SHARED
from ganexp.errors import UserError
from ganexp.export.sent import check_taken, files_of


@pytest.mark.parametrize("name", zoo.names())
def test_each_is_small_complete_and_names_its_terms(name: str) -> None:
    folder = zoo.MODELS / name
    check_taken(folder, name)
    assert {path.name for path in folder.iterdir()} == {file.name for file in files_of(folder)} <= set(SHARED)
    assert (folder / GENERATOR).stat().st_size <= 900_000
    card = (folder / "README.md").read_text()
    assert "license: " in card and "not known" not in card and "| fid_cnn |" in card


def test_all_recipes_come_with_it() -> None:
    assert zoo.names() == ["digits", "digits-cgan", "digits-vae", "fashion", "mnist-cgan"]


def test_a_run_of_the_zoo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Is copied once; a copy that was changed is made anew, and what verbs write beside it stays."""
    for _ in range(2):
        verb(monkeypatch, tmp_path, "sample", "run=zoo:digits", "n=9", "device=cpu")
    copy = tmp_path / "outputs/zoo/digits"
    (picture,) = (copy / "samples").iterdir()
    with Image.open(picture) as grid:
        assert grid.width > 30
    (copy / GENERATOR).write_bytes(b"damaged")
    assert zoo.run_folder("zoo:digits") == "outputs/zoo/digits" and picture.is_file()
    assert (copy / GENERATOR).read_bytes() == (zoo.MODELS / "digits" / GENERATOR).read_bytes()
    assert zoo.run_folder("outputs/mine") == "outputs/mine"
    (copy / "config.yaml").write_text((copy / "config.yaml").read_text() + "# changed\n")
    assert (
        ganexp.load("zoo:digits").sample(2).shape[0] == 2 and "# changed" in (copy / "config.yaml").read_text()
    )
    with pytest.raises(UserError, match=r"run=zoo:digit: did you mean digits"):
        zoo.run_folder("zoo:digit")
    (tmp_path / "elsewhere/outputs").mkdir(parents=True)
    (tmp_path / "elsewhere/outputs/zoo").write_text("a file")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="run=zoo:digits: outputs/zoo/digits cannot be written"):
        zoo.run_folder("zoo:digits")


def test_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    list_zoo([])
    told = capfd.readouterr().out
    assert all(f"zoo:{name}" in told for name in zoo.names()) and "MB" in told and "fid_cnn" in told
    with Image.open(tmp_path / "outputs/zoo/zoo.png") as picture:
        assert picture.width == len(zoo.names()) * 264
    for wrong in (["x"], ["size=3"]):
        with pytest.raises(UserError):
            list_zoo(wrong)
    assert "ganexp zoo [out=FILE]" in command(tmp_path, "zoo", "--help").stdout
