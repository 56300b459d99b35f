"""An experiment's data: the data set, where it is kept, and its loader."""

from typing import NamedTuple

import torch
from omegaconf import DictConfig

from ganexp.data.arrays import Arrays
from ganexp.data.batches import SHARED_ORDER, UNPAIRED_ORDER, BatchLoader, Domain
from ganexp.data.download import load
from ganexp.data.source import Source
from ganexp.data.store import Store, store
from ganexp.distributed import collectives, objects
from ganexp.system.rng import fork_rng


class ExperimentData(NamedTuple):
    """The data set of a run and its batches."""

    source: Source
    arrays: Arrays
    """The data set as it is stored."""
    store: Store
    """Where the samples are kept during training."""
    loader: BatchLoader


def build_data(cfg: DictConfig, source: Source, device: torch.device, *, unpaired: bool) -> ExperimentData:
    """Loads the data set, prepared by rank 0 first; ``unpaired``: see ``make_loader``.

    Raises UserError where it is missing or damaged.
    """
    with fork_rng(device):  # preparing a data set imports libraries that draw random numbers
        arrays = objects.rank0_first(lambda: load(source, own=cfg.resume is None or cfg.trust))
    samples = store(arrays.samples, device)
    loader = make_loader(cfg, source, arrays, samples, device, unpaired=unpaired)
    return ExperimentData(source, arrays, samples, loader)


def make_loader(
    cfg: DictConfig,
    source: Source,
    data: Arrays,
    samples: Store,
    device: torch.device,
    *,
    unpaired: bool = False,
) -> BatchLoader:
    """The loader of a data set whose samples are stored already; each rank takes its slice of a batch.

    ``unpaired``: sources do not belong to the samples; where the data set has none, they are other samples.
    """
    domains = [Domain(samples, len(data.samples), source.decode)]
    if data.sources is not None:
        order = SHARED_ORDER if source.paired and not unpaired else UNPAIRED_ORDER
        sources = store(data.sources, device)
        domains.append(Domain(sources, len(data.sources), source.decode_sources, order))
    elif unpaired:
        domains.append(Domain(samples, len(data.samples), source.decode, UNPAIRED_ORDER))
    return BatchLoader(
        domains,
        data.labels,
        cfg.batch_size,
        cfg.seed,
        mirror=source.mirror,
        process=collectives.process_info(),
    )
