"""A whole job: many files described into an output directory, so that nothing can interrupt it for good.

    from videollm import describe_files, load_model
    from videollm.describe.sources import find_sources

    tally = describe_files(load_model("pocket"), find_sources(["videos/"]), "out", formats=["srt"])

What was done lies in the ledger the moment it is done; ``resume`` goes on from there, tries again what failed, and
describes anew what was made by another model, with other settings or of a file that has changed since.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import OutputError
from ..model.modeling import VideoLLM
from .batch import BATCH, Outcome
from .engines import Engine, LocalEngine
from .ledger import Ledger
from .output_directory import finish, preparing
from .outputs import check_formats, remember_formats, write_collections, write_files
from .rows import Row, Source
from .settings import DescribeOptions
from .shards import Shard, check_shard
from .tally import Tally
from .todo import ToDo


def describe_files(
    model: VideoLLM | Engine,
    sources: Sequence[Source],
    out: str | os.PathLike[str],
    options: DescribeOptions | None = None,
    *,
    formats: Iterable[str] = (),
    resume: bool = False,
    retry: bool = False,
    overwrite: bool = False,
    shard: Shard | None = None,
    batch_size: int = BATCH,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Describes files into an output directory.

    Args:
        model: A model of :func:`~videollm.checkpoints.load_model`, or another engine.
        sources: What is described, see :func:`~videollm.describe.sources.find_sources`.
        out: The output directory.
        options: How it is described.
        formats: Which files are written besides ``descriptions.jsonl``, see ``outputs.FORMATS``; those that were
            asked for before in ``out`` are written too.
        resume: Go on with what is in ``out``.
        retry: The same, and try again what was set aside.
        overwrite: Begin anew; what an earlier job left in ``out`` is removed.
        shard: Which part of the job this is, ``(i, n)`` with i from 1: the parts are told apart by what the files
            hold, so that they stay the same whatever is named in which order.
        batch_size: Questions that are answered together.
        should_stop: Asked between batches; once it says yes the job ends, and ``resume`` goes on.
        progress: Told how far the job is.

    Returns:
        How far it got.

    Raises:
        ConfigError: ``out`` is not empty and it was not said what to do about it, another program holds it, or the
            model cannot do what is wished for.
        DataError: What is in ``out`` is not a job of this program.
        OutputError: The results cannot be written; what was done is kept.
    """
    directory, options = Path(out), options or DescribeOptions()
    asked = check_formats(formats)
    check_shard(shard)
    engine: Engine = LocalEngine(model) if isinstance(model, VideoLLM) else model
    engine.check(options)
    with preparing(directory, resume=resume or retry, overwrite=overwrite) as ledger:
        wanted = remember_formats(ledger, asked)
        unnamed = ledger.name_sources(sources)
        if retry:
            ledger.forgive()
        ledger.set_fact("shard", "" if shard is None else f"{shard[0]}/{shard[1]}")
        run = _Run(ledger, directory, wanted, options, Tally(len(sources), unnamed=unnamed), progress)
        return finish(ledger, directory, wanted, run.describe(engine, shard, batch_size, should_stop))


class _Run:
    """One run of a job."""

    def __init__(
        self,
        ledger: Ledger,
        directory: Path,
        formats: Sequence[str],
        options: DescribeOptions,
        tally: Tally,
        progress: Callable[[Tally], None],
    ) -> None:
        self._ledger, self._directory = ledger, directory
        self._formats, self._options = formats, options
        self._written = ",".join(formats)
        self._tally, self._progress = tally, progress
        self._began = time.perf_counter()

    def describe(
        self, engine: Engine, shard: Shard | None, batch_size: int, should_stop: Callable[[], bool]
    ) -> Tally:
        """Describes what is left to do; returns what was done."""
        # Rows of what is tried again are added when it is done: no file stands twice while the job runs either.
        write_collections(self._ledger.settled, ("jsonl",), self._directory)
        self._todo = ToDo(
            self._ledger, self._options, engine.fingerprint(self._options), shard, self._settle_copy
        )
        self._tally = replace(self._tally, outdated=self._todo.outdated())
        self._progress(self._tally)
        try:
            self._take(engine, self._todo, batch_size, should_stop)
            for source in self._todo.alone:
                self._take(engine, [source], 1, should_stop)
        except (KeyboardInterrupt, OutputError, OSError):
            self._ledger.rest()  # it is not their fault
            raise
        self._ledger.rest()
        elapsed_s = time.perf_counter() - self._began
        return replace(self._tally, skipped=self._todo.skipped, aside=self._todo.aside, elapsed_s=elapsed_s)

    def _take(
        self,
        engine: Engine,
        sources: Iterable[Source],
        batch_size: int,
        should_stop: Callable[[], bool],
    ) -> None:
        outcomes = engine.describe(
            sources,
            self._options,
            batch_size=batch_size,
            should_stop=should_stop,
            at_work=self._ledger.run,
        )
        for outcome in outcomes:
            rows = self._todo.finished(self._row(outcome))
            self._settle(rows)
            failed = len(rows) if outcome.error else 0
            self._count(
                described=0 if failed else 1,
                copied=0 if failed else len(rows) - 1,
                failed=failed,
                video_s=outcome.end_s - outcome.start_s,
            )

    def _row(self, outcome: Outcome) -> Row:
        source = outcome.source
        row = Row(
            source,
            self._todo.content_of(source),
            self._todo.fingerprint_of(source),
            duration_s=outcome.info.duration_s if outcome.info else 0.0,
            seconds=round(outcome.seconds, 3),
            error=outcome.error,
        )
        found = outcome.description
        if found is None:
            return row
        plan = {"start_s": outcome.start_s, "end_s": outcome.end_s, "frames": found.usage.frames}
        return replace(
            row,
            plan=plan,
            summary=found.summary,
            events=found.events,
            usage=found.usage,
            notices=found.notices,
        )

    def _settle_copy(self, row: Row) -> None:
        """Takes a row for which the model was not asked."""
        self._settle([row])
        failed = int(row.error is not None)
        self._count(copied=1 - failed, failed=failed)

    def _settle(self, rows: Sequence[Row]) -> None:
        for row in rows:
            write_files(row, self._formats, self._directory)
        self._ledger.settle(rows, self._written)
        with (self._directory / "descriptions.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(row.to_json() + "\n" for row in rows)

    def _count(self, *, described: int = 0, copied: int = 0, failed: int = 0, video_s: float = 0.0) -> None:
        one = self._tally
        self._tally = replace(
            one,
            described=one.described + described,
            copied=one.copied + copied,
            failed=one.failed + failed,
            skipped=self._todo.skipped,
            aside=self._todo.aside,
            video_s=one.video_s + video_s,
            elapsed_s=time.perf_counter() - self._began,
        )
        self._progress(self._tally)
