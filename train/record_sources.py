"""People's data files as a stage takes them: every record that can be learnt from, and a list of all that cannot.

Files are streamed through once, a part at a time, and may be many: the shards of a large set.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videollm.data.problems import Problem
from videollm.data.reader import Reader
from videollm.data.reading import Located, read_records
from videollm.data.records import Record
from videollm.data.rows import ENDINGS
from videollm.errors import DataError

from .media_features import MediaFeatures
from .spool import RecordSpool
from .tuning_settings import DataSource

_MOST_TOLD = 5
_AT_ONCE = 1024  # records that are looked at together


@dataclass(frozen=True, slots=True)
class RecordSource:
    """What of one data file can be learnt from.

    Attributes:
        records: In the order of the files; all their media have features.
        weight: How often it is drawn, relative to the other sources.
        bad_rows: Rows that were left out.
        files: The data files.
    """

    records: Sequence[Record]
    weight: float
    bad_rows: int
    files: tuple[Path, ...]


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
    files = shards(source.path)
    records = RecordSpool()
    problems: list[Problem] = []
    for file in files:
        found = read_records(file, format=source.format, media=source.media)
        while part := list(itertools.islice(found, _AT_ONCE)):
            problems += [one for one in part if isinstance(one, Problem)]
            located = [one for one in part if isinstance(one, Located)]
            for one, reason in _check(file, located, features, reader, tell):
                if reason is None:
                    records.append(one.record)
                else:
                    problems.append(one.problem(file, reason))
    records.close_writing()
    bad_rows = len({(problem.path, problem.row) for problem in problems})
    _judge(source, problems, bad_rows, len(records), max_bad_fraction, tell)
    weight = len(records) if source.weight is None else source.weight
    return RecordSource(records, weight, bad_rows, tuple(files))


def shards(path: Path) -> list[Path]:
    """Returns the data files that a path means: itself, those of a directory, or those that fit a pattern with ``*``.

    Raises:
        DataError: There are none.
    """
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix.lower() in ENDINGS]
    elif "*" in path.name and not path.exists():
        found = list(path.parent.glob(path.name))
    else:
        return [path]
    if not found:
        raise DataError(f"{path}: there are no data files ({', '.join(ENDINGS)})")
    return sorted(found)


def _check(
    file: Path,
    located: Sequence[Located],
    features: MediaFeatures,
    reader: Reader,
    tell: Callable[[str], None],
) -> Iterator[tuple[Located, str | None]]:
    """Makes the features of records' media; yields each record with why it cannot be learnt from, if so."""

    def progress(done: int, of: int) -> None:
        if done % 100 == 0 or done == of:
            tell(f"{file}: looked at {done} of {of} media")

    found = (medium for one in located if not one.missing for medium in one.record.media)
    reasons = features.make(found, progress)
    if reasons:
        tell(f"{file}: {len(reasons)} of its media cannot be read")
    for one in located:
        bad = [*one.missing, *(reasons[medium] for medium in one.record.media if medium in reasons)]
        yield one, bad[0] if bad else _too_long(one.record, features, reader)


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
    for problem in sorted(problems, key=lambda problem: (problem.path, problem.line)):
        tell(str(problem))
    if good == 0 or bad > max_bad_fraction * (bad + good):
        first = "; ".join(_told(problem, source.path) for problem in problems[:_MOST_TOLD])
        raise DataError(
            f"{source.path}: {bad} of {bad + good} rows are bad, max_bad_fraction is {max_bad_fraction:g} ({first}); "
            "see 'videollm data check'"
        )


def _told(problem: Problem, source: Path) -> str:
    """A problem with its line, and its file where the source has several."""
    file = "" if problem.path == source else f"{problem.path.name} "
    return f"{file}line {problem.line}: {problem.message}"
