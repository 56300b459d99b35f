"""The card of an exported generator, ``README.md``: what it is, how to load it, its scores and its limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ganexp.export.portable import Exportable


@dataclass(frozen=True)
class CardFacts:
    """What a card says. ``files``: by format. ``differences``: of each from the original.

    ``scores``: rows of name, value, value of real samples, and which direction is better; ``scored``: how they
    were computed. ``verb``: the line that applies the folder with ganexp, if one does without the data.
    ``has_picture``: whether samples.png is there.
    """

    title: str
    choices: Mapping[str, str]
    images: int
    version: str
    terms: str
    licence: str | None
    scores: list[tuple[str, str, str, str]]
    scored: str
    files: Mapping[str, str]
    differences: Mapping[str, float]
    verb: str | None
    has_picture: bool


def card(facts: CardFacts, exported: Exportable) -> str:
    """The text of README.md."""
    parts = [_head(facts), f"# {facts.title}", "![samples](samples.png)" if facts.has_picture else ""]
    parts += [_about(facts), "## How to load it", *_loading(facts, exported), _inputs(exported)]
    parts += ["## Data and their terms", facts.terms, "## Scores", _scores(facts)]
    parts += ["## Intended use and limits", _LIMITS]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(facts: CardFacts) -> str:
    lines = ["library_name: ganexp", "tags: [gan, generative-model]"]
    lines += [f"license: {facts.licence}"] if facts.licence else []
    return "\n".join(["---", *lines, "---"])


def _about(facts: CardFacts) -> str:
    known = [key for key in _GROUPS if facts.choices.get(key, "none") != "none"]
    chosen = ", ".join(f"`{key}={facts.choices[key]}`" for key in known)
    return (
        f"The averaged generator of a run of ganexp {facts.version} with {chosen or 'the settings below'}, "
        f"after {facts.images:,} training samples. `config.yaml` has every setting, without paths."
    )


_GROUPS = ("data", "game", "arch", "loss", "penalties", "degrade")


def _loading(facts: CardFacts, exported: Exportable) -> list[str]:
    parts = []
    if "onnx" in facts.files:
        given = ", ".join(f'"{one.name}": {one.name}' for one in exported.inputs)
        lines = [
            "import numpy, onnxruntime",
            "rng = numpy.random.default_rng(0)",
            *(f"{one.name} = {one.of_numpy}" for one in exported.inputs),
            f'session = onnxruntime.InferenceSession("{facts.files["onnx"]}")',
            f"{exported.output}s = session.run(None, {{{given}}})[0]",
        ]
        parts += ["With onnxruntime alone:", _code(lines)]
    if "torch_export" in facts.files:
        lines = [
            "import torch",
            *(f"{one.name} = {one.of_torch}" for one in exported.inputs),
            f'generator = torch.export.load("{facts.files["torch_export"]}").module()',
            f"{exported.output}s = generator({', '.join(exported.names)})",
        ]
        parts += ["With torch alone:", _code(lines)]
    if "safetensors" in facts.files and facts.verb is not None:
        parts += ["With ganexp, this folder is a run:", _code([facts.verb])]
    told = ", ".join(f"{name} {largest:.1g}" for name, largest in facts.differences.items())
    return [*parts, f"Largest difference of the files' outputs from the generator's: {told}." if told else ""]


def _code(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _inputs(exported: Exportable) -> str:
    rows = [f"| `{name}` | {shape} | {told} |" for name, shape, told in exported.table()]
    return "\n".join(["| input or output | shape | what |", "|---|---|---|", *rows])


def _scores(facts: CardFacts) -> str:
    if not facts.scores:
        return "None were computed: `ganexp evaluate` computes them."
    rows = [f"| {' | '.join(row)} |" for row in facts.scores]
    head = ["| score | this generator | real samples | better |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + f"\n\n{facts.scored}"


_LIMITS = """\
For learning, research and tests of programs that use generators. Samples imitate the training data, with their
gaps and their bias, and some may be close to a training sample. Do not present them as photographs or
measurements, do not use them for decisions about people, and keep to the terms of the data."""


def score_rows(
    scores: Mapping[str, Any], floor: Mapping[str, Any], direction: Callable[[str], str]
) -> list[tuple[str, str, str, str]]:
    """Rows of a card: numbers with four digits; empty where there is none. Standard deviations are left out."""
    return [
        (name, _number(value), _number(floor.get(name)), direction(name))
        for name, value in scores.items()
        if not name.endswith("_std")
    ]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""
