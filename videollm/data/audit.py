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
from .problems import Problem
from .reader import Reader
from .reading import Located, read_records
from .records import MediaFile, short


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
        """Rows and records that cannot be learnt from."""
        return len({problem.row for problem in self.problems if problem.severity == "error"})

    @property
    def bad_fraction(self) -> float:
        """Share of the rows that cannot be learnt from."""
        good = {located.row for located in self.records}
        return self.bad / max(1, self.bad + len(good))


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
    reasons = _read_all(found, reader, audit, progress)
    for located in found:
        problem = _first_problem(located, reasons, reader, audit)
        if problem is None:
            audit.records.append(located)
        else:
            audit.problems.append(located.problem(path, problem))
    audit.problems += _repetitions(path, audit.records)
    audit.problems += _late_events(path, audit)
    audit.problems.sort(key=lambda problem: problem.line)
    return audit


def _read_all(
    found: Sequence[Located], reader: Reader, audit: Audit, progress: Callable[[int, int], None]
) -> dict[MediaFile, str]:
    """Reads each medium once; returns why those that cannot be read cannot."""
    lines: dict[MediaFile, int] = {}
    for located in found:
        for medium in located.record.media:
            lines.setdefault(medium, located.line)
    reasons: dict[MediaFile, str] = {}
    # Reading happens in worker processes; the threads only wait for them.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (medium, outcome) in enumerate(
            zip(lines, pool.map(lambda medium: _read(medium, reader), lines), strict=True), start=1
        ):
            if isinstance(outcome, str):
                reasons[medium] = outcome
            else:
                audit.plans[medium], notices = outcome
                audit.problems += [
                    Problem(audit.path, lines[medium], f"{medium.path}: {notice}", "warning")
                    for notice in notices
                ]
            progress(done, len(lines))
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
    for medium in located.record.media:
        if medium in reasons:
            return reasons[medium]
        kind = audit.plans[medium].kind
        if kind != medium.type:
            return f"{medium.path} is to be a {medium.type}, and is a {kind}"
    layouts = [reader.layout(audit.plans[medium]) for medium in located.record.media]
    prompt = reader.write(located.record, layouts)
    visual = sum(layout.memory + sum(layout.counts) for layout in layouts)
    learnt = sum(label != IGNORED for label in prompt.labels)
    if len(prompt.input_ids) > reader.context:
        return f"{len(prompt.input_ids)} tokens ({visual} visual), the context of {reader.name} is {reader.context}"
    audit.lengths.append(Length(visual, learnt, len(prompt.input_ids)))
    return None


def _repetitions(path: Path, records: Sequence[Located]) -> list[Problem]:
    """Conversations that come again, and questions that come again with another answer."""
    first: dict[tuple[object, ...], Located] = {}
    problems = []
    for located in records:
        record = located.record
        asked = (record.media, *((turn.role, turn.content) for turn in record.messages[:-1]))
        before = first.setdefault(asked, located)
        if before is located:
            continue
        same = before.record.answer == record.answer
        said = (
            "the same conversation as" if same else f"answers {short(record.answer)} to the same question as"
        )
        problems.append(located.problem(path, f"{said} line {before.line}", "warning"))
    return problems


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
