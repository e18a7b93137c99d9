"""Shards of a job, described on several machines, joined into one directory."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ..errors import ConfigError
from .holding import holding
from .ledger import NAME as LEDGER
from .ledger import Ledger
from .output_directory import finish, preparing
from .outputs import check_formats, remember_formats
from .rows import Record
from .tally import Tally

_GOOD = ("done", "aside", "failed", "waiting", "running")


def join_jobs(
    directories: Sequence[Path], out: Path, *, formats: Iterable[str] = (), overwrite: bool = False
) -> Tally:
    """Joins output directories of shards; those stay as they are.

    Where two of them know a source, the better row is taken: a description before an error.

    Args:
        directories: Output directories, of shards or of whole jobs.
        out: Where the joined job goes, which may be gone on with like any other.
        formats: Which files are written besides ``descriptions.jsonl``.
        overwrite: Replace what is in ``out``.

    Returns:
        How far the joined job is.

    Raises:
        ConfigError: A directory holds no job, or is in use; a shard is missing; ``out`` is not empty.
        OutputError: The result cannot be written.
    """
    asked = check_formats(formats)
    _check(directories, out)
    with ExitStack() as held:
        for directory in directories:
            held.enter_context(holding(directory))
        ledgers = [Ledger(directory) for directory in directories]
        for ledger in ledgers:
            held.callback(ledger.close)
        _check_shards(directories, ledgers)
        joined = held.enter_context(preparing(out, resume=False, overwrite=overwrite))
        joined.take(_without_collisions(_merged(ledgers)))
        tally = finish(joined, out, remember_formats(joined, asked), Tally(0))
        return replace(tally, skipped=tally.files - tally.bad - tally.left)


def _check(directories: Collection[Path], out: Path) -> None:
    for directory in directories:
        if not (directory / LEDGER).is_file():
            raise ConfigError(f"{directory} is not the output of 'videollm describe': it has no {LEDGER}")
        if out.resolve() == directory.resolve():
            raise ConfigError(f"--out {out} is one of the directories that are joined: choose another")
    if len({directory.resolve() for directory in directories}) < len(directories):
        raise ConfigError("a directory is named twice: name each shard once")


def _check_shards(directories: Sequence[Path], ledgers: Sequence[Ledger]) -> None:
    """Refuses shards of different numbers, and a set of them that is not whole."""
    shards = {
        directory: shard
        for directory, ledger in zip(directories, ledgers, strict=True)
        if (shard := ledger.fact("shard"))
    }
    counts = {int(shard.partition("/")[2]) for shard in shards.values()}
    if len(counts) > 1:
        told = ", ".join(f"{directory} is {shard}" for directory, shard in shards.items())
        raise ConfigError(f"these are shards of different jobs: {told}")
    needed = [f"{number}/{count}" for count in counts for number in range(1, count + 1)]
    missing = [shard for shard in needed if shard not in shards.values()]
    if missing:
        raise ConfigError(f"of the shards {', '.join(missing)} are missing: name their directories too")


def _merged(ledgers: Iterable[Ledger]) -> list[Record]:
    """What the ledgers know, in the order of the sources, each once."""
    best: dict[str, Record] = {}
    for ledger in ledgers:
        for record in ledger.records():
            known = best.get(record.key)
            if known is None or _GOOD.index(record.state) < _GOOD.index(known.state):
                best[record.key] = record
    return sorted(best.values(), key=lambda record: record.position)


def _without_collisions(records: Iterable[Record]) -> Iterator[Record]:
    """Lets files about sources of different jobs that are called the same have different names."""
    taken: set[str] = set()
    for record in records:
        name = record.source.name
        if name.casefold() in taken:
            digest = hashlib.blake2b(record.key.encode(), digest_size=8).hexdigest()
            record = record.renamed(f"{name}-{digest}")
        taken.add(record.source.name.casefold())
        yield record
