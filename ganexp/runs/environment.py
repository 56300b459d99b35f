"""What affects a run besides configuration, data and device: versions, git commit, platform."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from ganexp import __version__


def environment() -> dict[str, Any]:
    """The entries ``versions``, ``git`` and ``platform`` of run.json."""
    return {"versions": _versions(), "git": _git_state(), "platform": platform.platform()}


def _versions() -> dict[str, str]:
    packages = ("torch", "numpy", "hydra-core", "omegaconf", "tensorboard", "pillow")
    found = {"ganexp": __version__, "python": sys.version.split()[0]}
    return found | {name: metadata.version(name) for name in packages}


def _git_state() -> dict[str, Any] | None:
    """The commit of this program, and whether the checkout has changes; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
            ).stdout
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.strip(), "changed": bool(changes.strip())}
