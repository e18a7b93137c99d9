"""A test of one's own: every record of a data file asked of a model, seeing and, if wanted, blind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..answering import BATCH
from ..data.records import Record
from ..model.identity import weights_hash
from ..model.modeling import VideoLLM
from .asked_file import AskedFile, read_asked
from .record_asking import TOGETHER, Encode, RecordAsker, media_reader, other_media
from .record_presentation import write_record_report
from .record_report import RecordReport, summarise_records
from .record_rows import RecordRow, placed
from .rows import RowFile

Progress = Callable[[str], None]


def evaluate_records(
    model: VideoLLM,
    path: Path,
    *,
    format: str | None = None,
    media: Sequence[Path] = (),
    max_bad_fraction: float = 0.0,
    progress: Progress = lambda line: None,
    **options: Any,
) -> RecordReport:
    """Asks a model the last question of every record of a file and scores the answers; see :func:`evaluate_asked`.

    Args:
        model: A model with its processor, in evaluation mode.
        path: A data file of any known format.
        format: Name of its rows' format; found out if ``None``.
        media: Directories to look for media in, before the file's own.
        max_bad_fraction: Share of the rows that may be bad; they are left out, and listed in the report.
        progress: Told in a line what is going on, and what is wrong with bad rows.
        options: Of :func:`evaluate_asked`.

    Raises:
        ConfigError: ``out_dir`` is not empty and neither ``resume`` nor ``overwrite`` is given, or was begun with other
            settings; there is no format of that name.
        DataError: The file is missing, or more of its rows are bad.
    """
    asked = read_asked(path, format=format, media=media, max_bad_fraction=max_bad_fraction, tell=progress)
    return evaluate_asked(model, asked, progress=progress, **options)


def evaluate_asked(
    model: VideoLLM,
    asked: AskedFile,
    *,
    out_dir: Path | None = None,
    blind: bool = False,
    max_visual_tokens: int | None = None,
    max_new_tokens: int = 256,
    batch_size: int = BATCH,
    resume: bool = False,
    overwrite: bool = False,
    name: str = "",
    progress: Progress = lambda line: None,
) -> RecordReport:
    """Asks a model the last question of every record and scores the answers.

    Where a record has options the likeliest is the answer; otherwise the likeliest token is taken each time. A record
    whose media cannot be read counts as answered wrongly.

    Args:
        model: A model with its processor, in evaluation mode.
        asked: The records.
        out_dir: Where ``rows.jsonl``, ``report.json`` and ``report.md`` go; ``None`` for nowhere.
        blind: Whether each question is asked of another record's media too.
        max_visual_tokens: Most visual tokens of a video; ``None`` for the checkpoint's own setting.
        max_new_tokens: Most tokens of an answer.
        batch_size: Questions answered together.
        resume: Go on from the rows in ``out_dir``.
        overwrite: Replace what is in ``out_dir``.
        name: What the model is called in the report.
        progress: Told in a line what is going on.

    Raises:
        ConfigError: ``out_dir`` is not empty and neither ``resume`` nor ``overwrite`` is given, or was begun with other
            settings.
    """
    records = asked.records
    settings = {
        "model": name,
        "weights": weights_hash(model),
        "file": asked.path.name,
        "records": asked.fingerprint(),
        "blind": blind,
        "max_visual_tokens": max_visual_tokens,
        "max_new_tokens": max_new_tokens,
    }
    store = (
        None if out_dir is None else RowFile(RecordRow, out_dir, settings, resume=resume, overwrite=overwrite)
    )
    rows = [] if store is None else _rows_before(store, asked)
    done = {row.index for row in rows}
    progress(f"{len(records)} records, {len(done)} answered before")
    others = other_media(records) if blind else {}
    asker = RecordAsker(model, media_reader(model, max_visual_tokens), max_new_tokens, batch_size)
    waiting = [index for index in range(len(records)) if index not in done]
    for start in range(0, len(waiting), TOGETHER):
        for answered in asker.rows(records, waiting[start : start + TOGETHER], others):
            row = placed(answered, asked.located[answered.index])
            rows.append(row)
            if store is not None:
                store.append(row)
        progress(f"answered {len(rows)} of {len(records)}")
    rows.sort(key=lambda row: row.index)
    unreadable = [
        asked.located[row.index].problem(asked.path, row.problem) for row in rows if row.problem is not None
    ]
    report = summarise_records(rows, settings, unreadable=unreadable, left_out=asked.left_out)
    if out_dir is not None:
        write_record_report(report, out_dir)
    return report


def _rows_before(store: RowFile[RecordRow], asked: AskedFile) -> list[RecordRow]:
    """The rows of an interrupted run; those of an earlier version as this one writes them."""
    found = store.read()
    rows = [placed(row, asked.located[row.index]) for row in found]
    if any(row.line is None for row in found):
        store.replace(rows)
    return rows


def read_test(path: Path, *, format: str | None = None, media: Sequence[Path] = ()) -> list[Record]:
    """Returns the records of a data file all of which can be asked.

    Args:
        path: A data file of any known format.
        format: Name of its rows' format; found out if ``None``.
        media: Directories to look for media in, before the file's own.

    Raises:
        ConfigError: There is no format of that name.
        DataError: The file is missing or empty, or a row of it is broken.
    """
    return [located.record for located in read_asked(path, format=format, media=media).located]


def ask_records(
    model: VideoLLM,
    records: Sequence[Record],
    *,
    max_new_tokens: int = 256,
    batch_size: int = BATCH,
    encode: Encode | None = None,
) -> list[RecordRow]:
    """Asks a model the last question of each record, as :func:`evaluate_records` does, and leaves no files.

    Args:
        model: A model with its processor, in evaluation mode.
        records: The records.
        max_new_tokens: Most tokens of an answer.
        batch_size: Questions answered together.
        encode: Encodes a medium instead of the model.
    """
    asker = RecordAsker(model, encode or media_reader(model, None), max_new_tokens, batch_size)
    places = range(len(records))
    parts = (places[start : start + TOGETHER] for start in range(0, len(records), TOGETHER))
    return [row for part in parts for row in asker.rows(records, part, {})]
