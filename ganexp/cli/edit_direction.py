"""The direction of ``ganexp edit``: a kept one, or the boundary of a class or attribute."""

from typing import NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganexp.cli.composing import composed, quoted
from ganexp.cli.directions import directions
from ganexp.cli.requested import plain
from ganexp.config.sample_values import number_range
from ganexp.errors import UserError, suggest
from ganexp.latents.directions import Directions, directions_file, load_directions
from ganexp.latents.latent_space import LatentSpace
from ganexp.metrics.classifier import has_labels
from ganexp.system.terminal import print_lines
from ganexp.training.load import OpenedRun


class Edits(NamedTuple):
    """A direction and how far along it. ``name``: of the direction, for files; ``about``: for people.

    ``attribute``: the number of the class or attribute that it is the boundary of, None of other directions.
    """

    found: Directions
    number: int
    strengths: list[float]
    name: str
    about: str
    attribute: int | None

    def moved(self, points: Tensor, strength: float) -> Tensor:
        """Points [N, ..., size] of the space, moved; 0 gives them back as they are."""
        return self.found.moved(points, self.number, strength) if strength else points


def edits_for(cfg: DictConfig, space: LatentSpace, run: OpenedRun) -> Edits | None:
    """What ``attribute`` or ``direction``, and ``strength`` ask for; None without. Raises UserError."""
    if cfg.attribute is None and cfg.direction is None:
        return None
    if cfg.attribute is not None and cfg.direction is not None:
        raise UserError(f"attribute={cfg.attribute} and direction={cfg.direction}: give one of them")
    strengths = _strengths(plain(cfg.strength), cfg.columns)
    if cfg.direction is not None:
        found = load_directions(run.folder, cfg.directions, space)
        if found.weights != space.weights:
            told = f"ganexp directions run={cfg.run} method={cfg.directions} finds them anew"
            print_lines(f"directions of {cfg.directions} were found with other weights of this run: {told}")
        number = found.number(cfg.direction)
        name = found.names[number]
        return Edits(
            found, number, strengths, f"{found.method}_{name}", f"direction {name} of {found.method}", None
        )
    attribute, name = _attribute(cfg.attribute, run)
    found = _boundaries(cfg, space, run, name)
    return Edits(found, found.number(name), strengths, name, name, attribute)


def _strengths(value: float | str | list[float], columns: int) -> list[float]:
    ends = number_range(value)
    if ends is not None:
        return [round(float(one), 6) for one in torch.linspace(*ends, columns, dtype=torch.float64)]
    return [float(one) for one in (value if isinstance(value, list) else [value])]


def _attribute(asked: int | str, run: OpenedRun) -> tuple[int, str]:
    """The number and name of a class or attribute of the run's data. Raises UserError."""
    if not has_labels(run.source):
        raise UserError(
            f"attribute={asked}: this run's data has no labels, of which a boundary is learned; ganexp "
            "directions finds directions without them, for direction="
        )
    names = run.data().classes
    if str(asked) in names:
        return names.index(str(asked)), str(asked)
    if isinstance(asked, int) and 0 <= asked < len(names):
        return asked, names[asked]
    kind = "attribute" if run.source.label_kind == "attributes" else "class"
    raise UserError(f"attribute={asked}: no such {kind}; {suggest(str(asked), names)}")


def _boundaries(cfg: DictConfig, space: LatentSpace, run: OpenedRun, name: str) -> Directions:
    """The run's boundaries with that one among them; all are found first if there are none.

    Raises UserError for others, which may have been found with settings of their own: they are not replaced.
    """
    file = directions_file(run.folder, "boundary")
    if file.exists():
        found = load_directions(run.folder, "boundary", space)
        again = f"ganexp directions run={cfg.run} method=boundary finds it anew"
        if name not in found.names:
            raise UserError(f"attribute={name}: {file} has {', '.join(found.names)} only; {again}")
        if found.weights != space.weights:
            raise UserError(f"attribute={name}: {file} was found with other weights of this run; {again}")
        return found
    overrides = [f"run={quoted(str(cfg.run))}", "method=boundary", f"latents={space.name}"]
    if isinstance(cfg.label, int | str):
        overrides.append(f"label={quoted(str(cfg.label))}")
    own, _ = composed("directions", [*overrides, f"checkpoint={quoted(cfg.checkpoint)}", f"trust={cfg.trust}"])
    own.device = cfg.device
    directions(own)
    return load_directions(run.folder, "boundary", space)
