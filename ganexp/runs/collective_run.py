"""The collective calls of a run, in the same order on every rank.

Rank 0 has a ``Run``, which makes decisions and writes files; the other ranks have a ``WorkerRun``. Both inherit
the calls from here, so that the ranks cannot get out of step, and override the inputs and the use of results.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ganexp.distributed import collectives, objects
from ganexp.distributed.stop_sync import StopSync
from ganexp.errors import Diverged

if TYPE_CHECKING:  # runs must not import training: it would import the games
    from ganexp.training.state import State


class SaveDecision(NamedTuple):
    """Rank 0's decision at a point where a checkpoint may be written."""

    writes: bool
    stops: bool
    """Whether the run ends after the write, because a signal came."""


class CollectiveRun:
    """The calls that all ranks make together; with a single process they communicate nothing."""

    def __init__(self) -> None:
        self._stop_sync = StopSync()

    def restore(self, state: "State", load_start: Callable[[], str]) -> None:
        """Restores the newest usable checkpoint; without one, every rank takes rank 0's weights and buffers.

        ``load_start``: loads the networks of ``start_from`` into a new run. Raises UserError if there are
        checkpoints but none is usable.
        """
        content = objects.broadcast_object(self._newest_content(load_start))
        if content is None:
            if collectives.rank() == 0:
                state.game.begin_run()
            collectives.broadcast(list(state.game.state_dict().values()))
        self._restore_content(state, content)

    def should_save(self) -> bool:
        """Whether all ranks must save a checkpoint now, within an epoch."""
        return self._stop_sync(self._wants_to_save())

    def save(self, state: "State", epoch: int | None = None, *, last: bool = False, best: bool = False) -> None:
        """Saves within an epoch (None), or at the end of ``epoch`` if that one is due, the last or the best.

        Training goes on during the write. Raises Stopped, after the write, if a signal came; raises Gone.
        """
        decision = self._decide_save(state, epoch, last=last, best=best)
        decision = SaveDecision(*map(bool, objects.broadcast_ints(decision)))
        if decision.writes:
            self._write(state, objects.gather_objects(self._rank_state(state)), epoch, best=best)
        if decision.stops:
            self._stop()

    def rollback(self, state: "State", diverged: Diverged) -> None:
        """Returns to the last healthy epoch with lower rates; raises Diverged if no rollback is left."""
        done = state.progress.rollbacks
        content = objects.broadcast_object(self._rollback_content(done))
        if content is None:
            raise self._no_rollback_left(diverged, done)
        self._restore_content(state, content)
        state.progress.rollbacks = done + 1
        self._after_rollback(state, diverged)

    def _newest_content(self, load_start: Callable[[], str]) -> dict[str, Any] | None:
        """Rank 0: the newest checkpoint's content, None without one."""
        return None

    def _restore_content(self, state: "State", content: dict[str, Any] | None) -> None:
        """Restores a checkpoint's content; None where the run is new."""
        raise NotImplementedError

    def _wants_to_save(self) -> bool:
        """Rank 0: whether a save is due."""
        return False

    def _decide_save(self, state: "State", epoch: int | None, *, last: bool, best: bool) -> SaveDecision:
        """Rank 0: whether to write, and whether to stop then."""
        return SaveDecision(writes=False, stops=False)

    def _rank_state(self, state: "State") -> dict[str, Any] | None:
        """Other ranks: the part of a checkpoint that differs from rank 0's."""
        return None

    def _write(self, state: "State", others: list[dict[str, Any]], epoch: int | None, *, best: bool) -> None:
        """Rank 0: writes a checkpoint with the other ranks' contributions."""

    def _stop(self) -> None:
        """Raises the exception that stops this process."""
        raise NotImplementedError

    def _rollback_content(self, done: int) -> dict[str, Any] | None:
        """Rank 0: the checkpoint content to return to after ``done`` rollbacks; None if there is none."""
        return None

    def _no_rollback_left(self, diverged: Diverged, done: int) -> Diverged:
        """The exception to raise where no rollback is left."""
        return diverged

    def _after_rollback(self, state: "State", diverged: Diverged) -> None:
        """Rank 0: records the rollback."""
