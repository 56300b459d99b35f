"""Mixed precision: networks in 16 bits, losses and penalties in 32, scores and samples as ever."""

import json
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Verb, composed
from torch import Tensor, nn

from ganexp.config.targets import conf_folder
from ganexp.data.batches import Batch
from ganexp.errors import Diverged, UserError
from ganexp.metrics import classifier
from ganexp.metrics.feature_networks import Classifier
from ganexp.metrics.features import Network
from ganexp.system.cpus import cpu_count
from ganexp.system.float32 import at_least_float32, full_float32
from ganexp.system.tensor_file import digest, read
from ganexp.train import player_step
from ganexp.training import fastest_precision
from ganexp.training.build import build, build_game
from ganexp.training.model import build_model
from ganexp.training.precision import Precision

CPU = torch.device("cpu")
SMALL = [
    "recipe=none",
    "arch=mlp",
    "data.resolution=8",
    "arch.generator.widths=[12]",
    "arch.discriminator.widths=[12]",
]


def kinds(net: nn.Module, seen: list[torch.dtype]) -> None:
    """Records in what each linear layer of a network computes."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda _, __, out: seen.append(out.dtype))


def played(name: str, *overrides: str) -> tuple[dict[str, Tensor], list[torch.dtype]]:
    cfg = composed(*SMALL, *overrides)
    torch.manual_seed(0)
    game, seen = build_game(cfg), list[torch.dtype]()
    kinds(game.players["d"].net, seen)
    optimisers = {"d": build(cfg.optim)(game.players["d"].net.parameters(), "d")}
    batch = Batch(torch.rand(6, 1, 8, 8) * 2 - 1, torch.arange(6))
    precision = Precision(name, CPU)  # type: ignore[arg-type]
    for _ in range(2):
        terms = player_step(game, "d", optimisers, batch, precision)
    assert all(parameter.dtype == torch.float32 for parameter in game.parameters())
    return terms, seen


@pytest.mark.parametrize(("name", "kind"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_networks_compute_in_16_bits_and_losses_in_32(name: str, kind: torch.dtype) -> None:
    terms, seen = played(name)
    assert set(seen) == {kind}
    assert {value.dtype for value in terms.values()} == {torch.float32}
    exact, _ = played("fp32")
    assert terms["adversarial"].item() == pytest.approx(exact["adversarial"].item(), rel=0.01)
    assert terms["adversarial"].item() != exact["adversarial"].item()


@pytest.mark.parametrize("penalty", ["gradient", "r1", "r2", "dragan"])
def test_penalties_stay_in_float32(penalty: str) -> None:
    terms, seen = played("bf16", f"penalties={penalty}")
    assert seen.count(torch.float32) == 2 * 2  # two linear layers, two turns
    assert set(seen) == {torch.float32, torch.bfloat16}
    assert terms[penalty].dtype == torch.float32


def test_fp16_lowers_its_scale_where_a_gradient_is_too_large() -> None:
    layer = nn.Linear(1, 1, bias=False)
    optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    precision = Precision("fp16", CPU)
    before = layer.weight.item()
    precision.backward(layer(torch.full((1, 1), 1e36)).sum())
    precision.unscale(optimiser)
    left_out = precision.step(optimiser)
    assert left_out is not None and left_out.item()
    assert layer.weight.item() == before
    assert precision.state_dict()["scale"] == 2.0**15 == precision.scalars()["precision/scale"]
    optimiser.zero_grad()
    precision.backward(layer(torch.ones(1, 1)).sum())
    precision.unscale(optimiser)
    left_out = precision.step(optimiser)
    assert left_out is not None and not left_out.item()
    assert layer.weight.item() == before - 1
    other = Precision("fp16", CPU)
    other.load_state_dict(precision.state_dict())
    assert other.state_dict() == precision.state_dict()
    assert Precision("fp32", CPU).state_dict() == {"name": "fp32"} and Precision("bf16", CPU).scalars() == {}


def test_what_the_processor_cannot_do_is_told() -> None:
    assert Precision("auto", CPU).name == "fp32"
    with pytest.raises(UserError, match=r"device.precision=tf32: only NVIDIA GPUs .* use bf16"):
        Precision("tf32", CPU)


@pytest.mark.parametrize(
    ("instructions", "speedup", "chosen"),
    [
        ({"avx512_bf16": True}, 1.8, "bf16"),
        ({"avx512_bf16": True}, 1.1, "fp32"),
        ({"avx512_bf16": False}, 9.9, "fp32"),
        ({}, 9.9, "fp32"),
    ],
)
def test_auto_takes_bf16_where_the_processor_has_it_and_it_is_faster(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    instructions: dict[str, bool],
    speedup: float,
    chosen: str,
) -> None:
    measured: list[float] = []
    monkeypatch.setenv("GANEXP_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)

    def measure() -> float:
        measured.append(speedup)
        return speedup

    monkeypatch.setattr(fastest_precision, "measure_speedup", measure)
    assert [Precision("auto", CPU).name for _ in range(2)] == [chosen, chosen]
    assert len(measured) == (instructions.get("avx512_bf16") is True), "measured once, then read from the cache"


def test_a_damaged_cache_of_speedups_is_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANEXP_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(fastest_precision, "measure_speedup", lambda: 2.0)
    (tmp_path / "bf16_speedup.json").write_text("[1")
    assert Precision("auto", CPU).name == "bf16"
    assert 2.0 in json.loads((tmp_path / "bf16_speedup.json").read_text()).values()


def test_the_speedup_is_measured_without_drawing_random_numbers() -> None:
    before = torch.get_rng_state()
    assert 0.0 < fastest_precision.measure_speedup() < 100.0
    assert torch.equal(torch.get_rng_state(), before)


def test_a_resumed_run_keeps_the_precision_that_auto_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganexp.training.precision.fastest_on_cpu", lambda: ("bf16", "it is faster"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    begun = Precision("auto", CPU)
    assert begun.name == "bf16" and begun.reason == "it is faster"
    monkeypatch.setattr("ganexp.training.precision.fastest_on_cpu", lambda: ("fp32", None))
    resumed = Precision("auto", CPU)
    assert not resumed.autocast().__dict__["_enabled"]
    resumed.load_state_dict(begun.state_dict())
    assert resumed.name == "bf16"
    with resumed.autocast():
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == torch.bfloat16
    said = Precision("fp32", CPU)
    said.load_state_dict(begun.state_dict())
    assert said.name == "fp32", "what the command line says wins"
    begun.load_state_dict({})
    assert str(begun.name) == "fp32", "checkpoints without a name were fp32 on a CPU"
    with pytest.raises(ValueError, match="precision 'x' is not known"):
        begun.load_state_dict({"name": "x"})


def test_a_processor_without_16_bits_is_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for known, told in (
        ({"avx512_bf16": False, "amx_bf16": True}, False),
        ({}, False),
        ({"amx_bf16": False}, True),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=known: known, raising=False)
        Precision("bf16", CPU)
        assert ("this CPU has no bf16 instructions" in capsys.readouterr().err) == told


def test_cores_are_those_that_a_container_grants(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(3)), raising=False)
    limit = tmp_path / "cpu.max"
    for text, count in (
        ("150000 100000\n", 1),
        ("50000 100000", 1),
        ("200000 100000\n", 2),
        ("400000 100000\n", 3),
    ):
        limit.write_text(text)
        assert cpu_count(limit) == count
    limit.write_text("max 100000\n")
    assert cpu_count(limit) == cpu_count(tmp_path / "none") == 3


def test_threads_can_be_said() -> None:
    before = torch.get_num_threads()
    try:
        hardware = build(composed("device=cpu", "device.threads=1", "device.precision=bf16").device)
        assert torch.get_num_threads() == 1
        assert str(hardware).startswith("cpu (") and str(hardware).endswith(", 1 threads, bf16)")
    finally:
        torch.set_num_threads(before)


def test_wider_numbers_stay_what_they_are() -> None:
    found = [at_least_float32(torch.zeros(1, dtype=kind)).dtype for kind in (torch.float16, torch.bfloat16)]
    assert found == [torch.float32] * 2
    assert at_least_float32(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_run_in_another_precision_is_another_run(train: Verb, name: str) -> None:
    folder = train(*TINY, f"device.precision={name}", "device=cpu")
    assert f"precision-{name}" in folder.name
    receipt = json.loads((folder / "run.json").read_text())
    assert receipt["status"] == "finished" and receipt["device"].endswith(f", {name})")


def test_a_killed_run_in_fp16_goes_on_with_its_scale(train: Verb) -> None:
    """How long its scale has held is part of what training changes."""
    arguments = [*TINY, "device=cpu", "device.precision=fp16", "game.n_critic=2"]
    whole = train(*arguments, name="whole")
    first = train(*arguments, "max_steps=20", name="cut")
    cut = train(f"resume={first}", "max_steps=null", name="cut")
    found = [read(folder / "checkpoints" / "last.pt") for folder in (whole, cut)]
    assert found[0]["precision"] == found[1]["precision"] and found[0]["precision"]["_growth_tracker"] > 20
    assert digest(found[0]["game"]) == digest(found[1]["game"])


def scaled(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """GradScaler begins at another scale."""
    real = torch.amp.GradScaler
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda kind, enabled: real(kind, init_scale=scale, enabled=enabled)
    )


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


FP16 = [*TINY, "device=cpu", "device.precision=fp16"]


@pytest.mark.parametrize(
    "loss", sorted(path.stem for path in Path(conf_folder(), "loss").glob("*.yaml") if path.stem != "none")
)
def test_a_healthy_run_in_fp16_ends_well(loss: str, train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first every gradient overflows: so the scale is found, and is no divergence."""
    scaled(monkeypatch, 2.0**40)
    folder = train(*FP16, f"loss={loss}", "epochs=2", "sentinel.every=1", "optim.lr=1e-4")
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    last = rows(folder)[-1]
    assert 1e-4 < last["precision/scale"] < 2.0**40
    for name in ("d", "g"):
        assert 0 < last[f"{name}/gradient_norm"] < math.inf


