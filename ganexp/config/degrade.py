"""Checks that the game, the networks, the data set and ``degrade`` agree on what images are made from."""

from omegaconf import DictConfig

from ganexp.config.signatures import constant_of
from ganexp.errors import UserError


def check_degrade(cfg: DictConfig) -> None:
    """Raises UserError for a game without what it makes images from, or with what it has no use for."""
    target = str(cfg.game["_target_"])
    name, uses = target.rpartition(".")[2], constant_of(target, "USES_DEGRADE")
    if uses and cfg.degrade is None:
        unpaired = "data=unpaired, degrade=classes or degrade=edges"
        paired = "degrade=gray or degrade=holes; data=pairs has pairs of its own"
        choices = unpaired if constant_of(target, "UNPAIRED") else paired
        raise UserError(f"{name} makes images from images: choose what they are made from, such as {choices}")
    nets = [str(key) for key, net in cfg.arch.items() if isinstance(net, DictConfig) and "source_shape" in net]
    if uses is False and nets:
        raise UserError(
            f"arch.{nets[0]} makes images from images: choose a game that does, such as game=pix2pix"
        )
    if cfg.degrade is None:
        return
    degrade = str(cfg.degrade["_target_"])
    reads_sources = constant_of(target, "needs_reference") and constant_of(degrade, "USES_SOURCES")
    if uses is False and not reads_sources:  # a game of one's own may read the sources of data=pairs by itself
        raise UserError(f"{name} makes no images from images: degrade is for games that do: game=pix2pix")
    if len(cfg.data.shape) != 3:
        raise UserError(
            "degrade needs a data set of images, and this one has points: set data=celeba or data=folder"
        )
    if uses:
        _check_sources_are_used(degrade, "source_shape" in cfg.data)
        identity, needs_target = constant_of(degrade, "IS_IDENTITY"), constant_of(target, "NEEDS_TARGET")
        if identity and needs_target is not False:
            choices = "degrade=classes or edges" if constant_of(target, "UNPAIRED") else "degrade=gray or holes"
            raise UserError(
                f"{name} needs sources that differ from images: set {choices}, not degrade=identity"
            )
        if needs_target is False and not identity:
            raise UserError(f"{name} changes the images themselves and has no targets: set degrade=identity")
        if constant_of(degrade, "PAIRED") is False and not identity and not constant_of(target, "UNPAIRED"):
            raise UserError(
                f"{name} needs each source's target, and these data are two unpaired domains: choose "
                "game=cyclegan or game=cut"
            )


def _check_sources_are_used(degrade: str, has_sources: bool) -> None:
    """Raises UserError where only one of the data set and the degradation class has and uses sources.

    Games and experiments choose a degradation too, which wins over that of ``data=pairs``.
    """
    uses = bool(constant_of(degrade, "USES_SOURCES"))
    makes = bool(constant_of(degrade, "MAKES_DOMAINS"))
    if uses and not has_sources and not makes:
        choice = degrade.rpartition(".")[2].lower()
        raise UserError(f"degrade={choice}: this data set has no sources of its own: set data={choice}")
    if has_sources and makes:
        raise UserError("degrade=classes: the data have sources of their own: set data=folder or the like")
    if has_sources and not uses:
        raise UserError(
            f"data has sources of its own, which {degrade.rpartition('.')[2]} does not use: set degrade=pairs, "
            "or data=folder to make sources of images"
        )
