"""Formats of captions and of timed text.

A caption is the answer to a request for a description; timed captions become one answer with a line for each, and stay
with their exact times as ``events``; a sentence with one stretch of a video becomes a question for its times.

Sources: WebVid's and Panda-70M's CSV, ActivityNet-Captions, YouCook2, HowTo100M and HowToCaption, Charades-STA,
QVHighlights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...clock import format_time
from ..problems import RowError
from ..records import short
from ..rows import KEY, TEXT, Row
from .base import (
    Fields,
    Format,
    clip_of,
    has,
    list_of,
    medium,
    name_of,
    named,
    objects_of,
    show_first,
    text_of,
    turns_of,
)

DESCRIBE = "Describe this video."
DESCRIBE_TIMED = "Describe this video with times."
_CHARADES = re.compile(r"^(\S+) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)\s*##\s*(.+)$")
_LONGEST_S = 1e7  # four months
_CLOCK = re.compile(r"^(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)$")


def _caption(fields: Fields, text: str, video: Fields) -> Fields:
    return named(fields, show_first(turns_of([(DESCRIBE, text.strip())]), [video])) | {"kind": "caption"}


def _timed(fields: Fields, events: Sequence[tuple[Any, Any, Any]], video: Fields) -> Fields:
    """Fields of a record that asks for timed text: its events in order, a line each."""
    for start_s, end_s, text in events:
        if not _is_time(start_s) or not _is_time(end_s) or not isinstance(text, str):
            raise RowError(
                f"an event is two times in seconds and a text, got {short((start_s, end_s, text))}"
            )
    ordered = sorted((start_s, end_s, text.strip()) for start_s, end_s, text in events)
    lines = [f"[{format_time(start_s)}-{format_time(end_s)}] {text}" for start_s, end_s, text in ordered]
    record = named(fields, show_first(turns_of([(DESCRIBE_TIMED, "\n".join(lines))]), [video]))
    return record | {"kind": "dense", "events": ordered}


def _grounded(fields: Fields, text: str, start_s: Any, end_s: Any, video: Fields) -> Fields:
    if not _is_time(start_s) or not _is_time(end_s):
        raise RowError(f"a stretch is two times in seconds, got {short((start_s, end_s))}")
    answer = f"from {format_time(start_s)} to {format_time(end_s)}"
    turns = turns_of([(f"When does this happen? {text.strip()}", answer)])
    return named(fields, show_first(turns, [video])) | {
        "kind": "when",
        "events": [(start_s, end_s, text.strip())],
    }


def _two(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise RowError(f"a stretch is two times, got {short(value)}")
    return value[0], value[1]


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LONGEST_S


def _read_webvid(row: Row) -> Iterator[Fields]:
    fields = row.fields
    name, folder = name_of(fields, "videoid"), str(fields.get("page_dir") or "")
    places = [f"videos/{folder}/{name}", f"{folder}/{name}"] if folder and folder.lower() != "nan" else []
    yield _caption(fields, text_of(fields, "name"), medium(f"{name}", "video", *places)) | {"id": name}


def _read_panda(row: Row) -> Iterator[Fields]:
    """One record for each clip of the row's video; all cells are lists, written as Python literals."""
    fields = row.fields
    name = text_of(fields, "videoID")
    stretches, captions = list_of(fields, "timestamp"), list_of(fields, "caption")
    if len(stretches) != len(captions):
        raise RowError(f"{len(stretches)} timestamps for {len(captions)} captions")
    for number, (stretch, text) in enumerate(zip(stretches, captions, strict=True)):
        start, end = _two(stretch)
        if not isinstance(text, str):
            raise RowError(f"a caption must be a text, got {short(text)}")
        video = medium(name, "video", start_s=_clock(start), end_s=_clock(end))
        yield _caption(fields, text, video) | {"id": f"{name}_{number:05}"}


