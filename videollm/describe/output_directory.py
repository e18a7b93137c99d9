"""The output directory of a job: empty, gone on with or begun anew, never two programs in it, and whole at the end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ..errors import ConfigError, OutputError
from .holding import NAME as LOCK
from .holding import holding
from .ledger import NAME as LEDGER
from .ledger import Ledger
from .outputs import (
    remove_files,
    remove_outputs,
    remove_partial_outputs,
    write_collections,
    write_files,
)
from .rows import Row
from .tally import Tally

# Failures that are told one by one.
_TOLD = 10


@contextmanager
def preparing(directory: Path, *, resume: bool, overwrite: bool) -> Iterator[Ledger]:
    """Holds an output directory and gives its ledger; what cannot be written is one line.

    Args:
        directory: The output directory.
        resume: Whether what is in it stays.
        overwrite: Whether it is removed.

    Raises:
        ConfigError: Another program holds the directory, or it is not empty and neither is wished for.
        DataError: What is there is not a job of this program.
        OutputError: It cannot be written; what was done is kept.
    """
    with holding(directory), _writing(directory):
        _prepare(directory, resume=resume, overwrite=overwrite)
        ledger = Ledger(directory)
        try:
            yield ledger
        finally:
            ledger.close()


def check_output(out: str | os.PathLike[str], *, resume: bool = False, overwrite: bool = False) -> None:
    """Says early what :func:`describe_files` would: before a model is loaded. Only the lock is touched.

    Args:
        out: The output directory.
        resume: Whether what is in it stays.
        overwrite: Whether it is removed.

    Raises:
        ConfigError: It cannot be written, another program holds it, or it is not empty and neither is wished for.
    """
    directory = Path(out)
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory} is a file, --out must be a directory: choose another")
    if not directory.is_dir():
        _try_to_write(directory)
        return
    if not (directory / LOCK).exists():  # no lock is left in what is not ours
        _refuse_to_mix(directory, resume or overwrite)
    try:
        with holding(directory):
            _refuse_to_mix(directory, resume or overwrite)
    except OutputError as error:
        raise ConfigError(str(error)) from error


def finish(ledger: Ledger, directory: Path, formats: Sequence[str], tally: Tally) -> Tally:
    """Writes what is made of all rows, and what an interruption left unwritten.

    Args:
        ledger: What is known.
        directory: The output directory.
        formats: All that is written there.
        tally: What this run did.

    Returns:
        How far the job is.

    Raises:
        OSError: A file cannot be written; the old one is still there.
        OutputError: The ledger cannot be.
    """
    written = ",".join(formats)
    for row in ledger.unwritten(written):
        write_files(row, formats, directory)
        ledger.note_written(row, written)
    ledger.drop_old_names(lambda name: remove_files(name, directory))
    write_collections(ledger.rows, formats, directory)
    counts = ledger.counts()
    aside = counts.get("aside", 0)
    return replace(
        tally,
        files=sum(counts.values()),
        aside=aside,
        bad=counts.get("failed", 0) + aside,
        left=counts.get("waiting", 0),
        failures=tuple(map(_told, islice(ledger.failures(), _TOLD))),
    )


def _told(row: Row) -> str:
    """Why a row has no description, with its file; most errors name it themselves."""
    assert row.error is not None
    path, message = str(row.source.path), row.error.message
    return message if path in message else f"{path}: {message}"


def _try_to_write(directory: Path) -> None:
    """Finds out whether a directory can be made, and leaves nothing."""
    above = next(parent for parent in directory.absolute().parents if parent.exists())
    try:
        tempfile.TemporaryDirectory(dir=above).cleanup()
    except OSError as error:
        raise ConfigError(f"{directory} cannot be made ({error.strerror}): choose another --out") from error


def _refuse_to_mix(directory: Path, is_told: bool) -> None:
    if not is_told and any(path.name != LOCK for path in directory.iterdir()):
        raise ConfigError(
            f"{directory} is not empty: go on there with --resume (in Python resume=True), or start anew with "
            "--overwrite (overwrite=True)"
        )


def _prepare(directory: Path, *, resume: bool, overwrite: bool) -> None:
    _refuse_to_mix(directory, resume or overwrite)
    if (directory / LEDGER).exists():
        remove_partial_outputs(directory)
    if overwrite:
        if (directory / LEDGER).exists():  # else what is called as our files are is not ours
            remove_outputs(directory)
        for path in directory.glob(f"{LEDGER}*"):
            path.unlink()


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{directory} cannot be written ({error.strerror or error}); what was done is kept: make room, "
            "then go on with --resume"
        ) from error
