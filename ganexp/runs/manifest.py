"""The manifest ``run.json``: versions, device, data, and how the run ended. Reading one needs no torch."""

import json
import os
import platform
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganexp.errors import Diverged
from ganexp.runs.environment import environment
from ganexp.runs.lock import is_held
from ganexp.runs.manifest_schema import Status, valid_fields
from ganexp.system.atomic import replacing

if TYPE_CHECKING:
    from ganexp.training.state import Progress


class Manifest:
    """The manifest of one run; every change is on the disk when the call returns."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.content: dict[str, Any] = {}
        if file.is_file():  # a resumed run updates its manifest; a damaged one is written anew
            with suppress(ValueError, RecursionError):
                self.content = valid_fields(json.loads(file.read_text(encoding="utf-8")))

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


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
