r"""A conversation as Markdown for people and as JSON for programs.

Whatever stands in a question, an answer or a file name is shown as it was written: none of it becomes a heading, a
list, a link, a picture, code or HTML, whether the text is rendered or taken for a page by mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from videollm.clock import format_time
from videollm.values import Span

from .values import Conversation, Medium, Turn

# What Markdown takes for more than itself anywhere in a line, and where a block begins. ("_" counts between letters in
# no dialect; file names are full of it.)
_SPECIAL = re.compile(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])")
_SPECIAL_FIRST = re.compile(r"^(?:[-+=:]|[0-9]+(?=[.)]))")
# References rather than backslashes: they are harmless in HTML as well.
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Control characters, which could drive a terminal, become their pictures: ␛ for escape.
_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
# Inside the strings of JSON these mean the same when escaped, and cannot end a <script> or a line of one.
_IN_JSON = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"}


def to_markdown(conversation: Conversation) -> str:
    """Returns a conversation as a Markdown document (UTF-8, times in UTC)."""
    facts = [
        f"- Model: {_line(conversation.model)}",
        f"- Begun: {_date(conversation.created_s)}",
        *(f"- {_medium(number, medium)}" for number, medium in enumerate(conversation.media, 1)),
    ]
    parts = [f"# {_line(conversation.title) or 'Conversation'}", "\n".join(facts)]
    for number, turn in enumerate(conversation.turns, 1):
        parts += _turn(number, turn, conversation.media)
    return "\n\n".join(parts) + "\n"


def to_json(conversation: Conversation) -> str:
    """Returns a conversation as a JSON object (format 1), without the ids by which the server knows things."""
    value = {
        "format": 1,
        "title": conversation.title,
        "model": conversation.model,
        "created_s": conversation.created_s,
        "updated_s": conversation.updated_s,
        "media": [
            {"name": medium.name, "options": medium.options, "gone": medium.gone}
            for medium in conversation.media
        ],
        "turns": [_turn_value(turn) for turn in conversation.turns],
    }
    return json.dumps(value, ensure_ascii=False, indent=2).translate(_IN_JSON) + "\n"


def _turn_value(turn: Turn) -> dict[str, Any]:
    return {
        "question": turn.question,
        "text": turn.text,
        "failed": turn.failed,
        "stopped": turn.stopped,
        "evidence": [[span.start_s, span.end_s, span.score, span.video] for span in turn.evidence],
        "usage": turn.usage,
        "created_s": turn.created_s,
    }


def _turn(number: int, turn: Turn, media: tuple[Medium, ...]) -> Iterator[str]:
    """The blocks of a turn; the question is quoted."""
    yield f"## {number} · {_date(turn.created_s)}"
    if turn.question is not None and (question := _block(turn.question)):
        yield "\n".join(f"> {line}".rstrip() for line in question.split("\n"))
    if turn.failed:
        yield "**This did not work:**"
    if answer := _block(turn.text):
        yield answer
    if turn.stopped:
        yield "*Stopped.*"
    if turn.evidence:
        yield f"*Rests on:* {', '.join(_evidence(span, media) for span in turn.evidence)}"


def _evidence(span: Span, media: tuple[Medium, ...]) -> str:
    where = f"{format_time(span.start_s, decimals=1)}–{format_time(span.end_s, decimals=1)}"
    return where if len(media) < 2 else f"{where} of medium {span.video + 1}"


def _medium(number: int, medium: Medium) -> str:
    return f"Medium {number}: {_line(medium.name)}{' (not kept any more)' if medium.gone else ''}"


def _date(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _block(text: str) -> str:
    """A text of any number of lines such that Markdown shows it as it is, its lines and paragraphs kept."""
    lines = (_line_of_block(line) for line in re.split(r"\r\n|\r|\n", text))
    # A backslash at the end of a line keeps the break; blank lines part paragraphs by themselves.
    return re.sub(r"(?<=[^\n])\n(?=[^\n])", "\\\\\n", "\n".join(lines).strip("\n"))


def _line_of_block(line: str) -> str:
    body = line.lstrip(" \t")
    return "&nbsp;" * (len(line) - len(body)) + _line(body) if body else ""


def _line(text: str) -> str:
    """A text on one line such that Markdown shows it as it is where a block begins, and so within one."""
    line = _SPECIAL.sub(r"\\\g<0>", " ".join(re.split(r"[\r\n]+", text)).translate(_CONTROLS).strip())
    line = _SPECIAL_FIRST.sub(lambda first: _escape_first(first[0]), line)
    return re.sub("[&<>]", lambda mark: _HTML[mark[0]], line)


def _escape_first(mark: str) -> str:
    # Only punctuation can be escaped: of "1." that is the point, which follows the number.
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"
