"""Captures work as CUDA graphs: the only module that calls torch's CUDA graph API.

See https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

from ganexp.training.graphed_turns import TurnLogs

_SYNC_WARNING = "called a synchronizing CUDA operation"
_CAPTURABLE_WARNING = "This instance was constructed with capturable=True"


class CudaRecorder:
    """Captures graphs on one GPU. They share one memory pool, because only one is replayed at a time.

    Warm-up and capture use a side stream, as torch requires; a graph is replayed on the current stream.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def warmup(self) -> Iterator[list[str]]:
        syncs: list[str] = []
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream), detect_syncs(syncs):
            yield syncs
        current.wait_stream(self._stream)

    def record(self, work: Callable[[], TurnLogs]) -> tuple[Callable[[], None], TurnLogs]:
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self.device)
        rng_state = torch.cuda.get_rng_state(self.device)
        try:
            # thread_local: the thread that prefetches batches may call CUDA on its own stream meanwhile.
            with (
                torch.cuda.device(self.device),
                torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"),
            ):
                logs = work()
        except RuntimeError:
            torch.cuda.set_stream(current)  # before torch 2.12 a failed capture leaves its own stream current
            self._reset_after_failure(rng_state)
            raise
        return graph.replay, logs

    def copy_from(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()  # torch frees the former pool with its last graph

    def _reset_after_failure(self, rng_state: torch.Tensor) -> None:
        """Ends what a failed capture leaves open: the capture modes of the RNG and of the allocator."""
        fresh = torch.Generator(self.device)
        fresh.set_state(rng_state)
        torch.cuda.default_generators[self.device.index].graphsafe_set_state(fresh)
        with suppress(RuntimeError):  # raised where the allocation had been ended already
            torch._C._cuda_endAllocateToPool(self.device.index, self._pool)


@contextmanager
def detect_syncs(syncs: list[str]) -> Iterator[None]:
    """Appends to ``syncs`` the ``file:line`` of each device synchronisation; re-issues all other warnings."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for warning in caught:
        text = str(warning.message)
        if _SYNC_WARNING in text:
            syncs.append(f"{warning.filename}:{warning.lineno}")
        elif _CAPTURABLE_WARNING not in text:  # torch warns that a capturable optimiser steps outside a capture
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
