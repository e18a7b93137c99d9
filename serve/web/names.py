"""Names of files as people see them: text, never a path."""

from __future__ import annotations

import re
import unicodedata

_MOST_CHARACTERS = 120
_MOST_SUFFIX_CHARACTERS = 10
_UNNAMED = "untitled"
# Marks that turn the direction of writing: "gpj.exe" would be shown as "exe.jpg".
_TURNING = dict.fromkeys(map(ord, "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
_INVISIBLE = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})


def clean_name(name: str) -> str:
    """Returns a name that can be shown and stored: the last part of a path, without control characters, not too long.

    What could be markup stays as it is: it is text, and whoever shows it as part of a page escapes it.
    """
    visible = "".join(
        " " if unicodedata.category(character) in _INVISIBLE else character
        for character in unicodedata.normalize("NFC", name).translate(_TURNING)
    )
    last = re.split(r"[/\\]", visible)[-1]
    text = " ".join(last.split()).strip(". ")
    return _shorten(text) or _UNNAMED


def _shorten(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    stem, dot, suffix = text.rpartition(".")
    if not dot or len(suffix) > _MOST_SUFFIX_CHARACTERS:
        return text[:_MOST_CHARACTERS].rstrip(". ")
    return stem[: _MOST_CHARACTERS - len(suffix) - 1].rstrip(". ") + dot + suffix
