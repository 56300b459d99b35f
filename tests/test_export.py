"""Exported generators: files of each format, the card, the folder as a run, and what is left out."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ENVIRONMENT, OF_GAME, TINY, Verb, composed, tiny, verb
from PIL import Image
from torch import Tensor, nn

from ganexp.config.exported_files import GENERATOR, LEFT_OUT
from ganexp.errors import UserError
from ganexp.export import formats
from ganexp.export.formats import FORMATS, check_packages, traced, written
from ganexp.export.inputs import DRAWN
from ganexp.export.portable import Exportable, exportable
from ganexp.export.shareable import shareable_config, shareable_manifest
from ganexp.games.request import Request
from ganexp.runs.exported import read_generator, write_generator
from ganexp.runs.saved_run import SavedRun, find_runs
from ganexp.system.tensor_file import Damaged
from ganexp.training.build import build_game, build_source

IMAGES = ["data.resolution=16", "evaluate.every=null"]
FAST = {
    "mlp": TINY,
    "labels": [*TINY, "game=cgan"],
    "codes": tiny("infogan"),
    "plane": ["data=ring", "arch=mlp", "evaluate.every=null"],
    "styles": [*IMAGES, "arch=stylegan2_small"],
    "growing": [*IMAGES, "arch=progressive_small"],
    "both ways": OF_GAME["cyclegan"],
    "any size and labels": OF_GAME["stargan"],
    "one size": OF_GAME["pix2pix"],
    "reconstructions": OF_GAME["ganomaly"],
}
SLOW = {
    "dcgan": [*IMAGES, "arch=dcgan", "arch.generator.width=4", "arch.discriminator.width=4"],
    "resnet": [*IMAGES, "arch=resnet_small"],
    "sagan": ["data.resolution=32", "evaluate.every=null", "arch=sagan_small"],
    "biggan": [*IMAGES, "arch=biggan_small", "game=cgan"],
    "r3gan": ["data.resolution=32", "evaluate.every=null", "arch=r3gan_small"],
    "maxout": [*TINY[:1], *TINY[4:], "data.resolution=8", "arch=maxout"],
    **{game: OF_GAME[game] for game in ("srgan", "style", "cut", "inpaint", "vae", "bigan", "fanogan")},
}


def exported(overrides: list[str], direction: str | None = None) -> Exportable:
    torch.manual_seed(0)
    cfg = composed(*overrides)
    game = build_game(cfg)
    return exportable(game, game.generator, build_source(cfg), direction)


def way(name: str) -> str | None:
    return "BtoA" if name == "both ways" else None


@pytest.mark.parametrize("name", FAST)
def test_a_traced_generator_makes_the_same_samples(name: str, tmp_path: Path) -> None:
    """Of any number, and of sources of another size where the network takes any."""
    module = exported(FAST[name], way(name))
    file, largest = written("torch_export", module, traced(module), tmp_path)
    assert largest < 1e-5 and file == tmp_path / "generator.pt2"
    assert (module.multiple is not None) == (name in ("both ways", "any size and labels"))
    assert [row[0] for row in module.table()] == [*module.names, module.output]
    for one, part in zip(module.inputs, module.example(DRAWN, 0), strict=True):
        drawn = eval(one.of_torch, {"torch": torch})
        other = torch.from_numpy(eval(one.of_numpy, {"numpy": np, "rng": np.random.default_rng(0)}))
        assert drawn.shape == other.shape == part.shape and drawn.dtype == other.dtype == part.dtype


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SLOW, *FAST])
def test_every_format_of_every_kind_of_generator(name: str, tmp_path: Path) -> None:
    module = exported(SLOW.get(name) or FAST[name], way(name))
    program = traced(module)
    for each in FORMATS:
        _, largest = written(each, module, program, tmp_path)
        assert largest < 1e-4


def test_codes_are_drawn_as_codes() -> None:
    (z,) = exported(FAST["codes"]).inputs
    drawn = eval(z.of_torch, {"torch": torch})
    game = build_game(composed(*FAST["codes"]))
    assert game.prior is not None
    start = game.prior.noise_size
    for kind in game.code_kinds:
        part = drawn[:, start : start + (kind or 1)]
        assert (
            bool((part.sum(1) == 1).all() and (part.amax(1) == 1).all())
            if kind
            else bool((part.abs() <= 1).all())
        )
        start += kind or 1
    assert "one-hot of" in z.about and start == drawn.shape[1]


def test_a_spectral_norm_is_that_of_evaluation() -> None:
    """Its power iteration makes a step in training mode, also when it is removed."""
    cfg = composed(
        "data.resolution=32", "evaluate.every=null", "arch=sagan_small", "arch.generator.spectral=true"
    )
    game = build_game(cfg)
    with torch.no_grad():
        for weight in game.generator.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    inputs = game.inputs(Request(3), torch.Generator().manual_seed(0)).args
    with torch.no_grad():
        wanted = game.generator.eval()(*inputs)
    game.generator.train()
    module = exportable(game, game.generator, build_source(cfg))
    torch.testing.assert_close(module(inputs), wanted)


def test_onnx(tmp_path: Path) -> None:
    module = exported(FAST["labels"])
    file, largest = written("onnx", module, traced(module), tmp_path)
    assert largest < 1e-5
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["z", "label"]
    assert session.get_modelmeta().custom_metadata_map["image"] == "[N, 1, 8, 8], in [-1, 1]"


class Other(nn.Module):
    """Differs from what was traced."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.ones(len(z), 1, 8, 8)


