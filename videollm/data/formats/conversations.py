"""Formats whose text holds the tags and whose files are listed beside it.

Sources: LLaVA's and ShareGPT's ``conversations`` (LLaVA-NeXT, LLaVA-Video, VideoLLaMA2 and 3, Qwen's finetuning),
``messages`` of ms-swift and LLaMA-Factory, ``query`` and ``response`` of ms-swift, alpaca.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..problems import RowError
from ..records import short
from ..rows import Row
from .base import (
    Fields,
    Format,
    MediaType,
    clip_of,
    has,
    medium,
    named,
    objects_of,
    show_at_tags,
    text_of,
    turn_of,
    unquoted,
)
from .parts import has_parts


def _record(row: Row, turns: list[Fields]) -> Fields:
    """Fields of the record whose media are listed beside its turns."""
    fields = row.fields
    if fields.get("audios") or fields.get("audio"):
        raise RowError("sound is not read; take the audio files out, or the record")
    if fields.get("system") and turns[0]["role"] != "system":
        turns.insert(0, turn_of("system", fields["system"]))
    videos, images = _listed(fields, "video"), _listed(fields, "image")
    return named(fields, show_at_tags(turns, *_by_type([*videos, *images])))


def _by_type(media: list[Fields]) -> tuple[list[Fields], list[Fields]]:
    return [one for one in media if one["type"] == "video"], [one for one in media if one["type"] == "image"]


def _listed(fields: Fields, type: MediaType) -> list[Fields]:
    """The media under ``videos`` or ``video``: a path, or a list of paths or of objects with a path and a window."""
    value = fields.get(f"{type}s") or fields.get(type) or []
    return [_one(path, type, fields) for path in (value if isinstance(value, list) else [value])]


def _one(value: Any, type: MediaType, fields: Fields) -> Fields:
    if isinstance(value, dict):  # verl's and Qwen's options of a video
        path = next((value[key] for key in (type, "path", "url") if value.get(key)), None)
        return medium(path, type, start_s=value.get("video_start"), end_s=value.get("video_end"))
    if isinstance(value, str) and type == "video":
        return clip_of(fields | {"video": value}, "video")
    return medium(value, type)


def _read_llava(row: Row) -> Iterator[Fields]:
    turns = [
        turn_of(said.get("from", said.get("role")), said.get("value", said.get("content")))
        for said in objects_of(row.fields, "conversations")
    ]
    yield _record(row, turns)


def _read_messages(row: Row) -> Iterator[Fields]:
    turns = [
        turn_of(said.get("role"), said.get("content"), said.get("loss", said.get("weight")))
        for said in objects_of(row.fields, "messages")
    ]
    yield _record(row, turns)


def _read_exchanges(row: Row) -> Iterator[Fields]:
    exchanges = objects_of(row.fields, "conversation")
    for number, said in enumerate(exchanges):
        if not ("human" in said and "assistant" in said):
            keys = ", ".join(map(str, said)) or "nothing"
            raise RowError(
                f"conversation.{number} must have human and assistant, got {keys}; "
                "LLaVA's turns of from and value stand under conversations"
            )
    yield _record(row, _pairs([[said["human"], said["assistant"]] for said in exchanges]))


def _read_query(row: Row) -> Iterator[Fields]:
    yield _record(row, _pairs([*_history(row.fields), [row.fields["query"], row.fields["response"]]]))


def _read_alpaca(row: Row) -> Iterator[Fields]:
    asked = text_of(row.fields, "instruction")
    if row.fields.get("input"):
        asked += "\n" + text_of(row.fields, "input")
    yield _record(row, _pairs([*_history(row.fields), [asked, row.fields["output"]]]))


def _history(fields: Fields) -> list[Any]:
    history = unquoted(fields.get("history")) or []
    if not isinstance(history, list):
        raise RowError(f"history must be pairs of question and answer, got {short(history)}")
    return history


def _pairs(pairs: list[Any]) -> list[Fields]:
    turns: list[Fields] = []
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise RowError(f"history must be pairs of question and answer, got {short(pair)}")
        turns += [turn_of("user", pair[0]), turn_of("assistant", pair[1])]
    return turns


def _has_plain_messages(fields: Fields) -> bool:
    return "messages" in fields and not has_parts(fields)


LLAVA = Format("llava", "LLaVA, ShareGPT: conversations of human and gpt", has("conversations"), _read_llava)
MESSAGES = Format(
    "messages",
    "ms-swift, LLaMA-Factory: messages beside videos and images",
    _has_plain_messages,
    _read_messages,
)
EXCHANGES = Format(
    "exchanges", "ms-swift: conversation of human and assistant", has("conversation"), _read_exchanges
)
QUERY = Format("query", "ms-swift: query, response, history", has("query", "response"), _read_query)
ALPACA = Format("alpaca", "alpaca: instruction, input, output", has("instruction", "output"), _read_alpaca)
