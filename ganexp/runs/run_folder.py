"""The run folder; only this module, ``run.py`` and those that they call write there.

config.yaml             the composed configuration, resolved; resume and sample read it
run.json                the manifest: status, versions, data, device, times, hashes of the first weights
train.log               the lines of the terminal
metrics.jsonl           one line per epoch, with all scalars that TensorBoard has
events.out.tfevents.*   TensorBoard
samples/epoch_0001.png  the same latents every time
samples/reconstructions_epoch_0001.png  of an autoencoder: images, each beside its reconstruction
checkpoints/            last.pt, best.pt and older checkpoints (``stored_checkpoints.py``)

An epoch's records are written before its checkpoint. Whenever the process dies, the records up to the newest
checkpoint are complete, and later records are dropped when the run is resumed.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import DictConfig
from PIL import Image

from ganexp.errors import Diverged, Gone, Unwritable, UserError, print_to_stderr
from ganexp.runs.checkpoints import CheckpointManager
from ganexp.runs.lock import RunLock
from ganexp.runs.log import RunLog
from ganexp.runs.manifest import Manifest, status_after
from ganexp.runs.records import RunRecords
from ganexp.sentinel import Alarm, is_fatal
from ganexp.system.signals import SignalHandler, Stopped
from ganexp.system.terminal import quoted_override

if TYPE_CHECKING:  # runs must not import training: it would import the games
    from ganexp.training.state import Progress, State

HASH_STEPS = (0, 1, 10, 100)
"""The steps after which the manifest records a hash of the weights, for ``ganexp verify``."""


R = TypeVar("R", bound="RunFolder")


class RunFolder:
    """An open run folder; as a context manager it records how the run ended, also after an error."""

    def __init__(self, folder: Path, cfg: DictConfig, choices: Mapping[str, str]) -> None:
        self.folder = folder
        self._lock = RunLock(folder, cfg)
        self.manifest = Manifest(folder / "run.json")
        known = self.manifest.content.get("choices", {})
        self.choices: Mapping[str, str] = known if "loss" in known else choices
        self._cfg = cfg
        self.log = RunLog(folder)
        self.signals = SignalHandler()
        self._checkpoints = CheckpointManager(folder / "checkpoints", cfg.checkpoint.keep, self._warn)
        self.best = self._checkpoints.best
        self._records = RunRecords(folder, self.log)
        self._state: State | None = None
        self._others: list[dict[str, Any]] = []  # the other ranks' contributions to the last checkpoint

    def begin(self, state: "State", facts: dict[str, Any]) -> None:
        """Opens the records, truncated to the progress of ``state``; ``facts`` go into the manifest.

        Raises UserError if the data set has changed since the run began.
        """
        earlier, images = self.manifest.content, state.progress.images
        before = earlier.get("data", facts["data"])
        if images and before.get("fingerprint") != facts["data"]["fingerprint"]:
            raise UserError(f"{self.folder}: the data have changed since this run began; begin another one")
        self._state = state
        if earlier.get("status") == "running":
            self.log.info(f"the previous process of this run was killed: going on from image {images:,}")
        changed = self.manifest.changed(facts) if images else []
        if changed:
            self.log.info(f"warning: no longer bit for bit: {', '.join(changed)}")
        self._lock.write()
        self._checkpoints.clean()
        self._records.open(images, self._cfg, self.choices)
        self.manifest.begin(facts, resumed=images > 0)
        if images == 0:
            self.record_weight_hash(state)
            if self._cfg.sentinel.action == "rollback" or self._cfg.start_from is not None:
                self._checkpoints.save(state.snapshot(), epoch=0)

    def mark_finished(self, progress: "Progress") -> None:
        """Records the end of a run whose process was killed after its last checkpoint."""
        if self.manifest.content.get("status") == "running":
            self.manifest.end("finished", progress, self._checkpoints.saved, None)

    def record_weight_hash(self, state: "State") -> None:
        """Records a hash of the weights in the manifest. Raises Gone."""
        self._check_folder()
        self.manifest.record_weight_hash(state.progress.step, state.weights_hash())

    def record(
        self,
        epoch: int | None,
        scalars: dict[str, float],
        pictures: Mapping[str, Image.Image],
        progress: "Progress",
    ) -> None:
        """Writes an epoch's scalars and its pictures by name, or those within one (None). Raises Unwritable."""
        self._check_folder()
        try:
            self._records.write(epoch, scalars, pictures, progress)
        except OSError as error:
            self._check_folder()
            self._checkpoints.wait()
            raise Unwritable(
                f"{self.folder} cannot be written ({error.strerror or error}): {self._resume_advice()}"
            ) from None

    def finish(self, state: "State") -> None:
        """Waits for the last checkpoint. Raises Unwritable if a second attempt to write it fails too."""
        self._check_folder()
        self._checkpoints.wait()
        if self._checkpoints.saved != state.progress.images:
            self._checkpoints.save(state.snapshot(self._others), None)
            self._checkpoints.wait()
        if self._checkpoints.saved != state.progress.images:
            raise Unwritable(
                f"the last checkpoint of {self.folder} could not be written: {self._resume_advice()}"
            )

    def _resume_advice(self) -> str:
        """Advice for a full disk."""
        saved = self._checkpoints.saved
        return f"make room, and {quoted_override('resume', self.folder)} " + (
            f"goes on from image {saved:,}" if saved else "begins anew"
        )

    def _warn(self, line: str) -> None:
        """Logs a warning, unless the folder is gone, which ``_check_folder`` reports."""
        if not self._lock.lost:
            self.log.info(line)

    def _check_folder(self) -> None:
        """Raises Gone where the folder is gone: it is not created again."""
        if self._lock.lost:
            raise Gone(f"{self.folder} is gone: it was removed or moved while it was trained, which ends here")

    def alarm(self, alarm: Alarm | None, progress: "Progress") -> None:
        """Records an alarm in the manifest and TensorBoard; then warns, or raises Diverged if it is fatal."""
        if alarm is None:
            return
        self._check_folder()
        self.manifest.alarm(alarm.kind, progress.images, alarm.line)
        self._records.text("sentinel", alarm.line, progress.images)
        if is_fatal(alarm, self._cfg.sentinel.action):
            raise Diverged(alarm.line)
        self.log.info(f"warning: {alarm.line}")

    def __enter__(self: R) -> R:
        self.signals.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not getattr(error, "at_once", False):  # the second signal ends the run at once
                self._checkpoints.wait()
        finally:
            try:
                self._close(error)
            finally:
                self.log.close()
                self._lock.release()
                self.signals.__exit__(kind, error, trace)
        if self.signals.pending is not None and not isinstance(error, Stopped):
            if error is not None:
                print_to_stderr(error)
            self.signals.raise_if_pending()  # the run has ended by itself, but the signal must end a sweep too

    def _close(self, error: BaseException | None) -> None:
        """Records how the run ended."""
        if self._lock.lost:  # another folder may be in its place
            return
        status, saved = status_after(error), self._checkpoints.saved
        try:
            if self._state is not None:  # a run that ends before begin() leaves the manifest unchanged
                reason = None if error is None else str(error)
                self.manifest.end(status, self._state.progress, saved, reason)
                self._records.close(finished=status == "finished")
        except OSError as full:
            print_to_stderr(f"{self.folder}: run.json does not say how this ended: {full.strerror or full}")
        if status == "interrupted":
            advice = f": {quoted_override('resume', self.folder)} goes on from image {saved:,}"
            self.log.info(f"interrupted{advice if saved else ' before its first checkpoint'}")
        elif error is not None:
            self.log.log_error(status, error, whole=not isinstance(error, UserError))
