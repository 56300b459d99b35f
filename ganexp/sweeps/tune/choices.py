"""The choices of ``conf/sampler`` and ``conf/pruner``."""

from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from ganexp.config.ranges import Count, Factor, Whole


def tpe(seed: Whole, startup: Count) -> BaseSampler:
    """Tree-structured Parzen estimator; other processes' trials under way count as bad, so that it spreads."""
    return TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)


def random(seed: Whole) -> BaseSampler:
    """Every setting for itself."""
    return RandomSampler(seed=seed)


def halving(epochs: Count, factor: Factor) -> BasePruner:
    """A trial goes on past ``epochs * factor**k`` if it is in the best ``1/factor`` of those that got there."""
    return SuccessiveHalvingPruner(min_resource=epochs, reduction_factor=factor)


def median(epochs: Count, startup: Whole) -> BasePruner:
    """A trial goes on past ``epochs`` if it is better than half of the others."""
    return MedianPruner(n_startup_trials=startup, n_warmup_steps=epochs)


def none() -> BasePruner:
    """Nothing is given up."""
    return NopPruner()