def _clock(text: Any) -> float:
    match = _CLOCK.match(text) if isinstance(text, str) else None
    if match is None:
        raise RowError(f"a time is written h:mm:ss.sss, got {short(text)}")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def _read_activitynet(row: Row) -> Iterator[Fields]:
    fields = row.fields
    stretches, sentences = list_of(fields, "timestamps"), list_of(fields, "sentences")
    if len(stretches) != len(sentences):
        raise RowError(f"{len(stretches)} timestamps for {len(sentences)} sentences")
    events = [(*_two(stretch), text) for stretch, text in zip(stretches, sentences, strict=True)]
    yield _keyed(fields, _timed(fields, events, clip_of(fields, KEY, "video", "video_id")))


def _read_youcook(row: Row) -> Iterator[Fields]:
    fields = row.fields
    noted = objects_of(fields, "annotations")
    events = [(*_two(event.get("segment")), event.get("sentence")) for event in noted]
    name = name_of(fields, KEY)
    places = [
        f"{fields.get('subset')}/{fields.get('recipe_type')}/{name}",
        f"{fields.get('recipe_type')}/{name}",
    ]
    yield _keyed(fields, _timed(fields, events, medium(name, "video", *places)))


def _read_howto(row: Row) -> Iterator[Fields]:
    fields = row.fields
    columns = [list_of(fields, key) for key in ("start", "end", "text")]
    if len({len(column) for column in columns}) > 1:
        raise RowError(
            f"start, end and text differ in length: {', '.join(str(len(column)) for column in columns)}"
        )
    # HowToCaption has several captions for each stretch; the first is the most fitting.
    events = [
        (start, end, text[0] if isinstance(text, list) and text else text)
        for start, end, text in zip(*columns, strict=True)
    ]
    yield _keyed(fields, _timed(fields, events, clip_of(fields, KEY, "video", "video_id")))


def _keyed(fields: Fields, record: Fields) -> Fields:
    return record | ({"id": fields[KEY]} if KEY in fields else {})


def _read_charades(row: Row) -> Iterator[Fields]:
    line = text_of(row.fields, TEXT)
    match = _CHARADES.match(line)
    if match is None:
        raise RowError(f"a line is 'VIDEO START END##SENTENCE', got {short(line)}")
    name, start, end, text = match.groups()
    yield _grounded(row.fields, text, float(start), float(end), medium(name, "video"))


def _read_qvhighlights(row: Row) -> Iterator[Fields]:
    fields = row.fields
    windows = [_two(window) for window in list_of(fields, "relevant_windows")]
    text, video = text_of(fields, "query"), clip_of(fields, "vid")
    if len(windows) == 1:
        start_s, end_s = windows[0]
        yield _grounded(fields, text, start_s, end_s, video) | {"id": str(fields.get("qid"))}
        return
    record = _timed(fields, [(*window, text) for window in windows], video)
    yield record | {"id": str(fields.get("qid"))}


WEBVID = Format("webvid", "WebVid's CSV: videoid, page_dir, name", has("videoid", "name"), _read_webvid)
PANDA = Format(
    "panda",
    "Panda-70M's CSV: videoID, timestamp, caption",
    has("videoID", "timestamp", "caption"),
    _read_panda,
)
ACTIVITYNET = Format(
    "activitynet",
    "ActivityNet-Captions: timestamps and sentences",
    has("timestamps", "sentences"),
    _read_activitynet,
)


def _is_youcook(fields: Fields) -> bool:
    noted = fields.get("annotations")
    return isinstance(noted, list) and bool(noted) and isinstance(noted[0], dict) and "segment" in noted[0]


YOUCOOK = Format("youcook", "YouCook2: annotations of segment and sentence", _is_youcook, _read_youcook)
HOWTO = Format("howto", "HowTo100M, HowToCaption: start, end, text", has("start", "end", "text"), _read_howto)
CHARADES = Format(
    "charades-sta", "Charades-STA's lines: VIDEO START END##SENTENCE", has(TEXT), _read_charades
)
QVHIGHLIGHTS = Format(
    "qvhighlights", "QVHighlights: query, vid, relevant_windows", has("query", "vid"), _read_qvhighlights
)
