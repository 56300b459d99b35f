"""What every process of a run does together: the collective calls, in one order.

Rank 0 has a ``Run``, which decides and writes; the others have a ``WorkerRun``. Both inherit the calls from
here, so that they cannot come out of step, and override what is given into them and done with the result.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ganexp.distributed import collectives, objects
from ganexp.distributed.stop_sync import StopSync
from ganexp.errors import Diverged

if TYPE_CHECKING:  # what a run saves: it knows no game
    from ganexp.training.state import State


class SaveDecision(NamedTuple):
    """What rank 0 decides at a place where a checkpoint may be written."""

    writes: bool
    stops: bool
    """Whether the run ends here, once it is written, because a signal came."""


class CollectiveRun:
    """The calls that all processes of a run make together; with a single process they cost nothing."""

    def __init__(self) -> None:
        self._pulse = StopSync()

    def restore(self, state: "State", load_start: Callable[[], str]) -> None:
        """Goes on from the newest checkpoint that is whole; without one, every process takes rank 0's weights.

        ``load_start``: reads the networks of ``start_from``, for a run that begins with another's. Raises
        UserError if there are checkpoints, and none is whole.
        """
        content = objects.broadcast_object(self._newest(load_start))
        if content is None:
            collectives.broadcast(list(state.game.state_dict().values()))
        self._take(state, content)

    def should_save(self) -> bool:
        """Whether a checkpoint has to be written now, in mid-epoch."""
        return self._pulse(self._wants_to_save())

    def save(self, state: "State", epoch: int | None = None, *, last: bool = False, best: bool = False) -> None:
        """A checkpoint in mid-epoch, or at the end of ``epoch`` if it is to be saved, the last or the best.

        Training goes on while it is written. Raises Stopped, once it is on the disk, if a signal came, and
        Gone.
        """
        decision = self._decide_save(state, epoch, last=last, best=best)
        decision = SaveDecision(*map(bool, objects.broadcast_ints(decision)))
        if decision.writes:
            self._write(state, objects.gather_objects(self._contribution(state)), epoch, best=best)
        if decision.stops:
            self._stop()

    def rollback(self, state: "State", alarm: Diverged) -> None:
        """Returns to the last good epoch with lower rates; raises ``alarm`` if that is not wanted any more."""
        done = state.progress.rollbacks
        content = objects.broadcast_object(self._rolled_back(done))
        if content is None:
            raise self._end_of_rollbacks(alarm, done)
        self._take(state, content)
        state.progress.rollbacks = done + 1
        self._after_rollback(state, alarm)

    def _newest(self, load_start: Callable[[], str]) -> dict[str, Any] | None:
        """Rank 0: the newest checkpoint's content."""
        return None

    def _take(self, state: "State", content: dict[str, Any] | None) -> None:
        """Goes on from a checkpoint, or begins."""
        raise NotImplementedError

    def _wants_to_save(self) -> bool:
        """Rank 0: whether it is time to save."""
        return False

    def _decide_save(self, state: "State", epoch: int | None, *, last: bool, best: bool) -> SaveDecision:
        """Rank 0: whether to write, and to stop."""
        return SaveDecision(writes=False, stops=False)

    def _contribution(self, state: "State") -> dict[str, Any] | None:
        """What a checkpoint needs of this process besides what rank 0 has."""
        return None

    def _write(self, state: "State", others: list[dict[str, Any]], epoch: int | None, *, best: bool) -> None:
        """Rank 0: writes, with what the others contributed."""

    def _stop(self) -> None:
        """Raises what ends this process where a run stops."""
        raise NotImplementedError

    def _rolled_back(self, done: int) -> dict[str, Any] | None:
        """Rank 0: the content of the checkpoint to go back to, after ``done`` rollbacks; None if there is
        none.
        """
        return None

    def _end_of_rollbacks(self, alarm: Diverged, done: int) -> Diverged:
        """What to raise where a run cannot go back any more."""
        return alarm

    def _after_rollback(self, state: "State", alarm: Diverged) -> None:
        """Rank 0: notes that it went back."""
