"""Pushing and pulling against a stand-in of the hub: what is sent, who is asked, what is refused."""

import json
from pathlib import Path

import pytest
import torch
from conftest import TINY, Verb, command, verb
from hub_stand_in import Hub, Repository, stand_in

from ganexp.config.exported_files import GENERATOR
from ganexp.errors import UserError
from ganexp.export.sent import check_taken, files_of, sha256
from ganexp.runs.exported import write_generator

pytest.importorskip("huggingface_hub")

SENT = [GENERATOR, "config.yaml", "run.json", "README.md", "samples.png", "export.json"]


@pytest.fixture
def folder(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An exported folder, with a program of torch and something else in it."""
    run = train(*TINY, "max_steps=1")
    verb(monkeypatch, tmp_path, "export", f"run={run}", "format=[safetensors,torch_export]", "out=made")
    (tmp_path / "made/train.log").write_text("secret")
    return tmp_path / "made"


def call(hub: Hub, folder: Path, *arguments: str, token: str | None = None) -> tuple[int, str]:
    """Of a verb in a process of its own, whose hub is the stand-in: the status, and what was printed."""
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
    done = command(folder, *arguments, **settings, HF_TOKEN=hub.token if token is None else token)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_there_and_back(folder: Path, tmp_path: Path) -> None:
    """What arrives is what was listed, and nothing else; what comes back makes the same samples."""
    with stand_in() as hub:
        status, told = call(hub, tmp_path, "push", "run=made", "to=me/digits")
        assert status == 0 and "nothing was sent; dry_run=false sends it" in told and not hub.bodies
        assert all(name in told for name in SENT) and "generator.pt2" not in told and "train.log" not in told
        status, told = call(hub, tmp_path, "push", "run=made", "to=me/digits", "dry_run=false")
        assert status == 2 and "nobody can be asked here" in told and not hub.bodies
        agreed = ["push", "run=made", "to=me/digits", "dry_run=false", "confirmed=true"]
        status, told = call(hub, tmp_path, *agreed, token="wrong")
        assert status == 2 and "to=me/digits: not found, or you are not logged in: hf auth login" in told
        status, told = call(hub, tmp_path, *agreed)
        assert status == 0 and "sent: ganexp pull repo=me/digits" in told and "HTTP" not in told, told
        assert hub.token not in told
        stored = hub.repositories["me/digits"]
        assert stored.private and sorted(stored.files) == sorted(SENT) and not hub.unknown
        assert all(content == (folder / name).read_bytes() for name, content in stored.files.items())
        assert not any(
            secret in body for body in hub.bodies for secret in (str(tmp_path).encode(), b"hf_secret")
        )
        hub.repositories["me/open"] = Repository(private=False)
        status, told = call(hub, tmp_path, *agreed, "to=me/open")
        assert status == 2 and "to=me/open: is public" in told and not hub.repositories["me/open"].files
        stored.files |= {"evil.py": b"raise SystemExit", "model.bin": b"pickle", "generator.pt2": b"x"}
        status, told = call(hub, tmp_path, "pull", "repo=me/digits")
        taken = tmp_path / "outputs/hub/me--digits"
        assert status == 0 and f"it is a run: ganexp sample run={taken.relative_to(tmp_path)}" in told, told
        assert sorted(path.name for path in taken.iterdir()) == sorted(SENT) and not hub.unknown
        status, told = call(hub, tmp_path, "pull", "repo=me/digits")
        assert status == 2 and "is there already" in told
        stored.files[GENERATOR] = stored.files[GENERATOR][:-1] + b"\0"
        status, told = call(hub, tmp_path, "pull", "repo=me/digits", "out=other")
        assert status == 2 and f"{GENERATOR} is not the file that was exported" in told
        assert not (tmp_path / "other").exists()
        status, told = call(hub, tmp_path, "pull", "repo=me/nothing", "out=other")
        assert status == 2 and "repo=me/nothing: not found" in told
    for number, run in enumerate(("made", str(taken))):
        assert (
            command(tmp_path, "sample", f"run={run}", "n=9", f"out=grid{number}", "device=cpu").returncode == 0
        )
    assert (tmp_path / "grid0.png").read_bytes() == (tmp_path / "grid1.png").read_bytes()


def exported(folder: Path) -> None:
    folder.mkdir()
    write_generator({"a": torch.ones(2)}, "step_00000001", {"step": 1, "images": 64}, folder / GENERATOR)
    (folder / "config.yaml").write_text("data:\n  _target_: a.b\n  root: left-out\n")
    record(folder)


def record(folder: Path) -> None:
    """Writes export.json anew."""
    hashes = {name: sha256(folder / name) for name in (GENERATOR, "config.yaml")}
    (folder / "export.json").write_text(json.dumps({"sha256": hashes}))


def test_what_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"was not exported: ganexp export run=.* writes .*export"):
        files_of(tmp_path)
    folder = tmp_path / "made"
    with pytest.raises(UserError, match=r"run=.*made: there is no such folder"):
        files_of(folder)
    exported(folder)
    assert [file.name for file in files_of(folder)] == [GENERATOR, "config.yaml", "export.json"]
    (folder / "config.yaml").write_text("data:\n  root: /home/me/secret\n")
    with pytest.raises(UserError, match=r"config.yaml is not the file that was exported"):
        files_of(folder)
    record(folder)
    with pytest.raises(UserError, match=r"config.yaml: data.root=/home/me/secret may be a path: change it"):
        files_of(folder)
    (folder / "config.yaml").write_text("data:\n  root: left-out\n")
    record(folder)
    (folder / "README.md").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("private")
    with pytest.raises(UserError, match=r"README.md is a link"):
        files_of(folder)
    (folder / "README.md").unlink()
    (folder / "export.json").unlink()
    with pytest.raises(UserError, match=r"export.json missing: this is no folder of ganexp export"):
        files_of(folder)


def test_what_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    exported(folder)
    check_taken(folder, "repo=a/b")
    (folder / "config.yaml").write_text("data: {}\n")
    with pytest.raises(UserError, match=r"repo=a/b: config.yaml is not the file that was exported"):
        check_taken(folder, "repo=a/b")
    for damaged in ("{", "[]", '{"sha256": 3}', "[" * 100_000):
        (folder / "export.json").write_text(damaged)
        with pytest.raises(UserError, match=r"repo=a/b: export.json is damaged"):
            check_taken(folder, "repo=a/b")
