"""The samplers of ``conf/sampler`` and the pruners of ``conf/pruner``."""

from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from ganexp.config.ranges import Count, Factor, Whole


def tpe(seed: Whole, startup: Count) -> BaseSampler:
    """Tree-structured Parzen estimator; running trials count as bad, so that parallel draws spread out."""
    return TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)


def random(seed: Whole) -> BaseSampler:
    """Draws every setting independently."""
    return RandomSampler(seed=seed)


def halving(epochs: Count, factor: Factor) -> BasePruner:
    """At each epoch ``epochs * factor**k``, keeps the best ``1/factor`` of the trials that have reached it."""
    return SuccessiveHalvingPruner(min_resource=epochs, reduction_factor=factor)


def median(epochs: Count, startup: Whole) -> BasePruner:
    """After ``epochs``, prunes a trial whose best score is worse than the others' median at that epoch."""
    return MedianPruner(n_startup_trials=startup, n_warmup_steps=epochs)


def none() -> BasePruner:
    """Prunes nothing."""
    return NopPruner()
