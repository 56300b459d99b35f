"""``ganexp push`` and ``ganexp pull``: exported generators to and from Hugging Face's hub.

The token is the one that ``hf auth login`` stored, or ``HF_TOKEN``: it is in no setting, configuration or log.
What is taken is not trusted: named files only, no pickle, hashes checked, and nothing of it is executed.
"""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from ganexp.config.exported_files import SHARED
from ganexp.errors import UserError, first_line
from ganexp.export.sent import check_taken, files_of
from ganexp.system.atomic import make_folder
from ganexp.system.terminal import align_columns, plural, print_lines, quoted_override

_REASONS = {
    401: "not found, or you are not logged in: hf auth login",
    403: "you may not write there",
    404: "not found",
}
"""Messages by HTTP status."""

_LARGEST = 2_000_000_000
"""Bytes of all files that are taken."""


def push(cfg: DictConfig) -> None:
    """Lists what would be sent and sends it if that is agreed; see ``conf/push.yaml``. Raises UserError."""
    folder = Path(cfg.run).expanduser()
    sent = files_of(folder)
    rows = [(file.name, f"{file.size:,} bytes", f"sha256 {file.sha256[:16]}") for file in sent]
    visible = "private" if cfg.private else "public"
    print_lines(f"{plural(len(sent), 'file')} of {folder} for the {visible} repository {cfg.to}:")
    print_lines(align_columns(rows, right=[1]))
    if cfg.dry_run:
        print_lines("nothing was sent; dry_run=false sends it")
        return
    _check_package()
    if not cfg.confirmed and not _agreed(f"send these files to {cfg.to}, {visible}? [y/N] "):
        raise UserError("nothing was sent")
    _send(cfg, folder, [file.name for file in sent])
    print_lines(f"sent: ganexp pull repo={cfg.to} takes it")


def _send(cfg: DictConfig, folder: Path, names: list[str]) -> None:
    """Makes the repository if need be, and replaces what an earlier push left there. Raises UserError."""
    with _errors(f"to={cfg.to}"):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        api = HfApi(library_name="ganexp")
        api.create_repo(cfg.to, private=cfg.private, exist_ok=True)
        facts = api.model_info(cfg.to)
        if cfg.private and not facts.private:
            raise UserError(f"to={cfg.to}: is public: set private=false if everybody may see this")
        there = {one.rfilename for one in facts.siblings or []}
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationDelete(name) for name in SHARED if name in there and name not in names
        ]
        operations += [CommitOperationAdd(name, folder / name) for name in names]
        api.create_commit(cfg.to, operations, commit_message="A generator of ganexp export")


def pull(cfg: DictConfig) -> None:
    """Takes an exported generator and checks it; see ``conf/pull.yaml``. Raises UserError; nothing is kept."""
    _check_package()
    out = Path(cfg.out).expanduser() if cfg.out else Path("outputs/hub") / cfg.repo.replace("/", "--")
    if out.exists():
        raise UserError(f"out={out}: is there already: choose another folder, or remove it")
    try:
        with tempfile.TemporaryDirectory() as scratch, make_folder(out.parent):
            taken, kept = Path(scratch), Path(scratch) / "kept"
            _download(cfg.repo, cfg.revision, taken)
            kept.mkdir()
            for name in SHARED:
                if (taken / name).is_file() and not (taken / name).is_symlink():
                    shutil.copyfile(taken / name, kept / name)
            check_taken(kept, f"repo={cfg.repo}")
            shutil.move(kept, out)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror or error}") from None
    print_lines(f"{plural(len(list(out.iterdir())), 'file')}: {out}; read {out / 'README.md'}")
    print_lines(f"it is a run: ganexp sample {quoted_override('run', out)}")


def _download(repo: str, revision: str | None, folder: Path) -> None:
    """Raises UserError."""
    with _errors(f"repo={repo}"):
        from huggingface_hub import HfApi, snapshot_download

        facts = HfApi(library_name="ganexp").model_info(repo, revision=revision, files_metadata=True)
        found = {one.rfilename: one.size or 0 for one in facts.siblings or [] if one.rfilename in SHARED}
        if (size := sum(found.values())) > _LARGEST:
            raise UserError(f"repo={repo}: its files have {size:,} bytes, more than {_LARGEST:,}")
        snapshot_download(repo, revision=facts.sha, local_dir=folder, allow_patterns=list(SHARED))


def _check_package() -> None:
    if find_spec("huggingface_hub") is None:
        raise UserError("this needs huggingface_hub: pip install -e '.[hub]'")


def _agreed(question: str) -> bool:
    """Whether somebody at a terminal answers yes. Raises UserError where there is no terminal."""
    if not sys.stdin.isatty():
        raise UserError("nobody can be asked here whether to send this: set confirmed=true if you agree")
    return input(question).strip().lower() in ("y", "yes")


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turns the package's errors into UserErrors of one line; its telemetry and its log are switched off."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except UserError:
        raise
    except HFValidationError as error:
        raise UserError(f"{what}: should be <owner>/<name>: {first_line(error)}") from None
    except HfHubHTTPError as error:
        reason = _REASONS.get(error.response.status_code) or first_line(error)
        raise UserError(f"{what}: {reason}") from None
    except ValueError as error:  # of a card's first lines, such as an unknown licence
        raise UserError(f"{what}: {' '.join(str(error).split())}") from None
    except Exception as error:  # whichever library of connections is installed has its own
        raise UserError(f"{what}: the hub cannot be reached: {first_line(error)}") from None
