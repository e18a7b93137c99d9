"""Lists of what to describe: JSON lines, CSV, or the lines of standard input.

    {"path": "talk.mp4"}                              path,start_s,end_s
    {"video": "day.mkv", "start_s": 90, "end": "2:30"}    talk.mp4,,
    "clips/one more.mp4"                              day.mkv,1:30,2:30

Standard input takes plain paths besides, one a line. What else an object or a table holds is left alone.
"""

from __future__ import annotations

import csv
import json
import os
import reprlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..clock import parse_clock
from ..errors import DataError
from .rows import Source

#: Endings of the names of list files, in lower case.
LIST_SUFFIXES = frozenset({".jsonl", ".csv"})
#: What standard input is called in messages.
STANDARD_INPUT = "standard input"

# Where the path and the edges of the window stand; the first that is there counts.
_PATH, _START, _END = ("path", "video", "file"), ("start_s", "start"), ("end_s", "end")


def read_list(path: str) -> Iterator[Source]:
    """Yields the entries of a list file, without names.

    Relative paths are relative to the folder of the list if the file is there, else to the working directory.

    Args:
        path: A file that ends in one of :data:`LIST_SUFFIXES`, in UTF-8.

    Raises:
        DataError: The list cannot be read, or an entry is malformed; names the file and the line.
    """
    read = _table if path.lower().endswith(".csv") else _json_lines
    folder = os.path.dirname(os.path.abspath(path))
    try:
        with open(path, "rb") as file:
            for place, entry in read(file, shown(path)):
                yield _source(entry, place, folder)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{shown(path)}: the list cannot be read ({reason}); check the path") from None


def read_lines(lines: Iterable[str]) -> Iterator[Source]:
    """Yields the entries of standard input, without names.

    A line is a path as it stands, blanks too; one that begins with ``{`` or ``"`` is JSON unless a file is called so.

    Raises:
        DataError: A line is malformed; names it.
    """
    for number, line in enumerate(lines, start=1):
        place = f"{STANDARD_INPUT}:{number}"
        text = (line.removeprefix("\ufeff") if number == 1 else line).removesuffix("\n").removesuffix("\r")
        if text.lstrip().startswith(("{", '"')) and not os.path.lexists(text):
            yield _source(_parsed(text, place), place)
        elif text.strip():
            yield _source(text, place)


def is_possible(path: str) -> bool:
    """Returns whether a file can have this path."""
    try:
        return bool(path) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def shown(path: str) -> str:
    """Returns a path as messages of one line show it."""
    return path if path.isprintable() else repr(path)


def _json_lines(file: BinaryIO, name: str) -> Iterator[tuple[str, Any]]:
    for number, content in enumerate(file, start=1):
        place = f"{name}:{number}"
        text = _decoded(content, number, place)
        if text.strip():
            yield place, _parsed(text, place)


def _table(file: BinaryIO, name: str) -> Iterator[tuple[str, Any]]:
    texts = (_decoded(content, number, f"{name}:{number}") for number, content in enumerate(file, start=1))
    reader = csv.reader(texts, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            place = f"{name}:{line}"
            line = reader.line_num + 1  # a cell in quotes may hold several
            if not any(cells):
                continue
            if not header:
                header = _header(cells, place)
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{place}: {len(cells)} cells under {len(header)} columns; "
                    "put what holds a comma in double quotes"
                )
            yield place, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{name}:{line}: not a table ({error}); correct the line") from None


def _header(cells: list[str], place: str) -> list[str]:
    """Returns the names of the columns, whatever their case."""
    header = [cell.strip().lower() for cell in cells]
    if not set(_PATH) & set(header):
        raise DataError(
            f"{place}: the first line must name the columns, one of them path, video or file, "
            f"got {_short(cells)}; add the line"
        )
    twice = [name for name in (*_PATH, *_START, *_END) if header.count(name) > 1]
    if twice:
        raise DataError(f"{place}: there is more than one column called {twice[0]}; keep one of them")
    return header


def _decoded(content: bytes, number: int, place: str) -> str:
    try:
        return content.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{place}: not UTF-8, got {_short(content)}; save the list as UTF-8") from None


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg}, character {error.pos + 1}"
    except ValueError as error:  # a number of thousands of digits
        reason = str(error)
    except RecursionError:
        reason = "nested too deeply"
    raise DataError(f'{place}: not JSON ({reason}), got {_short(text.strip())}; write {{"path": "clip.mp4"}}')


def _source(entry: Any, place: str, folder: str | None = None) -> Source:
    """Returns what an entry of a list names: an object, or a path alone."""
    fields = {"path": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, Mapping):
        raise DataError(
            f'{place}: must be a path or an object, got {_short(entry)}; write {{"path": "clip.mp4"}}'
        )
    path = _first(fields, _PATH)
    if not isinstance(path, str) or not is_possible(path):
        got = _short(fields if path is None else path)
        raise DataError(f"{place}: needs the path of a file under path, video or file, got {got}; correct it")
    start_s = _seconds(_first(fields, _START), "the start", place)
    end_s = _seconds(_first(fields, _END), "the end", place)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise DataError(
            f"{place}: the end must be later than the start, got {start_s or 0.0:g} s to {end_s:g} s; "
            "correct one of them"
        )
    return Source(Path(_absolute(path, folder)), start_s, end_s)


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Returns what stands under the first of the names that has something, else ``None``."""
    for name in names:
        value = fields.get(name)
        if value is not None and not (isinstance(value, str) and not value.strip()):
            return value
    return None


def _seconds(value: Any, edge: str, place: str) -> float | None:
    if value is None:
        return None
    seconds = parse_clock(value) if isinstance(value, str) else value
    # The bounds refuse what is infinite or no number, too.
    if (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and 0 <= seconds <= sys.float_info.max
    ):
        return abs(float(seconds))  # -0.0 is 0
    raise DataError(
        f"{place}: {edge} must be 0 or later, in seconds or m:ss such as 83.5 or 1:23.5, "
        f"got {_short(value)}; correct it"
    )


def _absolute(path: str, folder: str | None) -> str:
    path = os.path.expanduser(path)
    if folder is not None and not os.path.isabs(path):
        beside = os.path.join(folder, path)
        path = beside if os.path.lexists(beside) else path
    return os.path.abspath(path)


def _short(value: Any) -> str:
    return reprlib.repr(value)
