"""Shell completion: ``ganexp -sc query=bash`` prints what may follow the line in ``COMP_LINE``.

Hydra prints the scripts for bash and fish that ask for it (``-sc install=bash``).
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ganexp.cli.verbs import DATA_ACTIONS, VERBS, WITHOUT_HYDRA

_MAX_RUNS = 20
_FLAGS = {"train": ("-m", "--cfg", "--info", "--help"), "": ("--cfg", "--info", "--help")}
_RUN_KEYS = ("run", "resume", "start_from", "against")
"""Settings whose value is a run folder."""

_KEYS_WITHOUT_HYDRA: dict[str, dict[str, tuple[str, ...]]] = {
    "compare": {"metric": (), "by": ("best", "final"), "out": ()},
    "runs": {"sort": ("age", "-age", "images", "seconds", "status"), "columns": ()},
    "diff": {},
    "zoo": {"out": ()},
}


def complete(line: str) -> list[str]:
    """The words that may stand where the command line ``line`` ends; empty after an unknown verb."""
    words = line.split()[1:]
    if not line or line[-1].isspace() or not words:
        words.append("")
    *before, word = words
    if before[:1] == ["help"]:
        before = before[1:]
        if before:
            return []
    if not before:
        return [*VERBS, "help"] if words[0] != "help" else [*VERBS]  # the shell leaves out what does not fit
    return sorted({found for found in _candidates(before, word) if found.startswith(word)})


def _candidates(before: Sequence[str], word: str) -> Iterator[str]:
    verb, *others = before
    if verb == "data":
        if not others:
            yield from DATA_ACTIONS
            return
        verb, others = f"data_{others[0]}", others[1:]
        if verb not in ("data_info", "data_prepare"):
            return
    if verb in WITHOUT_HYDRA:
        yield from _candidates_without_hydra(verb, word)
    elif verb in VERBS or verb.startswith("data_"):
        yield from _candidates_of_hydra(verb, others, word)


def _candidates_without_hydra(verb: str, word: str) -> Iterator[str]:
    for key, values in _KEYS_WITHOUT_HYDRA[verb].items():
        yield from (f"{key}={value}" for value in (values if "=" in word else ("",)))
    for run in recent_runs():
        yield run
        yield from (str(parent) for parent in Path(run).parents if parent != Path())
    yield "--help"


def _candidates_of_hydra(verb: str, arguments: Sequence[str], word: str) -> Iterator[str]:
    """Groups and settings; once one is named, its values."""
    from ganexp.cli.verb_settings import VerbSettings, verb_settings

    key, equals, _ = word.partition("=")
    if equals and key in _RUN_KEYS:
        yield from (f"{key}={run}" for run in recent_runs())
        return
    told = VerbSettings([], [], {})
    for overrides in (arguments, []):
        with suppress(Exception):  # what was typed so far may be wrong: complete without it
            told = verb_settings(verb, overrides)
            break
    if equals:
        values = {group.name: group.choices for group in told.groups}
        values |= {setting.path: setting.allowed for setting in told.settings}
        values |= {"hydra/launcher": ("local",)} if verb == "train" else {}
        yield from (f"{key}={value}" for value in values.get(key, ()))
        return
    yield from (f"{group.name}=" for group in told.groups)
    yield from ("hydra/launcher=" for _ in range(verb == "train"))
    for setting in told.settings:  # one level at a time: optim. before optim.lr=
        rest = setting.path[len(word) :].partition(".") if setting.path.startswith(word) else ("", "", "")
        yield f"{setting.path}=" if not rest[1] else f"{word}{rest[0]}."
    yield from _FLAGS.get(verb, _FLAGS[""])


def recent_runs() -> list[str]:
    """The run folders ``outputs/<name>/<overrides>`` that were written to last, newest first."""
    with suppress(OSError):
        folders = [file.parent for file in Path("outputs").glob("*/*/run.json")]
        folders.sort(key=lambda folder: (folder / "run.json").stat().st_mtime, reverse=True)
        return [str(folder) for folder in folders[:_MAX_RUNS] if re.fullmatch(r"[\w./+,@:-]+", str(folder))]
    return []


def print_completion(shell: str) -> None:
    """Prints the candidates as the scripts of Hydra read them: bash on one line, fish one a line."""
    found = complete(os.environ.get("COMP_LINE", ""))
    if found:
        print(("\n" if shell == "fish" else " ").join(found))
