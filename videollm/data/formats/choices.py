"""Formats of multiple choice. Options are listed in the question, each behind its letter; the answer is a letter.

Sources: NExT-QA's CSV (and Vamos's of Perception Test, with three options), EgoSchema, MVBench, Video-MME, Perception
Test.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Any

from ..problems import RowError
from ..records import short
from ..rows import Row
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

_LETTERED = re.compile(r"^\(?([A-Z])[.):]\s+")
_COLUMN = re.compile(r"^a(\d)$")
_OPTION = re.compile(r"^option (\d)$")


def choice(fields: Fields, question: str, options: list[Any], answer: Any, video: Fields) -> Fields:
    """Returns fields of a record that asks for one of several options.

    Args:
        fields: The row, for its name and kind.
        question: What is asked.
        options: Two or more, with or without their letters.
        answer: Number from 0, letter, or text of the right one.
        video: Fields of the medium.

    Raises:
        RowError: The answer names none of the options, two are the same, or there are too few or too many.
    """
    texts = [_LETTERED.sub("", str(option)).strip() for option in options]
    if not 2 <= len(texts) <= len(string.ascii_uppercase):
        raise RowError(f"a choice needs 2 to {len(string.ascii_uppercase)} options, got {len(texts)}")
    again = next((text for text in texts if texts.count(text) > 1), None)
    if again is not None:
        raise RowError(f"the options must differ, got {short(again)} {texts.count(again)} times")
    letters = list(string.ascii_uppercase[: len(texts)])
    right = _right(answer, texts, letters)
    asked = "\n".join([question, *(f"{letter}) {text}" for letter, text in zip(letters, texts, strict=True))])
    record = named(fields, show_first(turns_of([(asked, letters[right])]), [video]))
    return record | {"options": letters}


def _right(answer: Any, texts: list[str], letters: list[str]) -> int:
    """Which option an answer names: by number from 0, by text (MVBench) or by letter (Video-MME)."""
    if isinstance(answer, str):
        stripped = _LETTERED.sub("", answer).strip()
        if texts.count(stripped) == 1:
            return texts.index(stripped)
        if answer.strip().strip("().") in letters:
            return letters.index(answer.strip().strip("()."))
        answer = int(answer) if answer.strip().isdecimal() else answer
    if type(answer) is int and 0 <= answer < len(texts):
        return answer
    raise RowError(f"the answer must name one of the {len(texts)} options, got {short(answer)}")


def _numbered(fields: Fields, pattern: re.Pattern[str]) -> list[Any]:
    found = sorted((int(match[1]), key) for key in fields if (match := pattern.match(key)))
    return [fields[key] for _, key in found]


def _read_columns(row: Row) -> Iterator[Fields]:
    fields = row.fields
    video = clip_of(fields, "video")
    made = choice(
        fields, text_of(fields, "question"), _numbered(fields, _COLUMN), fields.get("answer"), video
    )
    named_so = {"id": f"{name_of(fields, 'video')}_{fields['qid']}"} if "qid" in fields else {}
    yield made | named_so | {"kind": fields.get("type") or None}


def _read_egoschema(row: Row) -> Iterator[Fields]:
    fields = row.fields
    name = text_of(fields, "q_uid")
    answer = next(
        (fields[key] for key in ("answer", "_answer", "truth") if fields.get(key) is not None), None
    )
    if answer is None:
        raise RowError("no answer; EgoSchema's answers are a file of their own, put them under 'answer'")
    question = text_of(fields, "question")
    yield choice(fields, question, _numbered(fields, _OPTION), answer, medium(name, "video")) | {"id": name}


def _read_candidates(row: Row) -> Iterator[Fields]:
    fields = row.fields
    video = clip_of(fields, "video") | {"start_s": fields.get("start"), "end_s": fields.get("end")}
    yield choice(
        fields, text_of(fields, "question"), list_of(fields, "candidates"), fields.get("answer"), video
    )


def _read_video_mme(row: Row) -> Iterator[Fields]:
    fields = row.fields
    # The files are named by videoID, not by video_id.
    video = clip_of(fields, "videoID", "video_name", "video", "video_id")
    answer = fields.get("answer", fields.get("answer_id"))
    made = choice(fields, text_of(fields, "question"), list_of(fields, "options"), answer, video)
    kind = fields.get("task_type") or fields.get("reasoning")
    yield made | ({"kind": kind} if isinstance(kind, str) else {})


def _read_perception_test(row: Row) -> Iterator[Fields]:
    metadata = row.fields["metadata"]
    video = clip_of(metadata if isinstance(metadata, dict) else {}, "video_id")
    for asked in objects_of(row.fields, "mc_question"):
        made = choice(
            asked, text_of(asked, "question"), list_of(asked, "options"), asked.get("answer_id"), dict(video)
        )
        area = asked.get("area")
        yield made | {
            "id": f"{video['path'][0]}_{asked.get('id')}",
            "kind": area if isinstance(area, str) else None,
        }


NEXT_QA = Format(
    "next-qa",
    "NExT-QA's CSV: a question, options in a0, a1, …",
    has("video", "question", "a0", "a1"),
    _read_columns,
)
EGOSCHEMA = Format(
    "egoschema", "EgoSchema: q_uid, option 0, option 1, …", has("q_uid", "option 0"), _read_egoschema
)
MVBENCH = Format(
    "mvbench", "MVBench: a question with candidates", has("candidates", "question"), _read_candidates
)
VIDEO_MME = Format(
    "video-mme", "Video-MME: a question with options", has("options", "question"), _read_video_mme
)
PERCEPTION_TEST = Format(
    "perception-test",
    "Perception Test: metadata, mc_question",
    has("metadata", "mc_question"),
    _read_perception_test,
)
