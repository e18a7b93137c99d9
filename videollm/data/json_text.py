"""Values of a JSON text one by one, each with its place, and where and why the text ends to be JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any

_BLANKS = re.compile(r"[ \t\n\r]*")


class NotJsonError(ValueError):
    """A stretch of JSON cannot be read.

    Args:
        reason: Why.
        place: Where in the text.
        cut: Whether the text ends where more had to come; the reason then says what it does: ``"ends …"``.
    """

    def __init__(self, reason: str, place: int, *, cut: bool = False) -> None:
        super().__init__(reason)
        self.place = place
        self._cut = cut

    def told(self, whole: str) -> str:
        """Returns the reason; ``whole`` is what was read, such as ``"file"``."""
        return f"the {whole} {self}" if self._cut else str(self)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode(text: str, place: int) -> tuple[Any, int]:
    """Returns the JSON value that begins at a place, and the place behind it.

    Raises:
        NotJsonError: There is none.
    """
    try:
        return _DECODER.raw_decode(text, place)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Unterminated string"):
            said = "ends in the middle of the text that begins here"
            raise NotJsonError(said, error.pos, cut=True) from error
        if skip(text, error.pos) == len(text):
            inside = error.pos > place
            said = "in the middle of the value that begins here" if inside else "where a value has to come"
            raise NotJsonError(f"ends {said}", place, cut=True) from error
        raise NotJsonError(error.msg, error.pos) from error
    except ValueError as error:
        raise NotJsonError(str(error), place) from error
    except RecursionError as error:
        raise NotJsonError("nested too deeply", place) from error


def skip(text: str, place: int) -> int:
    """Returns the first place from here on that holds no blank."""
    match = _BLANKS.match(text, place)
    return match.end() if match else place


def children(text: str, place: int) -> Generator[tuple[str | None, int, Any], None, int]:
    """Yields key (of a mapping), place and value of each child of a container; returns the place behind it.

    Raises:
        NotJsonError: What comes next is no child, and not the container's end.
    """
    keyed = text[place] == "{"
    closing = "}" if keyed else "]"
    place = skip(text, place + 1)
    if text[place : place + 1] == closing:
        return place + 1
    while True:
        key = None
        if keyed:
            key, place = _key(text, place)
        value, end = decode(text, place)
        yield key, place, value
        place = skip(text, end)
        if text[place : place + 1] == closing:
            return place + 1
        if place == len(text):
            raise NotJsonError(f"ends before the '{closing}' of what holds its rows", place, cut=True)
        if text[place : place + 1] != ",":
            raise NotJsonError(f"expected ',' or '{closing}'", place)
        place = skip(text, place + 1)


def _key(text: str, place: int) -> tuple[str, int]:
    """Returns the key at a place and the place of its value."""
    key, end = decode(text, place)
    colon = skip(text, end)
    if not isinstance(key, str) or text[colon : colon + 1] != ":":
        raise NotJsonError("expected a key and ':'", place)
    return key, skip(text, colon + 1)


def expect_end(text: str, place: int) -> None:
    """Checks that nothing but blanks stands from a place on.

    Raises:
        NotJsonError: There is more.
    """
    rest = skip(text, place)
    if rest < len(text):
        raise NotJsonError("there is more behind the end", rest)
