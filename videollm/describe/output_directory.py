"""The output directory of a job: empty, gone on with or begun anew, and never two programs in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError, OutputError
from .holding import NAME as LOCK
from .holding import holding
from .ledger import NAME as LEDGER
from .ledger import Ledger
from .outputs import remove_outputs


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
        ConfigError: Another program holds the directory, or it is not empty and neither is wished for.
        OutputError: It cannot be written.
    """
    directory = Path(out)
    if directory.exists():
        with holding(directory):
            _refuse_to_mix(directory, resume or overwrite)


def _refuse_to_mix(directory: Path, is_told: bool) -> None:
    if not is_told and any(path.name != LOCK for path in directory.iterdir()):
        raise ConfigError(
            f"{directory} is not empty: give --resume to go on there, or --overwrite to start anew"
        )


def _prepare(directory: Path, *, resume: bool, overwrite: bool) -> None:
    _refuse_to_mix(directory, resume or overwrite)
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
