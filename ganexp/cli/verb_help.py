"""``ganexp VERB --help``: groups with their choices, then settings with sentence, type and default.

The text is at most 100 columns wide and has no control characters, so that it can be read in a pipe.
"""

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from ganexp.cli.verb_settings import Group, VerbSetting, VerbSettings, verb_settings
from ganexp.config.guesses import check_place, with_guesses

_MAX_WIDTH, _MIN_WIDTH = 100, 60
_MAX_LEFT = 34  # columns of key=default; a longer one has a line of its own

_FIRST = {"train": ("epochs", "batch_size", "optim.lr", "seed", "name", "resume")}
"""The settings of a verb that people change first; other verbs have only a few without a dot."""

_MORE_USAGE = {"train": " [-m]", "tune": " [-- override of every run ...]"}

_JOINED = "\0"  # stands for a space where a line must not be broken


def verb_help(verb: str, program: str, description: str, arguments: Sequence[str]) -> str:
    """A verb's help, for the choices in ``arguments``; ``verb`` names its YAML. Raises Hydra's exceptions."""
    width = max(_MIN_WIDTH, min(_MAX_WIDTH, shutil.get_terminal_size((_MAX_WIDTH, 24)).columns))
    arguments = with_guesses(verb, arguments)
    if verb == "tune":
        check_place(arguments, [])
    told = verb_settings(verb, arguments)
    first = _first(verb, told.settings)
    what, _, example = description.partition(": ")
    choices = " [group=choice ...]" if told.groups else ""
    blocks = [
        f"usage: {program}{choices} [key=value ...]{_MORE_USAGE.get(verb, '')}",
        f"{what}, for example:\n  {example}",
    ]
    if told.groups:
        blocks.append(
            "Groups (group=choice), each with its default:\n" + _rows(map(_group_row, told.groups), width)
        )
    title = "The settings that are changed first" if verb in _FIRST else "Settings"
    blocks.append(f"{title} (key=value), each with its default:\n" + _rows(map(_setting_row, first), width))
    rest = [setting for setting in told.settings if setting not in first]
    for name, settings in _sections(rest).items():
        blocks.append(f"{_title(name, told, width)}\n" + _rows(map(_setting_row, settings), width))
    return "\n\n".join([*blocks, _footer(verb, bool(told.groups))])


def _first(verb: str, settings: list[VerbSetting]) -> list[VerbSetting]:
    by_path = {setting.path: setting for setting in settings}
    if verb in _FIRST:
        return [by_path[path] for path in _FIRST[verb] if path in by_path]
    return [setting for setting in settings if "." not in setting.path] or settings[:6]


def _sections(settings: list[VerbSetting]) -> dict[str, list[VerbSetting]]:
    """Settings by the first part of their path; those without a dot come first, under an empty name."""
    sections: dict[str, list[VerbSetting]] = {}
    for setting in sorted(settings, key=lambda setting: "." in setting.path):
        owner, dot, _ = setting.path.partition(".")
        sections.setdefault(owner if dot else "", []).append(setting)
    return sections


def _title(name: str, told: VerbSettings, width: int) -> str:
    chosen = {group.name.rpartition("@")[2]: group for group in told.groups}
    if name in chosen and chosen[name].chosen != "null":
        return f"{name} ({chosen[name].name}={chosen[name].chosen}):"
    sentence = told.nodes.get(name, "")
    title = f"{name}: {sentence}" if sentence else f"{name}:" if name else "Other settings:"
    return textwrap.fill(title, width, break_on_hyphens=False)


def _group_row(group: Group) -> tuple[str, list[str]]:
    return f"{group.name}={group.chosen}", [group.sentence, ", ".join(group.choices)]


def _setting_row(setting: VerbSetting) -> tuple[str, list[str]]:
    kind = "" if setting.kind in setting.sentence else f" [{setting.kind}]".replace(" ", _JOINED)
    kind = kind.replace(_JOINED, " ", 1)
    required = setting.value == "???"
    left = f"{setting.path}={'...' if required else setting.value}"
    return left, [f"{'required: ' if required else ''}{setting.sentence}{kind}"]


def _rows(rows: Iterable[tuple[str, list[str]]], width: int) -> str:
    """Rows with ``key=default`` to the left and wrapped paragraphs to the right of it."""
    cells = [(left, [paragraph for paragraph in right if paragraph]) for left, right in rows]
    column = min(_MAX_LEFT, max(len(left) for left, _ in cells)) + 4
    lines = []
    for left, paragraphs in cells:
        wrapped = [
            line
            for paragraph in paragraphs
            for line in textwrap.wrap(paragraph, width - column, break_on_hyphens=False)
        ]
        if len(left) + 4 > column:
            lines += textwrap.wrap(left, width - 2, initial_indent="  ", subsequent_indent="    ")
            lines += [" " * column + line for line in wrapped]
        else:
            lines.append(f"  {left}".ljust(column) + next(iter(wrapped), ""))
            lines += [" " * column + line for line in wrapped[1:]]
    return "\n".join(line.rstrip() for line in lines).replace(_JOINED, " ")


def _footer(verb: str, has_groups: bool) -> str:
    flags = [("--cfg job", "prints the configuration and runs nothing; --info shows where it comes from")]
    if verb == "train":
        flags += [
            ("-m", "runs each combination of comma-separated values: -m loss=gan,lsgan seed=1,2"),
            ("", "several at a time: -m hydra/launcher=local hydra.launcher.slots=4"),
            ("+key=value", "adds a key, ~key removes one"),
        ]
    if has_groups:
        flags += [
            ("--help", "shows the settings and defaults of the choices that are given beside it"),
            ("--config-dir FOLDER", "finds choices of your own in FOLDER/<group>/<choice>.yaml"),
        ]
    flags += [("--hydra-help", "shows the flags of Hydra, which composes the configuration")]
    return "More:\n" + "\n".join(f"  {flag:21}{text}" for flag, text in flags)
