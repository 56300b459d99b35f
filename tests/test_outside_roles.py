"""Games of other roles from outside: three networks, no critic, images of another scale, a frozen generator.

Each is a module of ``tests/outside`` and its YAML in ``tests/outside/conf``; nothing in ganexp knows them.
"""

import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, asked_to_stop, command, verb
from PIL import Image
from torch import nn

import ganexp.train as training
from ganexp.cli import main
from ganexp.config.stored import read_run
from ganexp.data.batches import Batch
from ganexp.data.images import to_uint8
from ganexp.data.store import MemoryMap, store
from ganexp.games.sampling import generate
from ganexp.runs.bitwise import differences
from ganexp.runs.manifest import Manifest, status_of
from ganexp.system.signals import Stopped
from ganexp.system.tensor_file import read
from ganexp.training import experiment_data
from ganexp.training.setup import Experiment

OUTSIDE = Path(__file__).with_name("outside")
CONF = ["--config-dir", str(OUTSIDE / "conf")]
FAST = ["device=cpu", "evaluate.every=null", "features=pixels", "metrics=fid"]
SYSTEMS = {
    "bigan": ["game=own_bigan", "arch=own_bigan", "data.resolution=8"],
    "vae": ["game=own_vae", "arch=own_vae", "loss=none", "data.resolution=8"],
    "super_resolution": ["game=super_resolution", "arch=super_resolution", "data=halves", "data.mirror=true"],
    "inversion": ["game=inversion", "arch=inversion", "loss=none", "data.resolution=8"],
}
"""What is chosen for each, by the module that its classes are of."""


@pytest.fixture(autouse=True)
def modules_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``PYTHONPATH=tests/outside`` would, for this process and those that it starts."""
    monkeypatch.syspath_prepend(str(OUTSIDE))
    monkeypatch.setenv("PYTHONPATH", str(OUTSIDE), prepend=":")


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ganexp's own game, with a generator of another width than the default and batch norm."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        widths = ["arch.generator.widths=[24]", "arch.generator.latent=5"]
        verb(patch, folder, "train", *TINY, *widths, "epochs=2", "name=run")
    (run,) = (folder / "outputs/run").iterdir()
    return run


def overrides(system: str, first: Path) -> list[str]:
    started = [f"start_from={first}"] if system == "inversion" else []
    return [*CONF, *FAST, *SYSTEMS[system], *started]


def refused(capfd: pytest.CaptureFixture[str], act: Any) -> str:
    """The one line with which it ends, exit status 2."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main._report_errors(act)
    told = capfd.readouterr().err
    assert ended.value.code == 2 and told.count("\n") == 1, told
    return told.removeprefix("ganexp: ").rstrip("\n")


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


TOGETHER = [
    pytest.param(system, 2, marks=[pytest.mark.slow] if system in ("bigan", "vae") else [])
    for system in SYSTEMS
]
"""In two processes. In the default suite: those with pairs, and with another run's weights to hand on."""


@pytest.mark.parametrize(("system", "processes"), [*((system, 1) for system in SYSTEMS), *TOGETHER])
def test_two_steps(system: str, processes: int, train: Verb, first_run: Path) -> None:
    folder = train(*overrides(system, first_run), "max_steps=2", f"device.count={processes}")
    receipt = Manifest(folder / "run.json").content
    assert (receipt["status"], receipt["images"]) == ("finished", 128)
    assert receipt["device"].startswith("2 x cpu (") == (processes == 2)
    content = read(folder / "checkpoints/last.pt")
    assert len(content.get("others", [])) == processes - 1
    assert (folder / "samples/epoch_0001.png").is_file()


