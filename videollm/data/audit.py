"""What a data file is worth before anything is trained on it: every problem with its place, and the figures.

Media are read as training will read them (each in a process that can be killed), and every conversation is written as
the language model will read it, without any weights.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, UnreadableVideoError
from ..model.prompting import IGNORED
from ..values import FramePlan
from .doubts import doubts, repetitions
from .problems import NO_ROWS, Problem, with_article
from .reader import Reader
from .reading import Located, read_records
from .records import MediaFile


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens of one conversation.

    Attributes:
        visual: Of its media, at most.
        learnt: With a loss.
        total: All, the visual ones included.
    """

    visual: int
    learnt: int
    total: int


@dataclass(slots=True)
class Audit:
    """What was found in a data file.

    Attributes:
        path: The file.
        model: Whose reading it was checked for.
        records: The records that can be learnt from, with their lines.
        formats: Records of each format.
        problems: Everything that is wrong, in the order of lines.
        plans: Resolved plan of each medium that could be read.
        lengths: Tokens of each record, in the order of ``records``.
        context: Most tokens of a conversation.
    """

    path: Path
    model: str
    context: int
    records: list[Located] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    plans: dict[MediaFile, FramePlan] = field(default_factory=dict)
    lengths: list[Length] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """Rows of which something cannot be learnt from."""
        return len(self._bad_rows())

    @property
    def bad_fraction(self) -> float:
        """Share of the rows of which something cannot be learnt from."""
        bad = self._bad_rows()
        return len(bad) / max(1, len(bad | {located.row for located in self.records}))

    def _bad_rows(self) -> set[int]:
        errors = (problem.row for problem in self.problems if problem.severity == "error")
        return {row for row in errors if row is not None}


def audit_file(
    path: Path,
    reader: Reader,
    *,
    format: str | None = None,
    media: Sequence[Path] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Audit:
    """Reads a data file, all of its media and all of its conversations.

    Args:
        path: The file.
        reader: How the model that is to be trained reads.
        format: Name of the rows' format; found out if ``None``.
        media: Directories to look for media in, before the data file's own.
        progress: Called with how many media were read, and of how many.

    Raises:
        ConfigError: There is no format of that name.
        DataError: The file is missing or of an unknown type.
    """
    audit = Audit(path, reader.name, reader.context)
    found: list[Located] = []
    for one in read_records(path, format=format, media=media):
        if isinstance(one, Problem):
            audit.problems.append(one)
        else:
            found.append(one)
            audit.formats[one.format] += 1
    if not found and not audit.problems:
        audit.problems.append(Problem(path, 1, NO_ROWS))
    reasons = _read_all(found, reader, audit, progress)
    for located in found:
        problem = _first_problem(located, reasons, reader, audit)
        if problem is None:
            audit.records.append(located)
        else:
            audit.problems.append(located.problem(path, problem))
    audit.problems += doubts(path, found)
    audit.problems += repetitions(path, audit.records)
    audit.problems += _late_events(path, audit)
    audit.problems.sort(key=lambda problem: (problem.line, problem.row or 0))
    return audit


def _read_all(
    found: Sequence[Located], reader: Reader, audit: Audit, progress: Callable[[int, int], None]
) -> dict[MediaFile, str]:
    """Reads each medium once, but for records that lack one; returns why those that cannot be read cannot."""
    first: dict[MediaFile, Located] = {}
    for located in found:
        for medium in located.record.media if not located.missing else ():
            first.setdefault(medium, located)
    reasons: dict[MediaFile, str] = {}
    # Reading happens in worker processes; the threads only wait for them.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (medium, outcome) in enumerate(
            zip(first, pool.map(lambda medium: _read(medium, reader), first), strict=True), start=1
        ):
            if isinstance(outcome, str):
                reasons[medium] = outcome
            else:
                audit.plans[medium], notices = outcome
                audit.problems += [
                    first[medium].problem(audit.path, f"{medium.path}: {notice}", "warning")
                    for notice in notices
                ]
            progress(done, len(first))
    return reasons


def _read(medium: MediaFile, reader: Reader) -> tuple[FramePlan, tuple[str, ...]] | str:
    """Returns the resolved plan and what should be known besides, or why the medium cannot be read."""
    try:
        frames = reader.read(medium)
    except (UnreadableVideoError, ConfigError) as error:
        return str(error)
    return frames.plan, frames.notices


def _first_problem(
    located: Located, reasons: dict[MediaFile, str], reader: Reader, audit: Audit
) -> str | None:
    """Returns why a record cannot be learnt from; notes its length if it can."""
    if located.missing:
        return located.missing[0]
    for medium in located.record.media:
        if medium in reasons:
            return reasons[medium]
        kind = audit.plans[medium].kind
        if kind != medium.type:
            return f"{medium.path} is to be {with_article(medium.type)}, and is {with_article(kind)}"
    layouts = [reader.layout(audit.plans[medium]) for medium in located.record.media]
    prompt = reader.write(located.record, layouts)
    visual = sum(layout.memory + sum(layout.counts) for layout in layouts)
    learnt = sum(label != IGNORED for label in prompt.labels)
    if len(prompt.input_ids) > reader.context:
        return f"{len(prompt.input_ids)} tokens ({visual} visual), the context of {reader.name} is {reader.context}"
    audit.lengths.append(Length(visual, learnt, len(prompt.input_ids)))
    return None


def _late_events(path: Path, audit: Audit) -> list[Problem]:
    """Events that end after their video."""
    problems = []
    for located in audit.records:
        events, media = located.record.events, located.record.media
        if not events or len(media) != 1:
            continue
        end_s, last_s = audit.plans[media[0]].end_s, max(end for _, end, _ in events)
        if last_s > end_s + 1:
            said = f"an event ends at {last_s:.1f} s, {media[0].path} at {end_s:.1f} s"
            problems.append(located.problem(path, said, "warning"))
    return problems
