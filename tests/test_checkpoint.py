"""A checkpoint file is whole or refused, and nothing in it is ever run."""

import io
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from ganexp.system.tensor_file import Damaged, digest, read, save_tensors, write

CONTENT: dict[str, Any] = {
    "weights": {"a": torch.arange(1000.0).reshape(10, 100), "b": torch.tensor([1, 2], dtype=torch.int64)},
    "half": torch.ones(3, dtype=torch.bfloat16),
    "progress": {"step": 7, "seconds": 0.5},
    "list": [1, None, "text", torch.zeros(())],
}


def same(one: Any, two: Any) -> bool:
    if isinstance(one, dict):
        return bool(one.keys() == two.keys()) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else bool(one == two)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(CONTENT, tmp_path / "a.pt")
    assert same(read(tmp_path / "a.pt"), CONTENT)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def test_anyone_can_open_it_without_ganexp(tmp_path: Path) -> None:
    write(CONTENT, tmp_path / "a.pt")
    assert torch.equal(torch.load(tmp_path / "a.pt", weights_only=True)["content"]["half"], CONTENT["half"])


def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path) -> None:
    """Anywhere in the file: it is refused, or it lay where nothing is stored."""
    file = tmp_path / "a.pt"
    write(CONTENT, file)
    whole, rng, refused = file.read_bytes(), random.Random(0), 0
    for _ in range(300):
        torn = bytearray(whole)
        torn[rng.randrange(len(torn))] ^= 1 << rng.randrange(8)
        file.write_bytes(torn)
        try:
            content = read(file)
        except Damaged as error:
            assert str(error).startswith(f"{file} is ") and "\n" not in str(error)
            refused += 1
        else:
            assert same(content, CONTENT)
    assert refused > 100


def test_a_flipped_byte_of_a_weight_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    write(CONTENT, file)
    whole = file.read_bytes()
    place = whole.index(CONTENT["weights"]["a"].numpy().tobytes()) + 1234
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    with pytest.raises(Damaged, match="its checksum is wrong"):
        read(file)


@pytest.mark.parametrize("length", [0, 1, 100, -1, -1000])
def test_a_torn_file(tmp_path: Path, length: int) -> None:
    file = tmp_path / "a.pt"
    write(CONTENT, file)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(Damaged, match="is damaged"):
        read(file)


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"format": 2, "sha256": "", "content": {"game": Evil()}}, tmp_path / "a.pt")
    with pytest.raises(Damaged, match="holds Python objects, which are never loaded"):
        read(tmp_path / "a.pt")
    assert not (tmp_path / "owned").exists()


def test_another_programs_file(tmp_path: Path) -> None:
    torch.save({"model": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(Damaged, match="no checkpoint of this version"):
        read(tmp_path / "a.pt")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("count", [1, 3_000_000])
def test_no_room(count: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        save_tensors(CONTENT | {"more": torch.ones(count)}, Path("/dev/full"))


class _Filling(io.FileIO):
    """A file on a disk that takes so many bytes."""

    room = 0

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("missing", [1, 100, 1_000, 3_000, 500_000, 4_000_000, 11_000_000])
def test_the_disk_is_full_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    content = {"a": torch.ones(1_000_000), "b": [torch.ones(1_000), torch.ones(2_000_000)]}
    file = tmp_path / "a.pt"
    save_tensors(content, file)
    monkeypatch.setattr(_Filling, "room", file.stat().st_size - missing)
    monkeypatch.setattr(Path, "open", lambda path, mode: _Filling(str(path), mode))
    with pytest.raises(OSError, match="No space left"):
        save_tensors(content, file)


def test_the_digest_sees_every_change_and_no_layout() -> None:
    tensor = torch.arange(24.0).reshape(1, 2, 3, 4)
    one = digest({"a": tensor})
    assert one == digest({"a": tensor.to(memory_format=torch.channels_last)})
    others = [
        {"b": tensor},
        {"a": tensor.reshape(2, 1, 3, 4)},
        {"a": tensor.double()},
        {"a": -tensor},
        {"a": [tensor]},
        {"a": tensor, "c": None},
    ]
    assert one not in map(digest, others) and len(set(map(digest, others))) == len(others)
    assert digest({"a": torch.zeros(3)}) != digest({"a": torch.zeros(3, dtype=torch.int32)}), "the same bytes"
    assert digest({"x": 1}) != digest({"x": 1.0}) != digest({"x": "1.0"})


def endless() -> list[Any]:
    """A list that holds itself."""
    held: list[Any] = []
    held.append(held)
    return held


def doubled(levels: int) -> list[Any]:
    """A few hundred bytes that stand for 2**levels values."""
    held: list[Any] = [1]
    for _ in range(levels):
        held = [held, held]
    return held


HOSTILE: dict[str, Any] = {
    "expanded": lambda: torch.zeros(1).expand(10**11),
    "expanded twice": lambda: torch.zeros(1).expand(10**6, 10**9),
    "without storage": lambda: torch.empty(10**11, device="meta"),
    "sparse": lambda: torch.sparse_coo_tensor(torch.zeros(2, 1), torch.ones(1), (10**8, 10**8)),
    "one storage many times": lambda: [CONTENT["weights"]["a"]] * 1_000,
    "endless": endless,
    "doubled": lambda: doubled(40),
    "deep": lambda: nested(200),
    "many digits": lambda: 10**5_000,
    "a set": lambda: {1, 2},
    "an odd key": lambda: {(1, 2): 3},
}


def nested(levels: int) -> list[Any]:
    held: list[Any] = []
    for _ in range(levels):
        held = [held]
    return held


@pytest.mark.parametrize("what", HOSTILE)
def test_what_stands_for_more_than_the_file_holds_is_refused(tmp_path: Path, what: str) -> None:
    file = tmp_path / "a.pt"
    torch.save({"format": 2, "sha256": "", "content": {"ema": {"a": HOSTILE[what]()}}}, file)
    with pytest.raises(Damaged) as raised:
        read(file)
    assert "\n" not in str(raised.value) and "checksum" not in str(raised.value)


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    write({"a": torch.zeros(10_000)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as whole,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    with pytest.raises(Damaged, match="compressed"):
        read(tmp_path / "b.pt")
