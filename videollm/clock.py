"""Times as people write them."""

from __future__ import annotations

import re

_CLOCK = re.compile(
    r"(?:(?:(\d+):)?(\d+):)?((?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)", re.ASCII | re.IGNORECASE
)


def parse_clock(text: str) -> float | None:
    """Reads ``83.5``, ``1:23.5`` or ``1:02:03`` as seconds; ``None`` if the text is not such a time."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
