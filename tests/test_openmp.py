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

FROM_PYTHON = """
import os, sys
from ganexp import api
class Importer:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"), "torch" in sys.modules)
            os._exit(sys.stdout.flush() or 0)
sys.meta_path.insert(0, Importer())
api.CALL
"""

SCRIPTS = {
    "command": SCRIPT,
    "train": FROM_PYTHON.replace("CALL", "train('data=ring')"),
    "load": FROM_PYTHON.replace("CALL", "TrainedRun('run').sample()"),
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    ("chosen", "policy"),
    [
        ({}, "PASSIVE"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"),
        ({"GOMP_SPINCOUNT": "7"}, "None"),
    ],
)
def test_spinning_is_limited_before_torch_is_loaded(
    script: str, chosen: dict[str, str], policy: str, tmp_path: Path
) -> None:
    plain = {
        key: value for key, value in ENVIRONMENT.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPTS[script]],
        env=plain | chosen,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{policy} False\n", done.stderr
