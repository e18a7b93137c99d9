"""Stretches of time in texts, and how well two sets of them agree."""

from __future__ import annotations

import re
from collections.abc import Sequence

Stretch = tuple[float, float]

_CLOCK = r"(?:(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)|(\d+(?:\.\d+)?))"
_BETWEEN = r"\s*(?:s|sec|secs|seconds?)?\s*(?:-|–|—|to|and|until|till)\s*"
_STRETCH = re.compile(rf"(?<![\d.:]){_CLOCK}{_BETWEEN}{_CLOCK}(?![\d:])", re.IGNORECASE)


def find_stretches(text: str) -> list[Stretch]:
    """Returns the stretches that a text names: ``from 0:03 to 0:05``, ``[0:03-0:05]``, ``3.0 - 5.2 seconds``.

    Those that end before they start are none.
    """
    found = []
    for match in _STRETCH.finditer(text):
        start_s, end_s = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        if start_s <= end_s:
            found.append((start_s, end_s))
    return found


def temporal_iou(ours: Sequence[Stretch], theirs: Sequence[Stretch]) -> float:
    """Returns the seconds that both sets of stretches cover by those that either does, 0 to 1; 0 without any."""
    both = _length(_joined([(max(a, c), min(b, d)) for a, b in _joined(ours) for c, d in _joined(theirs)]))
    either = _length(_joined([*ours, *theirs]))
    return both / either if either else float(bool(ours) and sorted(ours) == sorted(theirs))


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, plain = parts
    if plain is not None:
        return float(plain)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Stretches in order, those that overlap as one; empty ones left out."""
    joined: list[Stretch] = []
    for start_s, end_s in sorted(stretch for stretch in stretches if stretch[1] > stretch[0]):
        if joined and start_s <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_s))
        else:
            joined.append((start_s, end_s))
    return joined


def _length(stretches: Sequence[Stretch]) -> float:
    return sum(end_s - start_s for start_s, end_s in stretches)
