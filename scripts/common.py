"""Helpers that the scripts share."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ganexp.config.targets import conf_folder
from ganexp.config.validate import validate_train
from ganexp.data.resolvers import register

if sys.platform != "win32":
    import resource


def composed(overrides: list[str]) -> DictConfig:
    """A validated configuration of ``ganexp train``."""
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return validate_train(compose("train", overrides=overrides), overrides)


@contextmanager
def silent() -> Iterator[None]:
    """Within this context runs print no lines and no progress bar."""
    with ExitStack() as patches:
        for loud in ("info", "debug", "bar"):
            patches.enter_context(patch(f"ganexp.runs.log.RunLog.{loud}"))
        yield


def peak_memory() -> float:
    """This process's peak memory in MB; not ``ru_maxrss`` on Linux, which starts at the parent's."""
    status = resident()
    if status:
        return status["VmHWM"]
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def resident() -> dict[str, float]:
    """This process's memory in MB from /proc: VmHWM (peak), RssAnon, RssFile; empty where that is missing."""
    file = Path("/proc/self/status")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pairs = (line.split(":") for line in lines if line.startswith(("VmHWM:", "RssAnon:", "RssFile:")))
    return {key: float(value.split()[0]) * 1024 / 1e6 for key, value in pairs}
