"""The scripts run as they are; what they measure is not tested."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, TINY
from PIL import Image

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


@pytest.mark.parametrize(
    ("script", "arguments", "told"),
    [
        ("bench_safety.py", ["--rounds", "1", "--epochs", "1", "--", *TINY], "both"),
        (
            "bench_evaluation.py",
            ["--rounds", "1", "--epochs", "1", "--", *TINY[:5], "features=random"],
            "without",
        ),
        ("bench_dist.py", ["--rounds", "1", "--steps", "2", "--workloads", "mlp"], "projected, 64 GPUs"),
        (
            "bench.py",
            ["--rounds", "1", "--seconds", "0.1", "--only", "wgan_gp_mlp_28", "--no-memory"],
            "| bare |",
        ),
        ("bench.py", ["--once", "mlp_28", "textbook, fp32", "128"], ", 0.0]"),
        ("bench.py", ["--memory", "0.001", "--seconds", "0.1"], "on disk"),
        ("bench_startup.py", ["--rounds", "1", "--", *TINY, "device=cpu"], "import torch"),
        ("profile_run.py", ["--steps", "2", "--", *TINY, "loss=wgan_gp", "device=cpu"], "| penalty |"),
        (
            "bench_quality.py",
            ["--seconds", "0.2", "--every", "0.1", "--", *TINY[:5], "features=pixels", "evaluate.count=100"],
            '"fid_pixels"',
        ),
        ("torture.py", ["--rounds", "2", "--cases", "1", "--epochs", "30", "--jobs", "1"], " 0 differences"),
    ],
)
def test_a_script_runs(tmp_path: Path, script: str, arguments: list[str], told: str) -> None:
    runs(tmp_path, told, script, *arguments)


def test_data_are_timed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cifar10.zip", "w") as archive:
        for index in range(80):
            stream = io.BytesIO()
            Image.new("RGB", (32, 32), (index, 0, 0)).save(stream, "JPEG")
            archive.writestr(f"train/{'ab'[index % 2]}/{index}.jpg", stream.getvalue())
    told = "| DataLoader, 2 workers |"
    runs(tmp_path, told, "bench_data.py", "--cifar10", "cifar10.zip", "--rounds", "1", "--seconds", "0.1")


def runs(folder: Path, told: str, script: str, *arguments: str) -> None:
    """Runs a script from ``folder``: it ends with status 0, having told what it is to tell."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, *arguments],
        cwd=folder,
        env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 and told in done.stdout, done.stdout + done.stderr


def test_hostile_input_ends_with_one_line(tmp_path: Path) -> None:
    """A short form of ``scripts/fuzz.py``: three cases of each kind, the same each time."""
    runs(tmp_path, " 0 failures", "fuzz.py", "--commands", "39", "--seed", "0")
