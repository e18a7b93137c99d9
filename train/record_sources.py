"""People's data files as a stage takes them: every record that can be learnt from, and a list of all that cannot."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from videollm.data.problems import Problem
from videollm.data.reader import Reader
from videollm.data.reading import Located, read_records
from videollm.data.records import Record
from videollm.errors import DataError

from .media_features import MediaFeatures
from .tuning_settings import DataSource

_MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class RecordSource:
    """What of one data file can be learnt from.

    Attributes:
        records: In the order of the file; all their media have features.
        weight: How often it is drawn, relative to the other sources.
        bad_rows: Rows that were left out.
    """

    records: tuple[Record, ...]
    weight: float
    bad_rows: int


def load_sources(
    sources: Sequence[DataSource],
    features: MediaFeatures,
    reader: Reader,
    *,
    max_bad_fraction: float,
    tell: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
) -> list[RecordSource]:
    """Reads data files and makes the features of all their media.

    A row that cannot be learnt from is counted and told, never replaced.

    Args:
        sources: The files.
        features: Where features of media are kept.
        reader: How the model reads.
        max_bad_fraction: Share of a file's rows that may be bad.
        tell: Takes what is to be told while it goes on.

    Raises:
        DataError: More of a file is bad, or nothing of it is good; the text names the first bad rows.
    """
    return [_load(source, features, reader, max_bad_fraction, tell) for source in sources]


def _load(
    source: DataSource,
    features: MediaFeatures,
    reader: Reader,
    max_bad_fraction: float,
    tell: Callable[[str], None],
) -> RecordSource:
    found: list[Located] = []
    problems: list[Problem] = []
    for one in read_records(source.path, format=source.format, media=source.media):
        if isinstance(one, Problem):
            problems.append(one)
        else:
            found.append(one)

    def progress(done: int, of: int) -> None:
        if done % 100 == 0 or done == of:
            tell(f"{source.path}: features of {done} of {of} media")

    reasons = features.make((medium for one in found for medium in one.record.media), progress)
    good = []
    for one in found:
        reason = next((reasons[medium] for medium in one.record.media if medium in reasons), None)
        reason = reason or _too_long(one.record, features, reader)
        if reason is None:
            good.append(one.record)
        else:
            problems.append(one.problem(source.path, reason))
    bad_rows = len({problem.row for problem in problems})
    _judge(source, problems, bad_rows, len(good), max_bad_fraction, tell)
    return RecordSource(tuple(good), len(good) if source.weight is None else source.weight, bad_rows)


def _too_long(record: Record, features: MediaFeatures, reader: Reader) -> str | None:
    layouts = [reader.layout(features.plan(medium)) for medium in record.media]
    length = len(reader.write(record, layouts).input_ids)
    return f"{length} tokens, the context is {reader.context}" if length > reader.context else None


def _judge(
    source: DataSource,
    problems: Sequence[Problem],
    bad: int,
    good: int,
    max_bad_fraction: float,
    tell: Callable[[str], None],
) -> None:
    """Tells what is bad, and ends the run where that is too much."""
    tell(f"{source.path}: {good} records, {bad} bad rows left out")
    for problem in sorted(problems, key=lambda problem: problem.line):
        tell(str(problem))
    if good == 0 or bad > max_bad_fraction * (bad + good):
        first = "; ".join(f"line {problem.line}: {problem.message}" for problem in problems[:_MOST_TOLD])
        raise DataError(
            f"{source.path}: {bad} of {bad + good} rows are bad, max_bad_fraction is {max_bad_fraction:g} ({first}); "
            "see 'videollm data check'"
        )
