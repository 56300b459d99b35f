"""What cannot be combined, or should not be: one table, from which the documentation's is made.

Each row says what, why, and what to choose instead. Rows are checked on a validated configuration, before torch
is imported. What a network is made of is read from its settings and from the literal ``TRAITS`` of its class:

    equalised     stored weights are N(0, 1) and multiplied by a constant (Karras et al. 2018)
    demodulated   a convolution's result does not depend on the scale of its weights (Karras et al. 2020)
    spectral      every weight is divided by its largest singular value (Miyato et al. 2018)
    styles        the generator has a mapping from z to styles w
    grows         layers are added during the run
    keeps_size    its output is as large as its source
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from omegaconf import DictConfig

from ganexp.config.signatures import constant_of
from ganexp.errors import UserError


class Combination(NamedTuple):
    """A row of the table. ``refused``: a run with it does not start; otherwise it is warned of."""

    what: str
    why: str
    instead: str
    refused: bool
    applies: Callable[[DictConfig], bool]

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.instead}"


def check_combinations(cfg: DictConfig) -> None:
    """Raises UserError for the first refused combination of a validated configuration."""
    for row in COMBINATIONS:
        if row.refused and row.applies(cfg):
            raise UserError(str(row))


def combination_warnings(cfg: DictConfig) -> list[str]:
    """A line for each combination of a validated configuration that is not refused."""
    return [f"warning: {row}" for row in COMBINATIONS if not row.refused and row.applies(cfg)]


def combinations_table() -> str:
    """The table in Markdown."""
    lines = ["| what | | why | choose instead |", "|---|---|---|---|"]
    for row in COMBINATIONS:
        lines.append(f"| {row.what} | {'refused' if row.refused else 'warning'} | {row.why} | {row.instead} |")
    return "\n".join(lines) + "\n"


def _traits(net: DictConfig) -> set[str]:
    found = set(constant_of(str(net["_target_"]), "TRAITS") or ())
    return found | {"spectral"} if net.get("spectral") is True else found


def _any_net(cfg: DictConfig, *traits: str) -> bool:
    return any(_traits(net).intersection(traits) for net in cfg.arch.values())


def _critic(cfg: DictConfig, key: str) -> object:
    """A setting of the discriminator; None if there is none."""
    critic = cfg.arch.get("discriminator")
    return None if critic is None else critic.get(key)


def _traits_of_critic(cfg: DictConfig) -> set[str]:
    """Empty if there is no discriminator."""
    critic = cfg.arch.get("discriminator")
    return set() if critic is None else _traits(critic)


def _penalties(cfg: DictConfig, literal: str, player: str) -> Iterator[str]:
    """The names of a player's penalties whose class sets ``literal`` to True."""
    for name, node in cfg.penalties.items():
        target = str(node["_target_"])
        if constant_of(target, literal) is True and constant_of(target, "player") == player:
            yield str(name)


def _optimisers(cfg: DictConfig) -> list[DictConfig]:
    """The shared settings of the optimiser, and those of players that have their own."""
    return [cfg.optim, *(node for node in cfg.optim.values() if isinstance(node, DictConfig))]


def _target_ends(cfg: DictConfig, *names: str) -> bool:
    return any(str(node.get("_target_")).endswith(names) for node in _optimisers(cfg))


def _norm_targets(cfg: DictConfig) -> int:
    """How many penalties ask for gradients of a certain norm."""
    names = ("GradientPenalty", "Dragan")
    return sum(str(node["_target_"]).endswith(names) for node in cfg.penalties.values())


def _keeps_another_size(cfg: DictConfig) -> bool:
    nets = [net for net in cfg.arch.values() if "keeps_size" in _traits(net)]
    return any(net["source_shape"][1:] != net["output_shape"][1:] for net in nets)