class Broken(Other):
    """Makes nan of more than one sample."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.full((len(z), 1, 8, 8), float("nan") if len(z) > 1 else 1.0)


class Branching(nn.Module):
    """Decides by a value, which torch.export cannot follow."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.ones(z.shape[0], 1, 8, 8) if z.sum() > 0 else torch.zeros(z.shape[0], 1, 8, 8)


class Rolling(nn.Module):
    """Draws noise of its own."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.randn(len(z), 1, 8, 8)


def test_a_file_that_differs_is_removed(tmp_path: Path) -> None:
    module = exported(TINY)
    program = traced(module)
    module.module.net = Other()
    with pytest.raises(
        UserError, match=r"format=torch_export: outputs differ by up to .* the file was removed"
    ):
        written("torch_export", module, program, tmp_path)
    assert not list(tmp_path.iterdir())


def test_outputs_that_are_no_numbers_are_found(tmp_path: Path) -> None:
    module = exported(TINY)
    program = traced(module)
    module.module.net = Broken()
    with pytest.raises(UserError, match=r"outputs differ by up to nan"):
        written("torch_export", module, program, tmp_path)


def test_a_network_that_cannot_be_written() -> None:
    cfg = composed(*TINY)
    module = exportable(build_game(cfg), Branching(), build_source(cfg))
    with pytest.raises(UserError, match=r"this network cannot be written so: .*format=safetensors always can"):
        traced(module)


def test_a_generator_with_noise_of_its_own_is_refused() -> None:
    cfg = composed(*TINY)
    game = build_game(cfg)
    with pytest.raises(UserError, match="this generator draws random numbers when it is called"):
        exportable(game, Rolling(), build_source(cfg))


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name.startswith("onnx") else object())
    with pytest.raises(UserError, match=r"format=onnx needs onnx and onnxscript and onnxruntime: pip install"):
        check_packages(["torch_export", "onnx"])


def test_weights_in_safetensors(tmp_path: Path) -> None:
    """Bit for bit, of every dtype; and files that are none of ours are damaged."""
    state = {
        "a": torch.randn(3, 2),
        "level": torch.tensor(2),
        "t": torch.randn(4, 5).T,
        "flag": torch.tensor(True),
    }
    file = tmp_path / GENERATOR
    write_generator(state, "step_00000012_epoch_0003", {"step": 12, "images": 345, "seconds": 1.5}, file)
    content = read_generator(file)
    assert content["name"] == "step_00000012_epoch_0003" and content["progress"] == {"step": 12, "images": 345}
    assert set(content["ema"]) == set(state)
    assert all(torch.equal(content["ema"][key], state[key]) for key in state)
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    with pytest.raises(Damaged, match=f"{GENERATOR} is damaged"):
        read_generator(file)
    write_generator(state, "../../elsewhere", {"step": 1, "images": 1}, file)
    with pytest.raises(Damaged, match="was not written by ganexp export"):
        read_generator(file)


def run_export(monkeypatch: pytest.MonkeyPatch, folder: Path, *overrides: str) -> None:
    verb(monkeypatch, folder, "export", *overrides, "device=cpu")


def test_the_verb(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The folder is a run; its card's lines run with torch alone."""
    folder = train(*TINY, "max_steps=3", "game=cgan", "metrics=[fid]", "evaluate.count=50")
    verb(monkeypatch, tmp_path, "evaluate", f"run={folder}", "device=cpu")
    run_export(monkeypatch, tmp_path, f"run={folder}", "format=[torch_export,safetensors]", "license=cc-by-4.0")
    made = folder / "export"
    names = ["README.md", "config.yaml", "export.json", "generator.pt2", GENERATOR, "run.json", "samples.png"]
    names += ["metrics.jsonl", "evaluations.jsonl"]
    assert sorted(path.name for path in made.iterdir()) == sorted(names)
    assert SavedRun(made).scores["fid_cnn"] > 0
    told = capfd.readouterr().out
    assert "torch_export: " in told and "differs by at most 0" in told and "how to load it: " in told
    assert [run.folder for run in find_runs([folder.parent])] == [folder] and len(find_runs([made])) == 1
    for number, run in enumerate((folder, made)):
        verb(monkeypatch, tmp_path, "sample", f"run={run}", "n=20", f"out=grid{number}", "device=cpu")
    assert (tmp_path / "grid0.png").read_bytes() == (tmp_path / "grid1.png").read_bytes()
    with Image.open(made / "samples.png") as picture:
        assert picture.width > 100
    card = (made / "README.md").read_text()
    assert "license: cc-by-4.0" in card and "CC BY 4.0" in card and "# cgan-mlp-digits" in card
    (row,) = [line for line in card.splitlines() if line.startswith("| fid")]
    assert all(cell.strip() for cell in row.strip("|").split("|")), "a score has that of real samples beside it"
    _lines_of_the_card_run(card, made)
    _verbs_that_need_more_are_refused(monkeypatch, tmp_path, made, capfd)


