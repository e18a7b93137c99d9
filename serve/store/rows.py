"""How turns and titles are written in the columns of the database."""

from __future__ import annotations

import json
from typing import Any

from videollm.values import Span

from .values import Turn

#: Columns of a turn; :func:`columns_of` gives all but the last, which never changes.
TURN_COLUMNS = "question, text, failed, remembered, stopped, evidence, usage, created_s"

_TITLE_LENGTH = 80


def columns_of(turn: Turn) -> tuple[Any, ...]:
    """Returns what is written of a turn, in the order of the columns, without the time of creation."""
    evidence = [[span.start_s, span.end_s, span.score, span.video] for span in turn.evidence]
    usage = None if turn.usage is None else to_json(turn.usage)
    flags = (turn.failed, turn.remembered, turn.stopped)
    return (turn.question, turn.text, *flags, to_json(evidence), usage)


def turn_of(row: tuple[Any, ...]) -> Turn:
    """Returns the turn that a row holds."""
    question, text, failed, remembered, stopped, evidence, usage, created_s = row
    return Turn(
        question,
        text,
        failed=bool(failed),
        remembered=bool(remembered),
        stopped=bool(stopped),
        evidence=tuple(Span(*span) for span in json.loads(evidence)),
        usage=None if usage is None else json.loads(usage),
        created_s=created_s,
    )


def title_of(text: str) -> str:
    """Returns a text on one line, cut at a length that lists have room for."""
    line = " ".join(text.split())
    return line if len(line) <= _TITLE_LENGTH else line[: _TITLE_LENGTH - 1].rstrip() + "…"


def to_json(value: Any, sort_keys: bool = False) -> str:
    """Returns a value of plain JSON types as text; with sorted keys, equal ones as the same text."""
    # Not as ASCII: that would let halves of characters through, which no text may hold.
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