COMBINATIONS = (
    Combination(
        "a penalty of each sample's gradient with arch.discriminator.norm=batch",
        "batch norm mixes the samples, so that one sample's gradient contains the others",
        "set arch.discriminator.norm=none or layer",
        True,
        lambda cfg: any(_penalties(cfg, "double_backward", "d")) and _critic(cfg, "norm") == "batch",
    ),
    Combination(
        "two penalties that ask for gradients of a certain norm (gradient, dragan)",
        "they ask for norms at the same points of the critic",
        "choose one of them",
        True,
        lambda cfg: _norm_targets(cfg) > 1,
    ),
    Combination(
        "game.clip with spectral norms",
        "weights that are divided by their largest singular value have that value 1, however small they are",
        "set game.clip=null, or arch.discriminator.spectral=false",
        True,
        lambda cfg: cfg.game.get("clip") is not None and "spectral" in _traits_of_critic(cfg),
    ),
    Combination(
        "device.compile=true with a growing network",
        "each level is another network, which would be translated anew",
        "set device.compile=false",
        True,
        lambda cfg: bool(cfg.device.get("compile")) and _any_net(cfg, "grows"),
    ),
    Combination(
        "penalties=path_length with a generator without styles, or with game=vaegan",
        "the path length is that of the step from styles w to the image",
        "choose arch=stylegan2, or leave the penalty out",
        True,
        lambda cfg: (
            any(_penalties(cfg, "needs_styles", "g"))
            and ("styles" not in _traits(cfg.arch["generator"]) or "encoder" in cfg.arch)
        ),
    ),
    Combination(
        "a loss or penalties with game=vae, beta_vae, capacity_vae, fanogan or style",
        "they train no discriminator",
        "set loss=none and penalties=none, or a game that has one, such as game=vaegan or cyclegan",
        True,
        lambda cfg: (
            constant_of(str(cfg.game["_target_"]), "USES_LOSS") is False
            and (cfg.loss is not None or len(cfg.penalties) > 0)
        ),
    ),
    Combination(
        "game=cut or fastcut with sources and images of different shapes",
        "one encoder, that of the generator, compares what it was given with what it made",
        "choose game=cyclegan, or data of one size and number of channels",
        True,
        lambda cfg: (
            "nce_weight" in cfg.game
            and cfg.degrade is not None
            and cfg.degrade.source_shape != cfg.degrade.output_shape
        ),
    ),
    Combination(
        "likelihood=bernoulli with data that are not bounded",
        "values outside of [-1, 1] are no probabilities",
        "set likelihood=gaussian",
        True,
        lambda cfg: (
            str((cfg.game.get("likelihood") or {}).get("_target_")).endswith(".Bernoulli")
            and cfg.data.get("bounded") is False
        ),
    ),
    Combination(
        "the minibatch deviation (arch.discriminator.group) with game=vaegan",
        "it judges each real image twice in a batch, and equal images tell real from fake",
        "set arch.discriminator.group=null",
        True,
        lambda cfg: _critic(cfg, "group") is not None and "feature_sigma" in cfg.game,
    ),
    Combination(
        "the minibatch deviation (arch.discriminator.group) with game=fanogan",
        "features that compare the images of a batch make a score of one image depend on the others",
        "start from a run with arch.discriminator.group=null",
        True,
        lambda cfg: _critic(cfg, "group") is not None and "kappa" in cfg.game,
    ),
    Combination(
        "a generator that keeps an image's size (arch=cyclegan) with sources of another size (degrade=lowres)",
        "its output is as large as its source",
        "choose another degrade, or game=srgan; of data=unpaired set data.source_resolution=${data.resolution}",
        True,
        _keeps_another_size,
    ),
    Combination(
        "growing networks of different schedules",
        "real images are faded in as the generator's are",
        "set first, fade_images and stable_images of the discriminator to those of the generator",
        True,
        lambda cfg: any(
            _critic(cfg, key) != cfg.arch.generator.get(key)
            for key in ("first", "fade_images", "stable_images")
            if "generator" in cfg.arch and "grows" in _traits(cfg.arch.generator)
        ),
    ),
    Combination(
        "style mixing (arch.generator.mixing) with game=infogan or game.noise=uniform",
        "the second z is normal and has no codes",
        "set arch.generator.mixing=0",
        False,
        lambda cfg: bool(
            "generator" in cfg.arch
            and cfg.arch.generator.get("mixing")
            and ("categories" in cfg.game or cfg.game.get("noise") == "uniform")
        ),
    ),
    Combination(
        "networks with an equalised learning rate and optim=sgd or rmsprop",
        "these networks are made for Adam, whose step does not depend on a gradient's scale",
        "set optim=adam, or search the rate anew",
        False,
        lambda cfg: _any_net(cfg, "equalised") and _target_ends(cfg, ".SGD", ".RMSprop"),
    ),
    Combination(
        "optim.weight_decay with spectral norms, demodulation or equalised rates",
        "the result does not depend on the scale of such weights, or they are meant to stay N(0, 1); "
        "decay then changes the learning rate",
        "set optim.weight_decay=0",
        False,
        lambda cfg: (
            any(node.get("weight_decay") for node in _optimisers(cfg))
            and _any_net(cfg, "spectral", "demodulated", "equalised")
        ),
    ),
    Combination(
        "optim.ttur above 1 with game.n_critic above 1",
        "both let the critic learn faster than the generator",
        "set one of them to 1",
        False,
        lambda cfg: float(cfg.optim.get("ttur") or 1) > 1 and int(cfg.game.get("n_critic") or 1) > 1,
    ),
    Combination(
        "the minibatch deviation (arch.discriminator.group) with game=pacgan",
        "both show the critic several samples at once, and groups are then of packs",
        "set arch.discriminator.group=null, or game=gan",
        False,
        lambda cfg: _critic(cfg, "group") is not None and "packing" in cfg.game,
    ),
    Combination(
        "self-attention (arch.<network>.attention) behind maps of more than 64 pixels on a side",
        "its time and memory grow with the fourth power of the side",
        "set arch.<network>.attention=32 or 64",
        False,
        lambda cfg: any((net.get("attention") or 0) > 64 for net in cfg.arch.values()),
    ),
    Combination(
        "device.precision=fp16 with demodulated convolutions or gradient penalties",
        "squares of fp16 numbers overflow above 65,504",
        "set device.precision=bf16 or fp32",
        False,
        lambda cfg: (
            cfg.device.get("precision") == "fp16"
            and (_any_net(cfg, "demodulated") or any(_penalties(cfg, "double_backward", "d")))
        ),
    ),
)
