"""Rows of a data file with the line each begins in: JSON, JSONL, CSV, TSV, text, Parquet.

A row is whatever the file holds: a mapping, mostly. A top-level mapping of mappings (ActivityNet-Captions and others,
keyed by video) becomes one row for each key, which stands under :data:`KEY`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from .problems import Problem

#: Where a row of a keyed file has its key.
KEY = "__key__"
#: Where a row of a text file has its line.
TEXT = "__text__"
# Lists of rows are sometimes wrapped in a mapping under one of these.
_WRAPPERS = ("data", "annotations", "samples", "questions", "database")
_LONGEST_CELL = 1 << 24
_BLANKS = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a data file.

    Attributes:
        line: Line it begins in, from 1 (of Parquet, the row).
        fields: What it holds.
    """

    line: int
    fields: dict[str, Any]


class _NotJsonError(ValueError):
    """A stretch of JSON cannot be read; says why and at which place of the text."""

    def __init__(self, reason: str, place: int) -> None:
        super().__init__(reason)
        self.place = place


def read_rows(path: Path) -> Iterator[Row | Problem]:
    """Yields the rows of a file in order, and a problem for each stretch that is none.

    Raises:
        DataError: The file is missing, of an unknown type, or of a type that an optional package reads.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: data files end in {', '.join(_READERS)}; got {path.suffix or 'no ending'!r}"
        )
    try:
        yield from reader(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


class _Lines:
    """Line numbers of ascending places in a text."""

    def __init__(self, text: str) -> None:
        self._text, self._place, self._line = text, 0, 1

    def at(self, place: int) -> int:
        if place < self._place:
            self._place, self._line = 0, 1
        self._line += self._text.count("\n", self._place, place)
        self._place = place
        return self._line


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _decode(text: str, place: int) -> tuple[Any, int]:
    """Returns the JSON value that begins at a place, and the place behind it."""
    try:
        return _DECODER.raw_decode(text, place)
    except json.JSONDecodeError as error:
        raise _NotJsonError(error.msg, error.pos) from error
    except ValueError as error:
        raise _NotJsonError(str(error), place) from error
    except RecursionError as error:
        raise _NotJsonError("nested too deeply", place) from error


def _skip(text: str, place: int) -> int:
    match = _BLANKS.match(text, place)
    return match.end() if match else place


def _children(text: str, place: int) -> Generator[tuple[str | None, int, Any], None, int]:
    """Yields key (of a mapping), place and value of each child of a container; returns the place behind it."""
    keyed = text[place] == "{"
    closing = "}" if keyed else "]"
    place = _skip(text, place + 1)
    if text[place : place + 1] == closing:
        return place + 1
    while True:
        key = None
        if keyed:
            key, place = _key(text, place)
        value, end = _decode(text, place)
        yield key, place, value
        place = _skip(text, end)
        if text[place : place + 1] == closing:
            return place + 1
        if text[place : place + 1] != ",":
            raise _NotJsonError(f"expected ',' or '{closing}'", place)
        place = _skip(text, place + 1)


def _key(text: str, place: int) -> tuple[str, int]:
    """Returns the key at a place and the place of its value."""
    key, end = _decode(text, place)
    colon = _skip(text, end)
    if not isinstance(key, str) or text[colon : colon + 1] != ":":
        raise _NotJsonError("expected a key and ':'", place)
    return key, _skip(text, colon + 1)


def _json(path: Path) -> Iterator[Row | Problem]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        yield Problem(path, _line_of_byte(path, error.start), "not UTF-8")
        return
    lines = _Lines(text)
    try:
        start = _skip(text, 0)
        if text[start : start + 1] not in ("[", "{"):
            raise _NotJsonError("expected a list or an object of rows", start)
        for key, place, value in _rows_of(text, start):
            yield from _as_row(path, lines.at(place), value if key is None else _with_key(key, value))
    except _NotJsonError as error:
        yield Problem(path, lines.at(min(error.place, len(text))), f"not JSON from here on: {error}")


def _rows_of(text: str, start: int) -> Iterator[tuple[str | None, int, Any]]:
    """Yields what stands for the rows in a JSON text: children of a list, of a wrapped one, or of a keyed mapping."""
    if text[start] == "[":
        end = yield from _children(text, start)
        _expect_end(text, end)
        return
    _expect_end(text, _decode(text, start)[1])
    members = list(_children(text, start))
    wrapped = next((place for key, place, value in members if key in _WRAPPERS and _holds_rows(value)), None)
    if wrapped is not None:
        yield from _children(text, wrapped)
    elif all(isinstance(value, dict) for _, _, value in members):
        yield from members
    else:
        yield None, start, {key: value for key, _, value in members}


def _holds_rows(value: Any) -> bool:
    children = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return bool(children) and all(isinstance(child, dict) for child in children)


def _expect_end(text: str, place: int) -> None:
    rest = _skip(text, place)
    if rest < len(text):
        raise _NotJsonError("there is more behind the end", rest)


def _with_key(key: str, value: Any) -> Any:
    return value | {KEY: key} if isinstance(value, dict) else value


def _as_row(path: Path, line: int, value: Any) -> Iterator[Row | Problem]:
    if isinstance(value, dict):
        yield Row(line, value)
    else:
        yield Problem(path, line, f"a row must be an object, got {type(value).__name__}")


def _jsonl(path: Path) -> Iterator[Row | Problem]:
    with path.open("rb") as file:
        for number, content in enumerate(file, start=1):
            try:
                text = content.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if not text:
                    continue
                value, end = _decode(text, 0)
                _expect_end(text, end)
            except UnicodeDecodeError:
                yield Problem(path, number, "not UTF-8")
            except _NotJsonError as error:
                yield Problem(path, number, f"not JSON: {error} (character {error.place + 1})")
            else:
                yield from _as_row(path, number, value)


def _table(path: Path, delimiter: str) -> Iterator[Row | Problem]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open("rb") as file:
        texts = (
            content.decode("utf-8-sig" if not number else "utf-8") for number, content in enumerate(file)
        )
        reader = csv.reader(texts, delimiter=delimiter, strict=True)
        line = 1
        try:
            header = next(reader, [])
            if not header or len(set(header)) < len(header):
                yield Problem(path, 1, "the first line must name the columns, each once")
                return
            line = reader.line_num + 1
            for cells in reader:
                if cells and len(cells) != len(header):
                    yield Problem(path, line, f"{len(cells)} cells under {len(header)} columns")
                elif cells:
                    yield Row(line, dict(zip(header, cells, strict=True)))
                line = reader.line_num + 1
        except csv.Error as error:
            yield Problem(path, line, f"not a table from here on: {error}")
        except UnicodeDecodeError as error:
            yield Problem(path, reader.line_num + 1, f"not UTF-8 from here on ({error.reason})")


def _csv(path: Path) -> Iterator[Row | Problem]:
    return _table(path, ",")


def _tsv(path: Path) -> Iterator[Row | Problem]:
    return _table(path, "\t")


def _text(path: Path) -> Iterator[Row | Problem]:
    with path.open("rb") as file:
        for number, content in enumerate(file, start=1):
            try:
                line = content.decode("utf-8").strip()
            except UnicodeDecodeError:
                yield Problem(path, number, "not UTF-8")
            else:
                if line:
                    yield Row(number, {TEXT: line})


def _parquet(path: Path) -> Iterator[Row | Problem]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow: pip install datasets") from error
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(number, fields)
    except pyarrow.ArrowInvalid as error:
        yield Problem(path, number + 1, f"not Parquet: {str(error).splitlines()[0]}")


def _line_of_byte(path: Path, place: int) -> int:
    return path.read_bytes()[:place].count(b"\n") + 1


_READERS: dict[str, Callable[[Path], Iterator[Row | Problem]]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
    ".txt": _text,
}

#: Endings of the names of data files.
ENDINGS = tuple(_READERS)
