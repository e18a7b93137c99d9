"""What page and server tell one another beside what a person sees: short texts in hidden boxes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Parts the ids that a page lists from those that were taken away; no id has it.
_PARTING = "/"


@dataclass(frozen=True, slots=True)
class Listed:
    """What a page says of its list of files.

    Attributes:
        ids: The files in the list, in order, each once.
        removed: Those that were taken away since the page was opened.
    """

    ids: tuple[str, ...] = ()
    removed: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str | None) -> Listed:
        """Reads what the page sends: ids between spaces, behind a slash those that were taken away."""
        listed, _, removed = (text or "").partition(_PARTING)
        ids = tuple(dict.fromkeys(listed.split()))
        return cls(ids, frozenset(removed.split()).difference(ids))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conversation a page wants.

    Attributes:
        id: A kept one; ``None`` for an empty one.
        is_new: Whether an empty one is wanted; else, without an id, nothing is.
    """

    id: str | None = None
    is_new: bool = False

    @classmethod
    def read(cls, text: str | None) -> Wanted:
        """Reads what the page sends: ``new`` or ``open ID``, and behind either what makes every wish another one."""
        match (text or "").split():
            case ["open", id, *_]:
                return cls(id=id)
            case ["new", *_]:
                return cls(is_new=True)
            case _:
                return cls()


def leaving(files: Mapping[str, str]) -> dict[str, Any]:
    """Returns what takes files off the page's list: their ids, with the line about each that is not said elsewhere."""
    return {"leaving": dict(files)} if files else {}


def listing(files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what makes these files the page's list: of each its ``id``, ``name``, ``size`` and ``expires_s``.

    Told several times, it is heard once: ``listing`` tells it from another one.
    """
    return {"listed": [dict(file) for file in files], "listing": secrets.token_hex(4)}


def tell(*words: Mapping[str, Any]) -> str:
    """Returns all that a page is told at once."""
    # Of two equal values in a row the page would not hear the second.
    told: dict[str, Any] = {"once": secrets.token_hex(4)}
    for word in words:
        told |= word
    return json.dumps(told)
