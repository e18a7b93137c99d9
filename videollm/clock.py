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


def format_time(seconds: float, *, decimals: int = 0) -> str:
    """Returns ``m:ss``, from one hour on ``h:mm:ss``, rounded half up at the given decimal."""
    scale = 10**decimals
    whole, fraction = divmod(int(seconds * scale + 0.5), scale)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{fraction:0{decimals}d}" if decimals else text
