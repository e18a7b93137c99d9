"""What an answer claims, whatever its wording: that an object is there, or that what was asked about is not."""

from __future__ import annotations

import re

from .. import words
from ..scenes import ACTIONS, COLOURS, SHAPES, SIZES

_DENIAL = re.compile(r"there (is|are) no\b|.*\b(does|do) not\b|nothing\b|i cannot\b|i am a small\b")
_OBJECT = re.compile(
    rf"\b({'|'.join((*SHAPES, *(words.plural(shape) for shape in SHAPES), *ACTIONS, *SIZES))})\b"
)


def denies(text: str) -> bool:
    """Tells whether an answer says that something is not there, does not happen or cannot be told."""
    return _DENIAL.match(_plain(text)) is not None


def claims_object(text: str) -> bool:
    """Tells whether an answer names an object, or says something that only an object can have.

    A colour alone is the answer to a question about an object's; within a sentence it may be the background's.
    """
    plain = _plain(text)
    return not denies(text) and (plain in COLOURS or _OBJECT.search(plain) is not None)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).removesuffix(".")