def _lines_of_the_card_run(card: str, made: Path) -> None:
    lines = card.split("With torch alone:")[1].split("With ganexp")[0].strip().splitlines()
    assert len(lines) == 5
    script = "\n".join([*(line.strip() for line in lines), "import sys", "assert 'ganexp' not in sys.modules"])
    script += "\nassert images.shape == (8, 1, 8, 8)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=made, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _verbs_that_need_more_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "README.md").write_text("mine")
    with pytest.raises(SystemExit):
        verb(monkeypatch, tmp_path, "export", f"run={made}", f"out={project}", "format=safetensors")
    assert "has other files, such as README.md" in capfd.readouterr().err
    assert (project / "README.md").read_text() == "mine"
    for name, overrides, expected in (
        (
            "train",
            ["recipe=none", "game=cgan", "data.resolution=8", f"start_from={made}"],
            "it has the generator alone",
        ),
        ("train", [f"resume={made}"], "has the generator alone: training cannot go on from it"),
        ("export", [f"run={made}", f"out={made}"], "is the run itself"),
        ("export", [f"run={made}", f"out={tmp_path}"], "has other files, such as"),
        ("export", [f"run={made}", "direction=AtoB"], "only runs that translate images have directions"),
        ("export", [f"run={made}", "format=pickle"], "format"),
        ("export", [f"run={made}", "license=../x"], "license"),
    ):
        with pytest.raises(SystemExit):
            verb(monkeypatch, tmp_path, name, *overrides)
        assert expected in capfd.readouterr().err


def test_both_directions(train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way by its name, without real samples; the folder can be applied to files, both ways."""
    folder = train(*OF_GAME["cyclegan"], "max_steps=1")
    with pytest.raises(SystemExit):
        run_export(monkeypatch, tmp_path, f"run={folder}", "format=safetensors")
    run_export(monkeypatch, tmp_path, f"run={folder}", "format=safetensors", "direction=BtoA")
    made = folder / "export_BtoA"
    assert sorted(path.name for path in made.iterdir()) == sorted(
        ["README.md", "config.yaml", "export.json", GENERATOR, "run.json"]
    )
    Image.new("L", (16, 8)).save(tmp_path / "one.png")
    for run in (folder, made):
        given = [f"run={run}", "direction=AtoB", "input=one.png", f"output=of_{run.name}", "checkpoint=last"]
        verb(monkeypatch, tmp_path, "translate", *given, "device=cpu")
    one, other = (tmp_path / f"of_{run.name}" / "one.png" for run in (folder, made))
    assert one.read_bytes() == other.read_bytes()


def test_nothing_of_the_machine_is_in_the_files(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither paths, in the graph either, nor the host, the process, the run's name or the commit."""
    monkeypatch.setattr(platform, "node", lambda: "host-of-secrets")
    root = tmp_path / "client-of-secrets"
    for number in range(70):
        image = root / "train" / "a" / f"{number}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(image)
    small = [*TINY[:4], "data=folder", f"data.root={root}", "data.channels=1", "data.resolution=8", TINY[-1]]
    folder = train(*small, "max_steps=1", name="name-of-secrets")
    run_export(monkeypatch, tmp_path, f"run={folder}", "format=all")
    commit = json.loads((folder / "run.json").read_text())["git"]
    secrets = ["of-secrets", str(tmp_path), str(Path(formats.__file__).parents[2]), str(Path.home()) + "/"]
    secrets += [commit["commit"]] if commit else []
    for file in (folder / "export").iterdir():
        content = file.read_bytes()
        found = [secret for secret in secrets if secret.encode() in content]
        assert not found, f"{file.name} holds {found}"
    assert f"root: {LEFT_OUT}" in (folder / "export/config.yaml").read_text()


def test_what_may_be_shared() -> None:
    cfg = composed(*TINY)
    cfg.resume, cfg.name = "/home/me/run", "my-client"
    shared = shareable_config(cfg)
    assert shared["resume"] is None and shared["name"] == "exported"
    assert shared["data"]["_target_"] == cfg.data._target_ and shared["arch"] == cfg.arch
    for path in ("~/data", "C:\\data", "a/b", "/"):
        cfg.evaluate.split = path
        assert shareable_config(cfg)["evaluate"]["split"] == LEFT_OUT
    manifest = {
        "process": {"host": "h"},
        "git": {"commit": "c"},
        "platform": "p",
        "steps": 3,
        "choices": {"loss": "gan", "data": "a/b", "experiment": ["x"], "arch": "of_a_client"},
        "versions": {"torch": "2.11"},
        "data": {"fingerprint": "f", "count": 2, "root": "/r"},
    }
    assert shareable_manifest(manifest) == {
        "status": "finished",
        "steps": 3,
        "choices": {"loss": "gan"},
        "versions": {"torch": "2.11"},
        "data": {"count": 2},
    }
