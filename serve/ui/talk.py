"""The conversation as Gradio's Chatbot takes it, and which of its messages is of which turn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape, unescape

from videollm.values import Span

from ..store.values import Turn

_SAID_NOTHING = "*(The model ended its answer before a word.)*"
# Where HTML begins, and where a sign is named that stands for another.
_HTML = re.compile(r"<|&(?=[#\w])")
# What may be markup, in Markdown or in HTML.
_MARKUP = re.compile(r"[\\`*_\[\]<>()#~|!&$]")


def messages(turns: Sequence[Turn], pending: str | None = None) -> list[dict[str, str]]:
    """Returns the conversation in the form gradio's Chatbot takes.

    Args:
        turns: What was said.
        pending: A question that waits for a file to be read.
    """
    shown = [{"role": role, "content": content} for _, role, content in _shown(turns)]
    return shown if pending is None else [*shown, {"role": "user", "content": _without_html(pending)}]


def turn_of(turns: Sequence[Turn], message: int) -> int:
    """Returns which turn a message belongs to; -1 if there is no such message."""
    positions = [position for position, _, _ in _shown(turns)]
    return positions[message] if 0 <= message < len(positions) else -1


def provenance(turns: Sequence[Turn]) -> str:
    """Returns on which spans the answers rest: hidden, a row for each message of the model, in order.

    The page lights them up in the strips; see ``scripts/answers.js``.
    """
    rows = (_row(turns[position].evidence) for position, role, _ in _shown(turns) if role == "assistant")
    return f"<ol hidden>{''.join(rows)}</ol>"


def _shown(turns: Sequence[Turn]) -> Iterator[tuple[int, str, str]]:
    """Position of the turn, role and text of each message."""
    for position, turn in enumerate(turns):
        if turn.question is not None:
            yield position, "user", _without_html(turn.question)
        text = turn.text or (_SAID_NOTHING if turn.remembered else "")
        if text:
            yield position, "assistant", f"⚠️ {_plain(text)}" if turn.failed else _without_html(text)


def typed(content: str) -> str:
    """Returns the question that a message shows; see :func:`messages`."""
    return unescape(content)


def _without_html(text: str) -> str:
    """Text whose Markdown is Markdown and whose HTML is text."""
    return _HTML.sub(lambda sign: escape(sign[0]), text)


def _plain(text: str) -> str:
    """Text for Markdown that stands there as it is: names of files are in it."""
    return _MARKUP.sub(lambda sign: f"&#{ord(sign[0])};", text)


def _row(evidence: Sequence[Span]) -> str:
    spans = " ".join(f"{span.video}:{span.start_s:.3f}:{span.end_s:.3f}" for span in evidence)
    return f'<li data-spans="{escape(spans)}"></li>'
