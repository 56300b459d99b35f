"""The runs of ``torture.py``: their settings, and how they are started and found."""

import json
import os
import subprocess
import sys
from pathlib import Path

MLP = [
    "recipe=none",
    "arch=mlp",
    "arch.generator.widths=[256,256]",
    "arch.discriminator.widths=[256,256]",
    "data.resolution=16",
]
DCGAN = ["recipe=none", "arch.generator.width=16", "arch.discriminator.width=16", "data.resolution=16"]
OFTEN_SAVED = "checkpoint.every.minutes=0.005"  # also in mid-epoch
CASES = {
    "gan, mlp": [*MLP, "loss=gan", "epochs=90"],
    "gan, mlp, two processes": [*MLP, "loss=gan", "epochs=40", "device=cpu", "device.count=2"],
    "wgan_gp, mlp, lazy penalty": [*MLP, "loss=wgan_gp", "penalties.gradient.every=3", "epochs=90"],
    "rpgan with r1 and r2, mlp": [*MLP, "loss=rpgan", "penalties=[r1,r2]", "penalties.r1.every=4", "epochs=50"],
    "minimax, mlp, SGD, rollback": [*MLP, "loss=minimax", "optim=sgd", "sentinel.action=rollback", "epochs=90"],
    "lsgan, dcgan, dropout, cosine": [
        *DCGAN,
        "loss=lsgan",
        "arch.discriminator.dropout=0.3",
        "schedule=cosine",
    ],
    "dragan, dcgan, conditional": [*DCGAN, "loss=dragan", "game=cgan", "epochs=20"],
    "wgan, dcgan": [*DCGAN, "loss=wgan", "epochs=40"],
    "hinge, dcgan, mirrored": [*DCGAN, "loss=hinge", "data.mirror=true", "epochs=30"],
}


def wait(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Sleeps for ``seconds``, or until the process ends."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def start(folder: Path, name: str, overrides: list[str]) -> "subprocess.Popen[bytes]":
    """Starts a run; the same command resumes it."""
    with (folder / f"{name}.out").open("ab") as out, (folder / f"{name}.err").open("ab") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "ganexp", "train", *overrides, "device=cpu", f"name={name}"],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},  # the order of sums depends on the number of threads
            stdout=out,
            stderr=err,
        )


def run_folder(folder: Path, name: str) -> Path:
    (run,) = (folder / "outputs" / slug(name)).iterdir()
    return run


def uninterrupted(folder: Path, case: str, overrides: list[str]) -> int:
    """Runs a case without interruption; returns its exit status."""
    return start(folder, slug(f"whole {case}"), overrides).wait()


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def running(folder: Path, name: str, pid: int) -> bool:
    """Whether the process has written its run's manifest (run.json)."""
    for file in (folder / "outputs" / name).glob("*/run.json"):
        manifest = json.loads(file.read_text())
        return bool(manifest["process"]["pid"] == pid)
    return False
