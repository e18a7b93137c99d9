"""Subtitles of events, in the two formats that players read: SubRip (srt) and WebVTT (vtt)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from html import escape
from operator import attrgetter

from ..clock import format_time
from ..values import Event
from .rows import Row

_LINE_LENGTH = 42
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# SubRip has no escapes. An invisible character (WORD JOINER) keeps players from taking text for a tag, an arrow between
# two times or a command in braces.
_MARKUP = re.compile(r"(?<=<)|(?<=--)(?=>)|(?<=\{)(?=\\)")
_JOINER = "\u2060"


def srt(events: Iterable[Event]) -> str:
    """Returns the events as SubRip, a numbered cue for each that has a text; empty without any."""
    return "".join(
        f"{number}\n{_time(start, ',')} --> {_time(end, ',')}\n{_MARKUP.sub(_JOINER, text)}\n\n"
        for number, (start, end, text) in enumerate(_cues(events), 1)
    )


def vtt(events: Iterable[Event]) -> str:
    """Returns the events as WebVTT, a cue for each that has a text; empty without any."""
    cues = "".join(
        f"\n{_time(start, '.')} --> {_time(end, '.')}\n{escape(text, quote=False)}\n"
        for start, end, text in _cues(events)
    )
    return cues and f"WEBVTT\n{cues}"


def one_line(text: str) -> str:
    """Returns the words of a text with a space between them, without line breaks and other control characters."""
    return " ".join(_CONTROLS.sub(" ", text).split())


def time_range(start_s: float, end_s: float) -> str:
    """Returns a stretch of time as people read it, ``0:04–0:09``, or one time where both are the same second."""
    start, end = format_time(start_s), format_time(end_s)
    return start if start == end else f"{start}–{end}"


def window(row: Row) -> str:
    """Returns which part of its file a source is, ``0:10–0:20`` or ``from 0:10``; empty for all of it.

    It is what was described where that is known: a file may end before what was asked for.
    """
    source = row.source
    if source.start_s is None and source.end_s is None:
        return ""
    if row.plan is not None:
        return time_range(row.plan["start_s"], row.plan["end_s"])
    if source.end_s is not None:
        return time_range(source.start_s or 0.0, source.end_s)
    return f"from {format_time(source.start_s or 0.0)}"


def _cues(events: Iterable[Event]) -> Iterator[tuple[int, int, str]]:
    """Yields start and end in milliseconds and the wrapped text of each cue; none begins before the last has ended."""
    free_from = 0
    for event in sorted(events, key=attrgetter("start_s")):
        text = one_line(event.text)
        if not text:
            continue
        start = max(round(event.start_s * 1000), free_from)
        free_from = max(round(event.end_s * 1000), start + 1)  # players leave a cue of no length out
        yield start, free_from, textwrap.fill(text, _LINE_LENGTH, break_on_hyphens=False)


def _time(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{point}{rest:03d}"
