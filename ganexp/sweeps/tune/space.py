"""The search space: ranges and choices for settings of ``ganexp train``.

A space has the structure of the configuration, with a range or choices in place of each value:

    optim:
      lr: {low: 5e-5, high: 2e-3, log: true}          # a number; with step: 0.1 a multiple of it from low
    arch.generator.latent: {low: 16, high: 128, integer: true}
    loss: {choices: [gan, wgan_gp]}                    # a group's choices, or any values
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import BaseModel, Field

from ganexp.config.check import validate_model
from ganexp.config.ranges import Count, Positive
from ganexp.config.schema import STRICT
from ganexp.errors import UserError

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


class Values(Protocol):
    """The values that one setting can take, as text in override syntax."""

    def draw(self, trial: "BaseTrial", key: str) -> str:
        """The trial's value: a new draw, or its stored value if it has one."""
        ...

    def examples(self) -> list[str]:
        """Values that the validation of the space composes."""
        ...


class Numbers(BaseModel):
    """Real numbers from ``low`` to ``high``, uniform, or log-uniform with ``log``."""

    model_config = STRICT
    low: float
    high: float
    log: bool = False
    step: Positive | None = None

    def draw(self, trial: "BaseTrial", key: str) -> str:
        return self._text(trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step))

    def examples(self) -> list[str]:
        between = self.low + (self.step or 0.382 * (self.high - self.low))  # unlikely to be a whole number
        return [self._text(value) for value in (self.low, between, self.high)]

    def _text(self, value: float) -> str:
        """Six digits, which keeps folder names short; all digits where rounding would leave the range."""
        return f"{value:g}" if self.low <= float(f"{value:g}") <= self.high else repr(value)


class Integers(BaseModel):
    """Whole numbers from ``low`` to ``high``, both included."""

    model_config = STRICT
    low: int
    high: int
    integer: Literal[True]
    log: bool = False
    step: Count | None = None

    def draw(self, trial: "BaseTrial", key: str) -> str:
        return str(trial.suggest_int(key, self.low, self.high, log=self.log, step=self.step or 1))

    def examples(self) -> list[str]:
        return [str(self.low), str(self.high)]


class Choices(BaseModel):
    """One of these values; lists and null are allowed."""

    model_config = STRICT
    choices: Annotated[list[Any], Field(min_length=1)]

    def draw(self, trial: "BaseTrial", key: str) -> str:
        return str(trial.suggest_categorical(key, self.examples()))

    def examples(self) -> list[str]:
        return [_text(choice) for choice in self.choices]


Space = dict[str, Values]


def read_space(node: Mapping[str, Any]) -> Space:
    """Parses a configuration node into a space. Raises UserError."""
    space = {key: _values(key, values) for key, values in _leaves(node)}
    if not space:
        raise UserError("space is empty: add space=rates, or '+space.seed={choices:[1,2]}'")
    return space


def draw(space: Space, trial: "BaseTrial") -> list[str]:
    """A trial's overrides."""
    return [f"{key}={values.draw(trial, key)}" for key, values in space.items()]


def example_trials(space: Space) -> Iterator[list[str]]:
    """Overrides that contain each example value once, with the first example of every other setting."""
    first = {key: values.examples()[0] for key, values in space.items()}
    yield _overrides(first)
    for key, values in space.items():
        for value in values.examples()[1:]:
            yield _overrides(first | {key: value})


def _overrides(settings: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def _leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values; a mapping without nested mappings is a leaf: a range or choices."""
    for name, inner in node.items():
        key = f"{path}.{name}" if path else str(name)
        if isinstance(inner, Mapping) and any(isinstance(value, Mapping) for value in inner.values()):
            yield from _leaves(inner, key)
        else:
            yield key, inner


def _values(key: str, node: Any) -> Values:
    if not isinstance(node, Mapping) or not {"low", "high", "choices"} & set(node):
        raise UserError(f"space.{key}={node}: should be {{low: ..., high: ...}} or {{choices: [...]}}")
    model = Choices if "choices" in node else Integers if "integer" in node else Numbers
    validate_model(model, node, f"space.{key}.")
    values = model.model_validate(node)
    if isinstance(values, Choices):
        texts = values.examples()
        if len(set(texts)) < len(texts):
            raise UserError(f"space.{key}.choices=[{', '.join(texts)}]: a value occurs twice")
        return values
    if values.low >= values.high:
        raise UserError(f"space.{key}.low={values.low}: should be below high={values.high}")
    if values.log and values.low <= 0:
        raise UserError(f"space.{key}.low={values.low}: should be above 0 with log=true")
    if values.log and values.step is not None:
        raise UserError(f"space.{key}.step={values.step}: cannot be combined with log=true")
    return values


def _text(value: Any) -> str:
    """A value in override syntax."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_text, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
