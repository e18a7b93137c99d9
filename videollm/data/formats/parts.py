"""Formats whose messages are lists of parts: OpenAI's, those of transformers' chat templates, Tarsier's.

Sources: OpenAI's and vLLM's ``video_url``, qwen-vl-utils' ``video`` with ``video_start`` and ``video_end``, Tarsier2's
``video_file`` with ``start_time`` and ``end_time``, whose evaluation files keep the answer under ``reference``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...model.prompting import escape_marks
from ..problems import RowError
from ..records import short
from ..rows import Row
from .base import (
    MARK,
    Fields,
    Format,
    MediaType,
    answer_text,
    has,
    medium,
    named,
    objects_of,
    show_at_tags,
    turn_of,
)

_TYPES: dict[str, MediaType] = {
    "video": "video",
    "video_url": "video",
    "image": "image",
    "image_url": "image",
}
_PATHS = ("url", "path", "video_file", "image_file", "video_path", "image_path")
_STARTS, _ENDS = ("video_start", "start_time", "start_s"), ("video_end", "end_time", "end_s")
_PLACEHOLDER = "<placeholder>"


def has_parts(fields: Fields) -> bool:
    """Whether what some message says is a list of parts."""
    messages = fields.get("messages")
    return isinstance(messages, list) and any(
        isinstance(said, dict) and isinstance(said.get("content"), list | dict) for said in messages
    )


def _read(row: Row) -> Iterator[Fields]:
    media: list[Fields] = []
    turns: list[Fields] = []
    for said in objects_of(row.fields, "messages"):
        content = said.get("content")
        if isinstance(content, dict):
            content = [content]
        if not isinstance(content, list):
            text = answer_text(content) if said.get("role") == "assistant" else content
            content = [{"type": "text", "text": text}]
        texts = "".join(_text(part, media, said.get("role")) for part in content)
        turns.append(turn_of(said.get("role"), texts, said.get("weight")))
    if any(_PLACEHOLDER in one["path"] for one in media):
        _fill(row.fields, media)
    yield named(row.fields, {"media": media, "messages": turns})


def _text(part: Any, media: list[Fields], role: Any) -> str:
    """What a part says; a medium is added to ``media`` and leaves its mark."""
    if isinstance(part, dict) and part.get("type") == "text":
        text = part.get("text") or part.get("reference")
        if not isinstance(text, str):
            raise RowError(f"a part of type text must have a text, got {short(part)}")
        return escape_marks(text) if role == "user" else text
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in _TYPES:
        raise RowError(f"a part of a message is one of text, {', '.join(_TYPES)}, got {short(part)}")
    value = next((part[key] for key in (kind, *_PATHS) if part.get(key)), None)
    inner = value if isinstance(value, dict) else {}
    if inner:
        value = next((inner[key] for key in _PATHS if inner.get(key)), None)
    media.append(
        medium(value, _TYPES[kind], start_s=_first(inner, part, _STARTS), end_s=_first(inner, part, _ENDS))
    )
    return f"{MARK}\n"


def _first(inner: Fields, outer: Fields, keys: tuple[str, ...]) -> Any:
    return next((place[key] for place in (inner, outer) for key in keys if place.get(key) is not None), None)


def _fill(fields: Fields, media: list[Fields]) -> None:
    """Puts the row's ``vid`` where Tarsier's published files leave a placeholder for the path."""
    if len(media) != 1 or fields.get("vid") is None:
        raise RowError(f"{_PLACEHOLDER} stands for a path, and no vid says which")
    media[0]["path"] = [str(fields["vid"])]


def _read_tarsier_1(row: Row) -> Iterator[Fields]:
    text = row.fields["text"]
    prompt, response = text.get("prompt"), answer_text(text.get("response"))
    if not isinstance(prompt, str) or not isinstance(response, str):
        raise RowError(f"text must have a prompt and a response, got {short(text)}")
    # Some prompts are whole: "USER: <video> why? ASSISTANT: Answer: (".
    prompt = prompt.removeprefix("USER:").partition("ASSISTANT:")[0].strip()
    end_s = row.fields.get("end_time")
    video = medium(
        row.fields["video_file"],
        "video",
        start_s=row.fields.get("start_time"),
        end_s=None if end_s == -1 else end_s,  # -1 is the end of the video
    )
    if _PLACEHOLDER in video["path"]:
        _fill(row.fields, [video])
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    yield named(row.fields, show_at_tags(turns, [video], []))


def _is_tarsier_1(fields: Fields) -> bool:
    return has("text", "video_file")(fields) and isinstance(fields["text"], dict)


PARTS = Format("parts", "OpenAI, Qwen, Tarsier2: messages made of parts", has_parts, _read)
TARSIER_1 = Format(
    "tarsier", "Tarsier: a prompt and a response beside video_file", _is_tarsier_1, _read_tarsier_1
)