@pytest.mark.parametrize("system", SYSTEMS)
def test_stopped_within_an_epoch(
    system: str, train: Verb, first_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the run folder says is trusted where that is asked for, and ends in the same bits."""
    given = [*overrides(system, first_run), "epochs=2"]
    whole = train(*given, name="whole")
    with asked_to_stop(after=35), pytest.raises(Stopped):
        train(*given, name="cut")
    (cut,) = (whole.parents[1] / "cut").iterdir()
    assert status_of(cut) == "interrupted"
    line = refused(capfd, lambda: train(f"resume={cut}", name="cut"))
    assert re.fullmatch(rf"\S+ would run {system}\.\w+: if you trust that code, add trust=true", line)
    train(f"resume={cut}", "trust=true", name="cut")
    assert status_of(cut) == "finished" and list(differences(whole, cut)) == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_sampled_and_evaluated(
    system: str,
    train: Verb,
    first_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = train(*overrides(system, first_run), "max_steps=2")
    for name, more in (("sample", "n=9"), ("evaluate", "count=50")):
        line = refused(capfd, partial(verb, monkeypatch, tmp_path, name, f"run={folder}", more))
        assert "add trust=true" in line
    for kind in ("grid", "npz", "png"):
        settings = ["n=9", f"format={kind}", f"out={tmp_path / kind}", "trust=true"]
        verb(monkeypatch, tmp_path, "sample", f"run={folder}", *settings)
    side = 16 if system == "super_resolution" else 8
    with np.load(tmp_path / "npz.npz", allow_pickle=False) as content:
        assert content["images"].shape == (9, side, side, 1) and content["images"].dtype == np.uint8
        images = content["images"]
    files = sorted((tmp_path / "png").glob("*.png"))
    assert len(files) == 9 and np.array_equal(np.asarray(Image.open(files[3])), images[3, :, :, 0])
    assert (tmp_path / "grid.png").is_file()
    verb(monkeypatch, tmp_path, "evaluate", f"run={folder}", "count=50", "checkpoint=last", "trust=true")
    assert "fid_pixels" in capfd.readouterr().out


def test_a_third_networks_optimiser(train: Verb) -> None:
    """``ttur`` is the critic's alone; ``optim.e`` is the encoder's."""
    given = [*CONF, *FAST, *SYSTEMS["bigan"], "max_steps=2", "optim.lr=1e-3", "optim.ttur=0.5"]
    shared = rows(train(*given, name="shared"))[-1]
    assert [shared[f"{player}/lr"] for player in "dge"] == [5e-4, 1e-3, 1e-3]
    own = rows(train(*given, "+optim.e.lr=3e-3", name="own"))[-1]
    assert [own[f"{player}/lr"] for player in "dge"] == [5e-4, 1e-3, 3e-3]
    assert own["e/adversarial"] != shared["e/adversarial"] and own["e/gradient_norm"] > 0


def test_penalties_see_pairs_of_samples_and_codes(train: Verb) -> None:
    settings = ["loss=rpgan", "penalties=[r1,gradient]", "game.reuse_fake=true", "max_steps=2"]
    (row,) = rows(train(*CONF, *FAST, *SYSTEMS["bigan"], *settings))
    assert row["d/r1"] > 0 and row["d/gradient"] > 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            ["~arch.encoder"],
            "arch.encoder is missing: BiGAN needs the networks generator, discriminator, encoder",
        ),
        (
            ["+arch.critic={_target_: bigan.Encoder, shape: [1, 8, 8], latent: 6, width: 8}"],
            "arch.critic: BiGAN has no such network; there are discriminator, encoder, generator",
        ),
        (
            ["game=gan"],
            "arch.encoder: GAN has no such network; did you mean generator? (discriminator, generator)",
        ),
        (
            ["game=inversion", "arch=inversion", "loss=none"],  # start_from was forgotten
            "arch.generator is missing: Inversion needs the networks generator, encoder",
        ),
        (["loss=none"], "loss=none: this game is adversarial; choose a loss such as loss=gan"),
        (
            ["game=own_vae", "arch=own_vae", "loss=none", "penalties=r1"],
            "penalties.r1 belongs to player d; this game's players are vae",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    change: list[str], line: str, train: Verb, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(capfd, lambda: train(*CONF, *FAST, *SYSTEMS["bigan"], *change)) == line
    assert not list(tmp_path.glob("outputs/*/*/*")), "no folder is left behind"


def test_a_game_without_a_critic_is_not_watched_for_one(train: Verb, capfd: pytest.CaptureFixture[str]) -> None:
    """The gradient of both its terms falls below the sentinel's share, epoch after epoch."""
    falling = [
        f"+schedules.game.weight.{key}" for key in ("_target_=ganexp.optim.Linear", "start=0", "final=0")
    ]
    given = [*CONF, *FAST, *SYSTEMS["vae"], *falling, "epochs=6", "sentinel.gradient=0.5"]
    folder = train(*given)
    norms = [row["vae/gradient_norm"] for row in rows(folder)]
    assert max(norms[-2:]) < 0.5 * max(norms), "it would have been told of an adversarial loss"
    assert Manifest(folder / "run.json").content["alarms"] == []
    told = capfd.readouterr().out
    assert (folder / "train.log").read_text().count("epoch ") == 6
    assert "gradients have vanished" not in told + (folder / "train.log").read_text()
    assert not any(
        name in key for row in rows(folder) for key in row for name in ("D_x", "D_G_z", "adversarial")
    )
    assert re.search(r"images/s  vae reconstruction \d+\.\d{3} kl \d\.\d{3} sigma \d\.\d{3}", told)


def test_each_network_of_a_player_is_compiled(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda net, **_: compiled.append(type(net).__name__))
    train(*CONF, *FAST, *SYSTEMS["vae"], "device.compile=true", "max_steps=1")
    assert compiled == ["Encoder", "Generator"]


def steps_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Experiment, Batch]]:
    """A list of what each step was taken with, filled while a run trains."""
    seen: list[tuple[Experiment, Batch]] = []
    real = training.train_step

    def step(made: Experiment, batch: Batch, rate: float) -> None:
        seen.append((made, batch))
        real(made, batch, rate)

    monkeypatch.setattr(training, "train_step", step)
    return seen


