"""OpenMP's threads sleep soon, unless the user says how they wait."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ENVIRONMENT

SCRIPT = """
import os, sys
from ganexp.cli import main
main.run_verb = lambda *_: print(os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules)
sys.argv = ["ganexp", "train"]
main.main()
"""


@pytest.mark.parametrize(
    ("chosen", "policy"),
    [
        ({}, "PASSIVE"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"),
        ({"GOMP_SPINCOUNT": "7"}, "None"),
    ],
)
def test_spinning_is_limited_before_torch_is_loaded(
    chosen: dict[str, str], policy: str, tmp_path: Path
) -> None:
    plain = {
        key: value for key, value in ENVIRONMENT.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=plain | chosen, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == f"{policy} False\n", done.stderr
