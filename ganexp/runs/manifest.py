"""The manifest ``run.json``: versions, device, data, and how the run ended. Reading one needs no torch."""

import json
import math
import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ganexp import __version__
from ganexp.errors import Diverged
from ganexp.runs.lock import is_held
from ganexp.system.atomic import replacing

if TYPE_CHECKING:
    from ganexp.training.state import Progress

Status = Literal["running", "finished", "interrupted", "failed", "diverged"]


class Manifest:
    """The manifest of one run; every change is on the disk when the call returns."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.content: dict[str, Any] = {}
        if file.is_file():  # a resumed run updates its manifest; a damaged one is written anew
            with suppress(ValueError, RecursionError):
                self.content = _valid_fields(json.loads(file.read_text(encoding="utf-8")))

    def begin(self, facts: dict[str, Any], *, resumed: bool) -> None:
        """Records that this process has started or resumed the run, and its ``facts``."""
        sessions = self.content.get("sessions", 0)
        start = self.content.get("start", _now())
        self.content = {
            "status": "running",
            "start": start,
            "end": None,
            "sessions": sessions + 1,
            "process": {"host": platform.node(), "pid": os.getpid()},
            **facts,
            **environment(),
            "saved": self.content.get("saved", 0) if resumed else 0,
            "weights": self.content.get("weights", {}) if resumed else {},
            "alarms": self.content.get("alarms", []),
        }
        self._write()

    def changed(self, facts: dict[str, Any]) -> list[str]:
        """Changes of device or torch version, after which a resumed run is not reproduced bit for bit."""
        pairs = [
            (self.content.get("device"), facts["device"]),
            (self.content.get("versions", {}).get("torch"), metadata.version("torch")),
        ]
        return [f"{before} -> {now}" for before, now in pairs if before != now]

    def record_weight_hash(self, step: int, weights: str) -> None:
        """Records a hash of the weights after ``step`` steps; after a rollback the first one stays."""
        if str(step) not in self.content["weights"]:
            self.content["weights"][str(step)] = weights
            self._write()

    def alarm(self, kind: str, images: int, line: str) -> None:
        """Records an alarm of the sentinel, once: a resumed run may raise it again."""
        found = {"kind": kind, "images": images, "line": line}
        if found not in self.content["alarms"]:
            self.content["alarms"].append(found)
            self._write()

    def end(self, status: Status, progress: "Progress", saved: int, reason: str | None) -> None:
        """Records how and why the run ended, and its speed: real images per second spent training.

        ``saved``: the image count of the newest checkpoint.
        """
        self.content |= {
            "status": status,
            "reason": reason,
            "end": _now(),
            "images": progress.images,
            "saved": saved,
            "seconds": round(progress.seconds, 3),
            "images_per_second": round(progress.images / progress.seconds, 1) if progress.seconds else None,
        }
        self._write()

    def _write(self) -> None:
        with replacing(self.file, self.file.parent) as temporary:
            temporary.write_text(json.dumps(self.content, indent=2) + "\n", encoding="utf-8")


_LARGEST = 1e100  # float32's largest number is 3.4e38


def is_huge(value: Any) -> bool:
    """Whether a number is larger than any run's, so that it or its square could overflow.

    Infinity is not: a diverged run can have it.
    """
    if isinstance(value, float):
        return _LARGEST < abs(value) < math.inf
    return isinstance(value, int) and abs(value) >= 2**63


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds control characters")
    return text


def _not_huge(value: Any) -> Any:
    if is_huge(value):
        raise ValueError("no run comes to such a number")
    return value


Printable = Annotated[str, AfterValidator(_printable)]
Whole = Annotated[int, AfterValidator(_not_huge)]


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    fingerprint: str


class _Content(BaseModel):
    """The schema of ``run.json``. Other fields are kept, except for numbers that are too large."""

    model_config = ConfigDict(strict=True, extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_not_huge)]]

    status: Status | None = None
    start: str | None = None
    sessions: Whole | None = None
    images: Whole | None = None
    saved: Whole | None = None
    git: dict[str, Any] | None = None
    device: str | None = None
    choices: dict[str, Printable] | None = None
    data: _Data | None = None
    versions: dict[str, Any] | None = None
    weights: dict[Annotated[str, Field(pattern=r"^\d+$")], str] | None = None
    alarms: list[dict[str, Any]] | None = None
    scores: dict[str, Literal["lower", "higher"]] | None = None


def _valid_fields(found: Any) -> dict[str, Any]:
    """The valid fields of a manifest, which somebody may have edited; invalid ones are left out."""
    content = found if isinstance(found, dict) else {}
    try:
        _Content.model_validate(content)
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors(include_url=False) if each["loc"]}
        content = {key: value for key, value in content.items() if key not in wrong}
    return {key: value for key, value in content.items() if value is not None or key in ("end", "reason")}


def status_of(folder: Path) -> Status | None:
    """A run's status; None if its manifest has none.

    A killed process cannot record its end: a run is interrupted if its manifest says "running" but no process
    holds its lock.
    """
    status: Status | None = Manifest(folder / "run.json").content.get("status")
    return "interrupted" if status == "running" and not is_held(folder) else status


def status_after(error: BaseException | None) -> Status:
    """The status of a run that ended with ``error``; None is a normal end."""
    if error is None:
        return "finished"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "diverged" if isinstance(error, Diverged) else "failed"


def environment() -> dict[str, Any]:
    """What affects a run besides configuration, data and device: versions, git commit, platform."""
    return {"versions": _versions(), "git": _git_state(), "platform": platform.platform()}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


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
