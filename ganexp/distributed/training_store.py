"""What rank 0 and its workers tell each other through a store before and after they are a process group."""

from collections.abc import Iterable
from datetime import timedelta

from omegaconf import DictConfig, OmegaConf
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

_NO_MORE_TRAININGS = "over"
"""Stored in place of a configuration when there is no training left."""


class TrainingStore:
    """The entries of one training in a store; trainings are numbered from 0."""

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self._number = number

    def send(self, cfg: DictConfig) -> None:
        """Rank 0: stores the configuration, for which the workers wait."""
        self._store.set(f"training {self._number}", OmegaConf.to_yaml(cfg))

    def send_no_more(self) -> None:
        """Rank 0: tells the workers that there is no training left."""
        self._store.set(f"training {self._number}", _NO_MORE_TRAININGS)

    def receive(self) -> DictConfig | None:
        """A worker: waits for the configuration; None if no training is left. Raises RuntimeError."""
        key = f"training {self._number}"
        self._store.wait([key], timedelta(days=30))
        text = self._store.get(key).decode()
        if text == _NO_MORE_TRAININGS:
            return None
        cfg = OmegaConf.create(text)
        assert isinstance(cfg, DictConfig)
        return cfg

    def set_ready(self, rank: int) -> None:
        """A worker: it has its configuration and now joins the process group."""
        self._store.set(f"ready {rank}", "")

    def are_ready(self, ranks: Iterable[int]) -> bool:
        """Rank 0: whether all of these workers are ready."""
        return bool(self._store.check([f"ready {rank}" for rank in ranks]))

    def set_error(self, rank: int, error: str) -> None:
        """A worker: stores the error that ends it; rank 0 reads it when its next collective fails."""
        self._store.set(f"end {self._number} of {rank}", error)

    def find_error(self, world_size: int) -> str | None:
        """Rank 0: a line with the rank and error of a worker that stored its error; None if none did."""
        for rank in range(1, world_size):
            key = f"end {self._number} of {rank}"
            if self._store.check([key]):
                return f"process {rank} of {world_size}: {self._store.get(key).decode()}"
        return None

    @property
    def group(self) -> Store:
        """The part of the store that the training's process group uses."""
        return PrefixStore(f"group {self._number}", self._store)