def test_norms_are_those_of_the_steps_that_are_taken(train: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overflowing at first or not, the first step that is taken is the same one."""
    exact = rows(train(*FP16, "max_steps=1", "device.precision=fp32", name="exact"))[0]
    whole = rows(train(*FP16, "max_steps=1", name="whole"))[0]
    for name in ("d/gradient_norm", "g/gradient_norm"):
        assert whole[name] == pytest.approx(exact[name], rel=0.01)
    scaled(monkeypatch, 2.0**100)
    none = rows(train(*FP16, "max_steps=1", name="none"))[0]
    assert not [name for name in none if "gradient_norm" in name]
    assert none["precision/scale"] == 2.0**98


def test_gradients_that_overflow_at_any_scale_end_a_run(
    train: Verb, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "ganexp.losses.NonSaturating.g",
        lambda loss, *, real, fake: 1e30 * torch.nn.functional.softplus(-fake).mean(),
    )
    with pytest.raises(SystemExit) as ended:
        train(*FP16, "epochs=9", "sentinel.every=5")
    assert ended.value.code == Diverged.status
    assert "fp16's scale has fallen to " in (told := capfd.readouterr().err) and "device.precision=bf16" in told


def products() -> tuple[str, str]:
    places: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    matmul, conv = (place.fp32_precision for place in places)
    return matmul, conv


@pytest.fixture
def tf32() -> Iterator[None]:
    """What a run on a GPU sets; on a processor the settings exist and do nothing."""
    places: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = products()
    for place in places:
        place.fp32_precision = "tf32"
    yield
    for place, setting in zip(places, before, strict=True):
        place.fp32_precision = setting


def test_features_are_computed_in_full_float32(tf32: None) -> None:
    seen = []

    class Net(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
            seen.append(products())
            return x.flatten(1), None

    Network(Net(), "", "", "", CPU)(np.zeros((3, 1, 4, 4), np.uint8))
    assert seen == [("ieee", "ieee")] and products() == ("tf32", "tf32")
    with pytest.raises(ZeroDivisionError), full_float32():
        _ = 1 / 0
    assert products() == ("tf32", "tf32"), "put back after a mistake too"


def test_the_classifier_is_trained_and_asked_in_full_float32(
    tf32: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, real = set(), Classifier.forward

    def forward(net: Classifier, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.add((net.training, products()))
        return real(net, x)

    monkeypatch.setattr(Classifier, "forward", forward)
    monkeypatch.setattr(classifier, "_MIN_STEPS", 1)
    net, images = Classifier(1, 2), np.zeros((16, 1, 8, 8), np.uint8)
    images.flags.writeable = False  # as those of a prepared set, which torch would warn of
    classifier.train_on(net, images, np.arange(16) % 2, np.arange(16), CPU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.predict_labels(net, images, CPU)
    assert seen == {(True, ("ieee", "ieee")), (False, ("ieee", "ieee"))}


@pytest.mark.parametrize(
    ("overrides", "environment", "threads"),
    [
        ([], {}, 1),
        (["arch.generator.widths=[1024,1024]"], {}, 3),
        (["device.threads=2"], {}, 2),
        ([], {"OMP_NUM_THREADS": "3"}, 3),
    ],
)
def test_small_networks_compute_on_one_thread_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str], environment: dict[str, str], threads: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("ganexp.training.device.cpu_count", lambda: 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        cfg = composed(*TINY, "device=cpu", *overrides)
        build_model(cfg, build(cfg.device))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
