"""Where a server keeps what outlasts it: in a directory of its own, unless it is told to forget."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videollm.describe.holding import holding
from videollm.errors import ConfigError, OutputError

from .store.store import Store

if TYPE_CHECKING:
    from .options import ServerOptions

_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept.

    Attributes:
        store: Conversations and uploads.
        directory: The directory that they lie in.
    """

    store: Store
    directory: Path


def data_directory() -> Path:
    """Returns where a server keeps its data: ``$VIDEOLLM_DATA``, or a place in the user's directory of data.

    Raises:
        ConfigError: The variable is not set, and the user has no home directory.
    """
    if own := os.environ.get("VIDEOLLM_DATA"):
        return Path(own)
    if of_all_programs := os.environ.get("XDG_DATA_HOME"):
        return Path(of_all_programs) / "videollm" / "serve"
    try:
        return Path.home() / ".local" / "share" / "videollm" / "serve"
    except RuntimeError as error:
        raise ConfigError(
            "there is no home directory to keep data in; give a directory with --data"
        ) from error


@contextmanager
def keeping(options: ServerOptions, passing: Path) -> Iterator[Kept]:
    """Opens what a server keeps.

    Where nobody has said where that is to be, and the usual place cannot be had, it is kept in a directory that goes
    with the server, and a line says so.

    Args:
        options: What the server was told.
        passing: A directory that goes with the server.

    Raises:
        ConfigError: The directory that was asked for is another server's, or what lies there is not ours.
        OutputError: It cannot be written.
    """
    with ExitStack() as opened:
        if options.forget:
            kept = _open(passing, options)
        elif options.data is not None:
            kept = _open(options.data, options)
        else:
            kept = _usual(options, passing)
        opened.callback(kept.store.close)
        yield kept


def _usual(options: ServerOptions, passing: Path) -> Kept:
    try:
        directory = data_directory()
    except ConfigError as error:
        return _without(str(error), options, passing)
    try:
        return _open(directory, options)
    except OutputError as error:
        return _without(str(error), options, passing)
    except ConfigError:
        if not _is_held(directory):
            raise  # what lies there must not be passed over in silence
        return _without(f"another server uses {directory}; give this one --data", options, passing)


def _without(reason: str, options: ServerOptions, passing: Path) -> Kept:
    print(f"this server keeps nothing: {reason}", file=sys.stderr)
    return _open(passing, options)


def _open(directory: Path, options: ServerOptions) -> Kept:
    return Kept(Store(directory, retention_s=options.keep_hours * _SECONDS_AN_HOUR), directory)


def _is_held(directory: Path) -> bool:
    try:
        with holding(directory):
            return False
    except ConfigError:
        return True
