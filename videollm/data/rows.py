"""Rows of a data file with the line each begins in: JSON, JSONL, CSV, TSV, text, Parquet.

A row is whatever the file holds: a mapping, mostly. A top-level mapping of mappings (ActivityNet-Captions and others,
keyed by video) becomes one row for each key, which stands under :data:`KEY`.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from .json_text import NotJsonError, children, decode, expect_end, skip
from .problems import Problem

#: Where a row of a keyed file has its key.
KEY = "__key__"
#: Where a row of a text file has its line.
TEXT = "__text__"
# Lists of rows are sometimes wrapped in a mapping under one of these.
_WRAPPERS = ("data", "annotations", "samples", "questions", "database")
_LONGEST_CELL = 1 << 24
_DELIMITERS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"?')


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a data file.

    Attributes:
        line: Line it begins in, from 1 (of Parquet, the row).
        fields: What it holds.
        crowded: Whether other rows begin in its line.
    """

    line: int
    fields: dict[str, Any]
    crowded: bool = False


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

    def column(self, place: int) -> int:
        """The place's number in its line, from 1."""
        return place - self._text.rfind("\n", 0, place)


def _json(path: Path) -> Iterator[Row | Problem]:
    """Rows and problems, each with whether its line holds others: a whole file may stand in one."""
    before, waiting = 0, None
    for found in itertools.chain(_json_in_order(path), [None]):
        if waiting is not None:
            crowded = waiting.line == before or (found is not None and waiting.line == found.line)
            before = waiting.line
            yield dataclasses.replace(waiting, crowded=True) if crowded else waiting
        waiting = found


def _json_in_order(path: Path) -> Iterator[Row | Problem]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        yield Problem(path, _line_of_byte(path, error.start), "not UTF-8")
        return
    lines = _Lines(text)
    try:
        start = skip(text, 0)
        if text[start : start + 1] not in ("[", "{"):
            raise NotJsonError("expected a list or an object of rows", start)
        for key, place, value in _rows_of(text, start):
            yield from _as_row(path, lines.at(place), value if key is None else _with_key(key, value))
    except NotJsonError as error:
        place = min(error.place, len(text))
        said = f"not JSON from here on: {error.told('file')} (column {lines.column(place)})"
        yield Problem(path, lines.at(place), said)


def _rows_of(text: str, start: int) -> Iterator[tuple[str | None, int, Any]]:
    """Yields what stands for the rows in a JSON text: children of a list, of a wrapped one, or of a keyed mapping."""
    if text[start] == "[":
        end = yield from children(text, start)
        expect_end(text, end)
        return
    expect_end(text, decode(text, start)[1])
    members = list(children(text, start))
    wrapped = next((place for key, place, value in members if key in _WRAPPERS and _holds_rows(value)), None)
    if wrapped is not None:
        yield from children(text, wrapped)
    elif all(isinstance(value, dict) for _, _, value in members):
        yield from members
    else:
        yield None, start, {key: value for key, _, value in members}


def _holds_rows(value: Any) -> bool:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return bool(inner) and all(isinstance(child, dict) for child in inner)


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
                value, end = decode(text, 0)
                expect_end(text, end)
            except UnicodeDecodeError:
                yield Problem(path, number, "not UTF-8")
            except NotJsonError as error:
                yield Problem(path, number, f"not JSON: {error.told('line')} (character {error.place + 1})")
            else:
                yield from _as_row(path, number, value)


def _table(path: Path, usual: str) -> Iterator[Row | Problem]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open("rb") as file:
        delimiter = _delimiter(file.readline(), usual)
        file.seek(0)
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


def _delimiter(header: bytes, usual: str) -> str:
    """What stands most often between the names of columns; spreadsheets of many countries write semicolons."""
    bare = _QUOTED.sub("", header.decode("utf-8", errors="replace"))
    return max(usual + _DELIMITERS, key=bare.count)


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
