"""What every format is, and what they share: media, marks, turns.

A reader gives fields of records. There a medium's ``path`` is a list of names to look for, best first: many formats
name a video without its folder or ending. :mod:`videollm.data.reading` chooses among them.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...model.prompting import escape_marks
from ..problems import RowError, counted, with_article
from ..records import short
from ..rows import Row

#: Fields of a record, as :func:`videollm.data.records.make_record` takes them.
Fields = dict[str, Any]
MediaType = Literal["video", "image"]

MARK = "<video>"
#: Under these most formats name media.
MEDIA_KEYS = ("video", "videos", "image", "images")
_TAG = re.compile(r"<(video|image)>")
_REMOTE = re.compile(r"^(?:https?|ftp|s3|gs|hf|hdfs|data):", re.IGNORECASE)
_SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True, slots=True)
class Format:
    """A shape that rows of a data file can have.

    Attributes:
        name: Its name for ``--format``.
        says: Whose it is, in a few words, for lists.
        matches: Whether a row has this shape, by its keys and their types.
        read: Yields the fields of the records that a row makes. Raises RowError when the row is not what it looks like.
    """

    name: str
    says: str
    matches: Callable[[Fields], bool]
    read: Callable[[Row], Iterator[Fields]]


def has(*keys: str) -> Callable[[Fields], bool]:
    """Returns a test for rows that have all of these keys."""
    return lambda fields: all(key in fields for key in keys)


def text_of(fields: Fields, key: str) -> str:
    """Returns the text under ``key``.

    Raises:
        RowError: There is none.
    """
    value = fields.get(key)
    if not isinstance(value, str):
        raise RowError(f"{key} must be a text, got {short(value)}" if key in fields else f"{key} is missing")
    return value


def name_of(fields: Fields, key: str) -> str:
    """Returns the text or whole number under ``key`` as a text: names of videos are either."""
    value = fields.get(key)
    return str(value) if type(value) is int else text_of(fields, key)


def unquoted(value: Any) -> Any:
    """Returns what a cell of a table holds: lists are written there as Python literals."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def list_of(fields: Fields, key: str) -> list[Any]:
    """Returns the list under ``key``, which a table's cell may hold as text.

    Raises:
        RowError: There is none, or an empty one.
    """
    value = unquoted(fields.get(key))
    if not isinstance(value, list) or not value:
        got = f"{key} must be a list with something in it, got {short(value)}"
        raise RowError(got if key in fields else f"{key} is missing")
    return value


def objects_of(fields: Fields, key: str) -> list[Fields]:
    """Returns the list of objects under ``key``.

    Raises:
        RowError: There is none, or something in it is no object.
    """
    listed = list_of(fields, key)
    for number, value in enumerate(listed):
        if not isinstance(value, dict):
            raise RowError(f"{key}.{number} must be an object, got {short(value)}")
    return listed


def medium(path: Any, type: MediaType, *others: str, start_s: Any = None, end_s: Any = None) -> Fields:
    """Returns the fields of one medium; ``others`` are further names to look for.

    Raises:
        RowError: ``path`` is no path of a file on this machine.
    """
    if isinstance(path, list):
        raise RowError(
            f"{with_article(type)} must be one file, got a list of {len(path)}; write the frames into a video first"
        )
    if not isinstance(path, str) or not path.strip():
        raise RowError(f"{with_article(type)} must be the path of a file, got {short(path)}")
    path = path.removeprefix("file://")
    if _REMOTE.match(path):
        raise RowError(
            f"{with_article(type)} must be a file on this machine, got {short(path)}; download it first"
        )
    if path.lower().endswith(_IMAGE_ENDINGS):  # VideoLLaMA2 lists images under "video"
        type, start_s, end_s = "image", None, None
    return {"type": type, "path": [path, *others], "start_s": start_s, "end_s": end_s}


def clip_of(fields: Fields, *keys: str) -> Fields:
    """Returns the fields of the one video that a row names under the first of ``keys`` that it has.

    Names without a folder or ending are common: ``v_`` stands before ActivityNet's files and not before its names,
    MSRVTT-QA's and MSVD-QA's numbers have files ``video7010.mp4`` and ``vid1301.avi``.

    Raises:
        RowError: There is no name.
    """
    key = next((key for key in keys if fields.get(key) is not None), keys[0])
    name = name_of(fields, key)
    others = [f"v_{name}", f"video{name}", f"vid{name}"]
    if isinstance(fields.get("data_source"), str):  # LLaVA-Video's folders
        others.append(f"{fields['data_source']}/{name}")
    return medium(name, "video", *others)


