"""The checkpoints of a run: the newest whole one is found, whatever happened to the others."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ganexp.errors import UserError
from ganexp.runs.checkpoints import CheckpointManager
from ganexp.runs.stored_checkpoints import latest, older_checkpoints, resolve_checkpoint
from ganexp.system.tensor_file import read, write


class Shelf:
    """A vault and what it said."""

    def __init__(self, folder: Path, keep: int | None = 2) -> None:
        self.said: list[str] = []
        self.vault = CheckpointManager(folder / "checkpoints", keep, self.said.append)

    def save(self, step: int, epoch: int | None = None) -> None:
        self.vault.save(content(step), epoch)
        self.vault.wait()

    def names(self) -> list[str]:
        return sorted(file.name for file in self.vault.folder.iterdir())

    def last_step(self) -> int:
        found = self.vault.latest()
        assert found is not None
        step: int = found.content["progress"]["step"]
        return step


def content(step: int) -> dict[str, Any]:
    return {
        "progress": {"step": step, "images": 64 * step, "rollbacks": 0},
        "weights": torch.full((100,), float(step)),
    }


def test_so_many_stay(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, keep=3)
    for epoch in range(1, 6):
        shelf.save(10 * epoch, epoch)
    assert shelf.names() == ["last.pt", "step_00000030_epoch_0003.pt", "step_00000040_epoch_0004.pt"]
    assert shelf.last_step() == 50 and shelf.vault.saved == 64 * 50


@pytest.mark.parametrize(("keep", "count"), [(1, 1), (None, 5)])
def test_one_or_all_stay(tmp_path: Path, keep: int | None, count: int) -> None:
    shelf = Shelf(tmp_path, keep)
    for epoch in range(1, 6):
        shelf.save(10 * epoch, epoch)
    assert len(shelf.names()) == count and shelf.last_step() == 50


def test_a_whole_epoch_always_stays(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, keep=2)
    shelf.save(10, 1)
    for step in (11, 12, 13):
        shelf.save(step)
    assert shelf.names() == ["last.pt", "step_00000010_epoch_0001.pt", "step_00000012.pt"]


def test_a_torn_one_is_passed_over(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.save(10, 1)
    shelf.save(20, 2)
    shelf.vault.last.write_bytes(shelf.vault.last.read_bytes()[:-500])
    found = Shelf(tmp_path).vault.latest()
    assert found is not None and found.content["progress"]["step"] == 10
    assert len(found.skipped) == 1 and "last.pt is damaged" in found.skipped[0]


def test_it_goes_on_after_a_torn_one(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.save(10, 1)
    shelf.save(20, 2)
    shelf.vault.last.write_bytes(b"torn")
    again = Shelf(tmp_path)
    assert again.last_step() == 10
    again.save(20, 2)
    assert again.names() == ["last.pt", "step_00000010_epoch_0001.pt"] and again.last_step() == 20


def test_all_are_torn(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.save(10, 1)
    shelf.save(20, 2)
    for file in shelf.vault.folder.iterdir():
        file.write_bytes(b"torn")
    with pytest.raises(UserError, match=r"last.pt is damaged.*step_00000010_epoch_0001.pt is damaged"):
        shelf.vault.latest()


def test_none_was_ever_written(tmp_path: Path) -> None:
    assert Shelf(tmp_path).vault.latest() is None and latest(tmp_path) is None


def test_killed_between_the_two_names(tmp_path: Path) -> None:
    """The old one has its own name already, the new one is still half written."""
    shelf = Shelf(tmp_path)
    shelf.save(10, 1)
    shelf.vault.last.rename(shelf.vault.folder / "step_00000010_epoch_0001.pt")
    (shelf.vault.folder / "last.pt.tmp").write_bytes(b"half")
    again = Shelf(tmp_path)
    assert again.last_step() == 10
    again.vault.clean()
    again.save(20, 2)
    assert again.names() == ["last.pt", "step_00000010_epoch_0001.pt"]


def test_what_cannot_be_written_leaves_the_last_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path)
    shelf.save(10, 1)
    before = shelf.vault.last.read_bytes()

    def full(content: dict[str, Any], file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ganexp.runs.checkpoints.save_tensors", full)
        shelf.save(20, 2)
    assert shelf.said == [
        "warning: no checkpoint at 1,280 images: No space left on device; the one at 640 stays"
    ]
    assert shelf.vault.saved == 640 and shelf.names() == ["last.pt"]
    assert shelf.vault.last.read_bytes() == before
    shelf.save(30, 3)
    assert shelf.last_step() == 30 and len(shelf.said) == 1


def test_what_is_no_fault_of_the_disk_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(content: dict[str, Any], file: Path) -> None:
        raise RuntimeError("a defect")

    shelf = Shelf(tmp_path)
    monkeypatch.setattr("ganexp.runs.checkpoints.save_tensors", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        shelf.save(10, 1)
    assert shelf.vault.saved == 0


def test_going_back_forgets_what_came_after(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, keep=None)
    for step, epoch in ((10, 1), (20, 2), (25, None), (30, None)):
        shelf.save(step, epoch)
    found = shelf.vault.rollback()
    assert found is not None and found.content["progress"]["step"] == 20 and shelf.vault.saved == 64 * 20
    assert shelf.names() == ["last.pt", "step_00000010_epoch_0001.pt"] and shelf.last_step() == 20
    shelf.save(21)
    assert [file.name for file in older_checkpoints(shelf.vault.folder)] == [
        "step_00000020_epoch_0002.pt",
        "step_00000010_epoch_0001.pt",
    ]


def test_training_goes_on_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    from ganexp.system.tensor_file import save_tensors

    go = Event()

    def slow(content: dict[str, Any], file: Path) -> None:
        go.wait(10)
        save_tensors(content, file)

    monkeypatch.setattr("ganexp.runs.checkpoints.save_tensors", slow)
    shelf = Shelf(tmp_path)
    shelf.vault.save(content(10), 1)
    assert not shelf.vault.last.exists() and shelf.vault.saved == 0
    go.set()
    shelf.vault.wait()
    assert shelf.vault.last.exists() and shelf.vault.saved == 640


@pytest.mark.parametrize("name", ["/tmp/model", "../../model", "step_1", "last", 7, None])
def test_a_checkpoint_cannot_name_itself_out_of_its_folder(tmp_path: Path, name: Any) -> None:
    shelf = Shelf(tmp_path)
    shelf.save(10, 1)
    shelf.save(20, 2)
    write(read(shelf.vault.last) | {"name": name}, shelf.vault.last)
    again = Shelf(tmp_path)
    found = again.vault.latest()
    assert found is not None and "its step name is missing or invalid" in found.skipped[0]
    again.save(30, 3)
    assert again.names() == ["last.pt", "step_00000010_epoch_0001.pt"]


@pytest.mark.parametrize("progress", [None, {}, {"step": "x", "images": 1, "rollbacks": 0}, {"step": -1}])
def test_a_checkpoint_that_does_not_say_how_far_it_is(tmp_path: Path, progress: Any) -> None:
    shelf = Shelf(tmp_path)
    shelf.save(10, 1)
    write(read(shelf.vault.last) | {"progress": progress}, shelf.vault.last)
    with pytest.raises(UserError, match="its counters of steps and images are missing"):
        shelf.vault.latest()


def test_the_best_one(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for step, epoch, best in ((10, 1, True), (20, 2, True), (30, 3, False)):
        shelf.vault.save(content(step), epoch, best=best)
    shelf.vault.wait()
    folder = shelf.vault.folder
    assert resolve_checkpoint(folder, "best").content["progress"]["step"] == 20
    assert resolve_checkpoint(folder, "last").content["progress"]["step"] == 30
    assert resolve_checkpoint(folder, "step_00000020_epoch_0002.pt").content["progress"]["step"] == 20
    with pytest.raises(UserError, match="checkpoint=worst"):
        resolve_checkpoint(folder, "worst")


def test_going_back_gives_up_a_best_one_from_later(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.vault.best.value = 1.5
    shelf.vault.save(content(10), 1, best=True)
    shelf.vault.wait()
    shelf.vault.rollback()
    assert shelf.vault.best.value == 1.5 and (shelf.vault.folder / "best.pt").is_file()
    shelf.vault.save(content(20), None, best=True)
    shelf.vault.wait()
    shelf.vault.rollback()
    assert shelf.vault.best.value is None and not (shelf.vault.folder / "best.pt").is_file()


def test_a_best_one_that_was_not_written_is_forgotten(tmp_path: Path) -> None:
    best = Shelf(tmp_path).vault.best
    best.value = 1.5
    best.write_failed(2.0)
    assert best.value == 1.5, "a better score has come since"
    best.write_failed(1.5)
    assert best.value is None
    best.restore({"best": 1.5})
    assert best.value is None, "there is no best.pt"
