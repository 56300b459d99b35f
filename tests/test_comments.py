"""Every setting in ``conf`` has a sentence, which help shows."""

from functools import cache
from pathlib import Path

import pytest

from ganexp.config.targets import conf_folder
from ganexp.config.yaml_comments import YamlComments, read_comments

FILES = sorted(
    file for file in conf_folder().glob("**/*.yaml") if file.parent.name not in ("help", "hydra_logging")
)


def _name(file: Path) -> str:
    return str(file.relative_to(conf_folder()))


def _absolute(file: Path, comments: YamlComments, path: str) -> str:
    in_group = file.parent != conf_folder() and not comments.is_global
    return f"{file.parent.name}.{path}" if in_group else path


@cache
def _explained() -> set[str]:
    """The paths from the root that have a sentence in some file other than an experiment's."""
    paths = set()
    for file in FILES:
        comments = read_comments(file)
        for path, sentence in comments.leaves.items():
            if sentence and file.parent.name != "experiment":
                paths.add(_absolute(file, comments, path))
    return paths


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_every_setting_has_a_sentence(file: Path) -> None:
    """A recipe may leave out the sentence of a setting that it only changes: its own group's files have it."""
    comments, explained = read_comments(file), _explained()
    for path, sentence in comments.leaves.items():
        owner = path.split(".")[0]
        changed = comments.is_global and owner != file.parent.name
        parents = [path.rsplit(".", depth)[0] for depth in range(path.count(".") + 1)]
        assert sentence or (changed and explained & set(parents)), f"{_name(file)}: {path} has no sentence"


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_every_choice_has_a_heading(file: Path) -> None:
    assert read_comments(file).heading


@pytest.mark.parametrize("file", [file for file in FILES if file.parent == conf_folder()], ids=_name)
def test_every_group_has_a_sentence(file: Path) -> None:
    for group, sentence in read_comments(file).groups.items():
        assert sentence, f"{_name(file)}: {group} has no sentence"


def test_a_missing_sentence_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "# @package _global_\n# About\n# this.\nfirst: 1\n# Above.\nsecond: {low: 1} # behind\n"
        "third:\n  # Above\n  # it.\n  inner: 'a # b'\n  bare: \"c # d\"\n"
    )
    comments = read_comments(tmp_path / "a.yaml")
    assert comments.heading == "About this." and comments.is_global
    assert comments.leaves == {"first": "", "second": "behind", "third.inner": "Above it.", "third.bare": ""}