def turn_of(role: Any, content: Any, trained: Any = None) -> Fields:
    """Returns the fields of one turn.

    Args:
        role: Who speaks, by any of the usual names.
        content: What is said.
        trained: 0 or false where it is not learnt, under whatever key a format has that.

    Raises:
        RowError: The speaker is unknown, or what is said is no text.
    """
    if not isinstance(role, str) or role not in _SPEAKERS:
        raise RowError(f"a message is from one of {', '.join(_SPEAKERS)}, got {short(role)}")
    if _SPEAKERS[role] == "assistant":
        content = answer_text(content)
    if not isinstance(content, str):
        raise RowError(f"what a message says must be a text, got {short(content)}")
    turn: Fields = {"role": _SPEAKERS[role], "content": content}
    if trained is not None and turn["role"] == "assistant":
        turn["train"] = bool(trained)
    return turn


def answer_text(answer: Any) -> Any:
    """Returns an answer as it is said: questions that count have numbers as answers, which are said in digits."""
    is_number = type(answer) is int or (type(answer) is float and math.isfinite(answer))
    return str(answer) if is_number else answer


def turns_of(pairs: Iterable[tuple[Any, Any]]) -> list[Fields]:
    """Returns the turns of questions and answers in which no tag marks a medium.

    Raises:
        RowError: One of them is no text.
    """
    turns: list[Fields] = []
    for question, answer in pairs:
        if not isinstance(question, str):
            raise RowError(f"the question must be a text, got {short(question)}")
        said = answer_text(answer)
        if not isinstance(said, str):
            raise RowError(f"the answer must be a text or a number, got {short(answer)}")
        turns.append({"role": "user", "content": escape_marks(question)})
        turns.append({"role": "assistant", "content": said})
    return turns


def show_first(turns: list[Fields], media: Sequence[Fields]) -> Fields:
    """Returns fields of a record whose media all stand before the first thing that the user says.

    Raises:
        RowError: The user says more tags than there are media; as many may be a question about the word.
    """
    tags = sum(len(_TAG.findall(turn["content"])) for turn in turns if turn["role"] == "user")
    if tags > len(media):
        raise RowError(
            f"{counted(tags, 'tag')} for {counted(len(media), media[0]['type'])}; leave them out of the question, "
            f"the {media[0]['type']} stands before it"
        )
    first = next((turn for turn in turns if turn["role"] == "user"), None)
    if first is not None and media:
        first["content"] = f"{MARK}\n" * len(media) + first["content"]
    return {"media": list(media), "messages": turns}


def show_at_tags(turns: list[Fields], videos: list[Fields], images: list[Fields]) -> Fields:
    """Returns fields of a record whose media stand where ``<video>`` and ``<image>`` tags say so.

    Without any tag all media stand first, as ms-swift has it. LLaVA-Video writes ``<image>`` for a video; where all
    media are of one type, either tag stands for it.

    Raises:
        RowError: Tags and media differ in number.
    """
    tags = [tag for turn in turns if turn["role"] == "user" for tag in _TAG.findall(turn["content"])]
    if not tags:
        return show_first(turns, [*videos, *images])
    if not (videos and images):
        tags = ["video" if videos else "image"] * len(tags)
    for type, given in (("video", videos), ("image", images)):
        if tags.count(type) != len(given):
            raise RowError(
                f"{counted(tags.count(type), 'tag')} for {counted(len(given), type)}; each needs one where it stands"
            )
    waiting = {"video": iter(videos), "image": iter(images)}
    for turn in turns:
        if turn["role"] == "user":
            turn["content"] = _TAG.sub(MARK, turn["content"])
    return {"media": [next(waiting[tag]) for tag in tags], "messages": turns}


def named(fields: Fields, record: Fields) -> Fields:
    """Returns the record with the row's own name and kind, under the keys that several formats use."""
    name = next((fields[key] for key in ("id", "idx", "question_id") if fields.get(key) is not None), None)
    kinds = (fields.get(key) for key in ("kind", "task", "data_source"))
    kind = next((kind for kind in kinds if isinstance(kind, str) and kind), None)
    return {"id": None if name is None else str(name), "kind": kind} | record
