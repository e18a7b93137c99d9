"""Formats of questions and answers about one video, without tags.

Sources: Video-LLaMA's and VideoChat's ``QA`` lists, Video-ChatGPT's training and benchmark files, MSVD-QA, MSRVTT-QA,
ActivityNet-QA (questions and answers in one file), NExT-QA's open-ended questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..rows import Row
from .base import Fields, Format, clip_of, has, medium, named, objects_of, show_first, text_of, turns_of

_VIDEO_KEYS = ("video", "video_name", "video_id")


def _read_lists(row: Row) -> Iterator[Fields]:
    """All of a row's pairs are one conversation; VideoChat's instruction stands before its first question."""
    asked = objects_of(row.fields, "QA")
    pairs = [(pair.get("q"), pair.get("a")) for pair in asked]
    instruction = asked[0].get("i")
    if isinstance(instruction, str) and isinstance(pairs[0][0], str):
        pairs[0] = ("\n".join(part for part in (instruction, pairs[0][0]) if part), pairs[0][1])
    turns = turns_of(pairs)
    if row.fields.get("image"):
        yield named(row.fields, show_first(turns, [medium(row.fields["image"], "image")]))
        return
    video = clip_of(row.fields, "video")
    video["start_s"], video["end_s"] = row.fields.get("start"), row.fields.get("end")
    yield named(row.fields, show_first(turns, [video]))


def _read_pair(row: Row) -> Iterator[Fields]:
    fields = row.fields
    question, answer = next(keys for keys in _PAIRS if has(*keys)(fields))
    yield _asked(fields, fields[question], fields[answer])


def _read_consistency(row: Row) -> Iterator[Fields]:
    for question in ("Q1", "Q2"):
        yield _asked(row.fields, text_of(row.fields, question), row.fields["A"])


def _asked(fields: Fields, question: Any, answer: Any) -> Fields:
    record = named(fields, show_first(turns_of([(question, answer)]), [clip_of(fields, *_VIDEO_KEYS)]))
    kind = fields.get("type")  # a number in ActivityNet-QA, a code in NExT-QA
    return record | ({"kind": str(kind)} if kind is not None else {})


_PAIRS = (("q", "a"), ("Q", "A"), ("question", "answer"))


def _is_pair(fields: Fields) -> bool:
    return any(has(*keys)(fields) for keys in _PAIRS) and any(key in fields for key in _VIDEO_KEYS)


QA_LISTS = Format("qa-lists", "Video-LLaMA, VideoChat, TimeIT: QA lists of q and a", has("QA"), _read_lists)
CONSISTENCY = Format(
    "consistency",
    "Video-ChatGPT's benchmark: Q1, Q2 and A about video_name",
    has("Q1", "Q2", "A"),
    _read_consistency,
)
PAIRS = Format(
    "pairs",
    "Video-ChatGPT, MSVD-QA, MSRVTT-QA, ActivityNet-QA, NExT-QA open-ended: a question, an answer, a video",
    _is_pair,
    _read_pair,
)
