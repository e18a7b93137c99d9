"""What of a file's records may not be meant: they can be learnt from, and somebody should look at them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..model.prompting import plain_text
from .formats.own import RECORD
from .problems import Problem
from .reading import Located
from .records import Record, short

_TAG = re.compile(r"<(?:video|image)>")
_TEXT_MARK = r"\<video>"


def doubts(path: Path, records: Sequence[Located]) -> list[Problem]:
    """Returns warnings about records of a file: what each says, and what it names that others do not.

    Args:
        path: The file.
        records: All that were read, those with media that cannot be read too.
    """
    shown = sum(bool(located.record.media) for located in records)
    problems = []
    for located in records:
        said = [*located.warnings, *_odd_words(located)]
        if not located.record.media and (shown or located.empty):
            lead = f"{located.empty} is empty" if located.empty else "names no video or image"
            rest = f" ({shown} of {len(records)} records do show something)" if shown else ""
            said.append(f"{lead}, the model is shown nothing{rest}")
        problems += [located.problem(path, text, "warning") for text in said]
    return problems


def _odd_words(located: Located) -> Iterator[str]:
    for number, turn in enumerate(located.record.messages):
        if turn.role == "user" and not plain_text(turn.content):
            yield f"messages.{number}: the user asks nothing, there is only <video>"
        if turn.role == "user" and located.format != RECORD.name and _TEXT_MARK in turn.content:
            yield (
                f"messages.{number}: the user says '<video>', which marks no video in rows of {located.format} "
                "and is read as a word; leave it out if that is not meant"
            )
        if turn.learnt and (tag := _TAG.search(turn.content)):
            yield f"messages.{number}: the answer has {tag[0]!r} in it, which the model would learn to say"


def repetitions(path: Path, records: Sequence[Located]) -> list[Problem]:
    """Returns warnings about conversations that come again, and questions that come again with another answer."""
    first: dict[tuple[object, ...], Located] = {}
    problems = []
    for located in records:
        before = first.setdefault(_asked(located.record), located)
        if before is located:
            continue
        same = before.record.answer == located.record.answer
        answer = short(located.record.answer)
        said = "the same conversation as" if same else f"answers {answer} to the same question as"
        problems.append(located.problem(path, f"{said} {before.place}", "warning"))
    return problems


def _asked(record: Record) -> tuple[object, ...]:
    return (record.media, *((turn.role, turn.content) for turn in record.messages[:-1]))
