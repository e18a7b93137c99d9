"""One answer to one record, scored in every way that fits it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..data.reading import Located
from ..data.records import Record
from .spans import find_stretches, temporal_iou
from .text_metrics import exact_match, normalised_match, rouge_l, token_f1

#: Kind of records that name none.
NO_KIND = "(no kind)"


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record and what the model answered.

    Attributes:
        index: Place in the file.
        id: The record's.
        kind: Kind of question.
        question: The user's last words.
        expected: The right answer.
        got: The model's; empty where the media cannot be read.
        right: Whether it counts as right: the right option, or the same text but for case, blanks and a full stop.
        normalised: Whether it is the same without punctuation and articles, too.
        f1: F1 of the normalised words.
        rouge_l: ROUGE-L.
        iou: Temporal intersection over union of the times it names; ``None`` where the record has no events.
        chosen: Whether it was chosen among options by likelihood.
        blind_got: The same model's answer on another record's media; ``None`` if not asked.
        blind_right: Whether that is right.
        problem: Why the media cannot be read; such an answer is wrong.
        line: Line of the data file; ``None`` of a record that comes from none.
        media: What was looked at, as records say it.
    """

    index: int
    id: str
    kind: str
    question: str
    expected: str
    got: str
    right: bool
    normalised: bool
    f1: float
    rouge_l: float
    iou: float | None
    chosen: bool
    blind_got: str | None
    blind_right: bool | None
    problem: str | None
    # Earlier versions left rows without these.
    line: int | None = None
    media: tuple[dict[str, Any], ...] = ()


def score_record(
    index: int, record: Record, got: str, blind_got: str | None = None, problem: str | None = None
) -> RecordRow:
    """Returns the row of an answer.

    Args:
        index: Place of the record in its file.
        record: What was asked.
        got: The model's answer.
        blind_got: Its answer on another record's media.
        problem: Why the media cannot be read.
    """
    expected = record.answer
    events = [(start_s, end_s) for start_s, end_s, _ in record.events or ()]
    return RecordRow(
        index=index,
        id=record.id,
        kind=record.kind or NO_KIND,
        question=record.messages[-2].content,
        expected=expected,
        got=got,
        right=problem is None and exact_match(got, expected),
        normalised=problem is None and normalised_match(got, expected),
        f1=token_f1(got, expected),
        rouge_l=rouge_l(got, expected),
        iou=temporal_iou(find_stretches(got), events) if events else None,
        chosen=record.options is not None,
        blind_got=blind_got,
        blind_right=None if blind_got is None else exact_match(blind_got, expected),
        problem=problem,
        media=_media(record),
    )


def placed(row: RecordRow, located: Located) -> RecordRow:
    """Returns a row with what its record says of itself, which rows of earlier versions lack or say otherwise.

    Args:
        row: The row.
        located: Its record.
    """
    record = located.record
    return dataclasses.replace(row, kind=record.kind or NO_KIND, line=located.line, media=_media(record))


def _media(record: Record) -> tuple[dict[str, Any], ...]:
    return tuple(medium.model_dump(exclude_none=True) for medium in record.media)