@pytest.mark.parametrize("place", [store, MemoryMap])
def test_pairs_are_mirrored_alike(place: Any, train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_data, "store", place)
    seen = steps_of(monkeypatch)
    train(*CONF, *FAST, *SYSTEMS["super_resolution"], "max_steps=2")
    from super_resolution import halved

    for made, batch in seen:
        assert batch.source is not None and batch.x.shape[1:] == (1, 16, 16)
        x, source = to_uint8(batch.x.numpy()), to_uint8(batch.source.numpy())
        assert np.array_equal(halved(x), source)
        stored = {sample.tobytes() for sample in made.data.arrays.samples}
        as_stored = sum(sample.tobytes() in stored for sample in x)
        assert 0.2 * len(x) < as_stored < 0.8 * len(x), "about half of them are mirrored"


def test_a_grid_of_sources_outputs_and_targets(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = steps_of(monkeypatch)
    folder = train(*CONF, *FAST, *SYSTEMS["super_resolution"], "max_steps=2")
    from super_resolution import halved

    made_by, _ = seen[-1]
    preview, state = made_by.evaluation.preview, made_by.state
    output = generate(state.ema.module, preview, 64, state.device)
    assert preview.source is not None and preview.target is not None
    assert preview.source.shape == (64, 1, 8, 8) and preview.target.shape == (64, 1, 16, 16)
    picture = np.asarray(Image.open(folder / "samples/epoch_0001.png"))
    gap, side, factor = 2, 16, 4
    assert picture.shape == ((8 * (side + gap) + gap) * factor, (24 * (side + gap) + gap) * factor)
    tiles = picture[gap * factor :: factor, gap * factor :: factor]
    tiles = tiles.reshape(8, side + gap, 24, side + gap)[:, :side, :, :side].swapaxes(1, 2)
    source, made, target = tiles.reshape(64, 3, 1, side, side).swapaxes(0, 1)
    assert np.array_equal(source[..., ::2, ::2], source[..., 1::2, 1::2]), "magnified pixel by pixel"
    assert np.array_equal(source[..., ::2, ::2], to_uint8(preview.source.numpy()))
    assert np.array_equal(target, to_uint8(preview.target.numpy()))
    assert np.array_equal(halved(target), source[..., ::2, ::2]), "of the same pair"
    assert np.array_equal(made, to_uint8(output)) and not np.array_equal(made, target)


def test_a_metric_with_a_target(
    train: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    scored = ["evaluate.every=1", "evaluate.count=50", "metrics=worst_psnr", "max_steps=2"]
    folder = train(*CONF, *FAST, *SYSTEMS["super_resolution"], *scored)
    told = capfd.readouterr().out
    assert "scored by 50 samples and the values themselves\n" in told, "of real samples there is no floor"
    score = rows(folder)[-1]["score/worst_psnr"]
    assert re.search(rf"^worst_psnr +{score:.4f} +-$", told, re.MULTILINE) and 5 < score < 60
    assert Manifest(folder / "run.json").content["scores"] == {"worst_psnr": "higher"}
    compared = command(tmp_path, "compare", "outputs", PYTHONPATH=str(OUTSIDE.parent.parent))
    assert compared.stdout.startswith("data=halves: best worst_psnr; higher is better\n"), compared.stderr
    images = ["n=60", "format=png", f"out={tmp_path / 'images'}"]
    verb(monkeypatch, tmp_path, "sample", f"run={folder}", "trust=true", *images)
    given = [f"run={folder}", "trust=true", "checks=null", "count=50", f"against={tmp_path / 'images'}"]
    line = refused(capfd, lambda: verb(monkeypatch, tmp_path, "evaluate", *given))
    assert line == "metrics=worst_psnr compares with what each output should be, which samples alone do not say"
    line = refused(capfd, lambda: train(*CONF, *FAST, *SYSTEMS["bigan"], *scored, name="other"))
    assert line == "metrics=worst_psnr compares with what each output should be, which this game does not know"


@pytest.mark.parametrize("weights", ["averaged", "live"])
def test_a_frozen_generator_of_another_run(
    weights: str, train: Verb, first_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays what it was, bit for bit, and the run needs the other's folder no more once it has begun."""
    first = shutil.copytree(first_run, tmp_path / "first")
    content = read(first / "checkpoints/last.pt")
    live = {k.removeprefix("generator."): v for k, v in content["game"].items() if k.startswith("generator.")}
    wanted = content["ema"] if weights == "averaged" else live
    assert not all(torch.equal(content["ema"][key], value) for key, value in live.items())
    given = [f"start_from={first}", f"start_weights={weights}", "epochs=2"]
    seen = steps_of(monkeypatch)
    with asked_to_stop(after=35), pytest.raises(Stopped):
        train(*CONF, *FAST, *SYSTEMS["inversion"], *given, name="cut")
    shutil.rmtree(first)
    (cut,) = tmp_path.glob("outputs/cut/*")
    train(f"resume={cut}", "trust=true", name="cut")
    assert len(seen) == 57
    for made, _ in seen:
        net = made.state.game.parts.nets["generator"]
        assert not any(part.training for part in net.modules())
        assert not any(weight.requires_grad for weight in net.parameters())
    seen[-1][0].state.game.train()
    assert not any(part.training for part in net.modules()), "nor does anybody else put it into training"
    content = read(cut / "checkpoints/last.pt")
    for part, prefix in (("game", "generator.decoder."), ("ema", "decoder.")):
        kept = {k.removeprefix(prefix): v for k, v in content[part].items() if k.startswith(prefix)}
        assert kept.keys() == wanted.keys()
        assert all(torch.equal(kept[key], value) for key, value in wanted.items())
    config = read_run(str(cut), trust=True)
    assert config.arch.generator.widths == [24] and config.arch.encoder.latent == 5
    verb(monkeypatch, tmp_path, "sample", f"run={cut}", "trust=true", "n=9")
    verb(monkeypatch, tmp_path, "evaluate", f"run={cut}", "trust=true", "count=50", "checks=null")


def test_a_brought_network_is_not_overridden(
    train: Verb, first_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = overrides("inversion", first_run)
    line = refused(capfd, lambda: train(*given, "+arch.generator.widths=[8]"))
    assert line == "+arch.generator.widths=[8]: start_from takes generator from the other run; leave this out"
    folder = train(*given, "arch.encoder.width=8", "max_steps=1")
    assert read_run(str(folder), trust=True).arch.encoder.width == 8, "what is not brought is free"


@pytest.mark.parametrize("weights", ["averaged", "live"])
@pytest.mark.parametrize("system", ["vae", "inversion"])
def test_what_a_run_showed_is_begun_with(
    system: str, weights: str, train: Verb, first_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its averaged networks, whichever nodes of ``arch`` they are, and whatever the game calls them."""
    first = train(*overrides(system, first_run), "max_steps=20", name="first")
    chosen = [choice for choice in SYSTEMS[system] if not choice.startswith("arch=")]
    given = [*CONF, *FAST, *chosen, f"start_from={first}", f"start_weights={weights}", "seed=1"]
    line = refused(capfd, lambda: train(*given))
    assert f"would run {system}." in line and line.endswith("add trust=true")
    for change in (f"arch={system}", "arch.discriminator.norm=none"):  # what the default of arch has
        line = refused(capfd, partial(train, *given, "trust=true", change))
        assert line.startswith(f"{change}: start_from takes ") and line.endswith(
            " from the other run; leave this out"
        )
    second = train(*given, "trust=true", "max_steps=1", "optim=sgd", "optim.lr=1e-30")
    before, after = (read(run / "checkpoints/last.pt") for run in (first, second))
    ours = {key: value for key, value in after["game"].items() if key.startswith("generator.")}
    live = {key: value for key, value in before["game"].items() if key.startswith("generator.")}
    averaged = {f"generator.{key}": value for key, value in before["ema"].items()}
    assert ours.keys() == live.keys() == averaged.keys()
    assert not all(torch.equal(averaged[key], value) for key, value in live.items())
    wanted = averaged if weights == "averaged" else live
    assert all(torch.equal(ours[key], value) for key, value in wanted.items())
