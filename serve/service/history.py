"""From turns as a person sees them to the messages that the model reads."""

from __future__ import annotations

from collections.abc import Sequence

from videollm.model.prompting import escape_marks
from videollm.values import Message

from ..store.values import Turn

_MARK = "<video>\n"


def messages_of(turns: Sequence[Turn], places: Sequence[int], question: str) -> tuple[Message, ...]:
    """Returns the conversation up to a question, with a ``<video>`` mark where each medium stands.

    Args:
        turns: The turns so far; those that the model had no part in are left out.
        places: For each medium, in order, how many turns came before it.
        question: What is asked now.
    """
    messages: list[Message] = []
    waiting = list(places)
    for position, turn in enumerate(turns):
        if turn.question is None or not turn.remembered:
            continue
        seen = [place for place in waiting if place <= position]
        waiting = waiting[len(seen) :]
        messages += (_asked(turn.question, len(seen)), Message("assistant", turn.text))
    return (*messages, _asked(question, len(waiting)))


def _asked(question: str, media: int) -> Message:
    return Message("user", _MARK * media + escape_marks(question))
