"""The project's own records; ``video`` or ``image`` is short for one medium, and ids may be numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..problems import RowError
from ..records import MediaFile, Record, Turn, short
from ..rows import Row
from .base import Fields, Format, medium, objects_of, show_at_tags, turn_of

_SHORT = ("video", "image")


def _read(row: Row) -> Iterator[Fields]:
    fields = {key: value for key, value in row.fields.items() if value is not None}
    if type(fields.get("id")) is int:
        fields["id"] = str(fields["id"])
    given = [key for key in (*_SHORT, "media") if key in fields]
    if len(given) > 1:
        raise RowError(f"{' and '.join(given)} both say which files; give one")
    if given and given[0] in _SHORT:
        turns = [
            turn_of(said.get("role"), said.get("content"), said.get("train"))
            for said in objects_of(fields, "messages")
        ]
        media = [medium(fields.pop(given[0]), "video" if given[0] == "video" else "image")]
        fields |= show_at_tags(turns, *(media, []) if given[0] == "video" else ([], media))
    else:
        media = fields.get("media", [])
        if not isinstance(media, list):
            raise RowError(f"media must be a list, got {short(media)}")
        fields["media"] = [_medium(one) for one in media]
    yield fields


def _medium(fields: Any) -> Fields:
    unknown = sorted(set(fields) - set(MediaFile.model_fields)) if isinstance(fields, dict) else ["no object"]
    if unknown:
        raise RowError(f"a medium has {', '.join(MediaFile.model_fields)}, got {short(fields)}")
    return medium(
        fields.get("path"),
        fields.get("type", "video"),
        start_s=fields.get("start_s"),
        end_s=fields.get("end_s"),
    )


def _matches(fields: Fields) -> bool:
    messages = fields.get("messages")
    return (
        set(fields) <= {*Record.model_fields, *_SHORT}
        and isinstance(messages, list)
        and all(isinstance(said, dict) and set(said) <= set(Turn.model_fields) for said in messages)
        and not any(isinstance(said.get("content"), list | dict) for said in messages)
        and not any(isinstance(fields.get(key), list | dict) for key in _SHORT)
    )


RECORD = Format("record", "this project's own: media and messages", _matches, _read)
