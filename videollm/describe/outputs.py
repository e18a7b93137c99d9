"""Rows as the files that people and other programs want: JSON lines, subtitles, Markdown, a table, a contact sheet."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from ..errors import ConfigError
from .atomic import replacing
from .rows import Row
from .sheet import write_sheet
from .subtitle_files import one_line, srt, time_range, vtt, window

Rows: TypeAlias = Callable[[], Iterator[Row]]

FORMATS: tuple[str, ...] = ("jsonl", "srt", "vtt", "md", "csv", "activitynet", "html")

# What Markdown takes for more than itself anywhere in a line, and only where a line begins.
_SPECIAL = re.compile(r"[\\`*_\[\]<>&|~$#]")
_SPECIAL_FIRST = re.compile(r"^(?:[-+=]|[0-9]+(?=[.)]))")


def check_formats(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the formats in the order of ``FORMATS``, each once, and JSON lines always with them.

    Raises:
        ConfigError: One of them is not known.
    """
    wanted = {"jsonl", *names}
    for name in sorted(wanted.difference(FORMATS)):
        raise ConfigError(f"unknown output format {name!r}; choose from {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in wanted)


def write_files(row: Row, formats: Collection[str], out: Path) -> None:
    """Writes what there is one of for each source: ``srt/<name>.srt``, ``vtt/<name>.vtt`` and ``md/<name>.md``.

    A row with an error has none, and one without texts has no subtitles; what an earlier description left is removed.

    Args:
        row: What came of the source.
        formats: What is wanted; formats of the whole job are passed over.
        out: Folder of the job.

    Raises:
        OSError: A file cannot be written; the old one is still there.
    """
    for name, write in _OF_A_SOURCE.items():
        if name not in formats:
            continue
        path = out / name / f"{row.source.name}.{name}"
        text = write(row) if row.error is None else ""
        if text:
            with replacing(path) as file:
                file.write(text)
        else:
            path.unlink(missing_ok=True)


def write_collections(rows: Rows, formats: Collection[str], out: Path) -> None:
    """Writes what there is one of for a job: ``descriptions.jsonl``, ``.csv``, ``activitynet.json``, ``index.html``.

    Args:
        rows: Gives all rows from the first; called for each format, so that none has to hold them.
        formats: What is wanted; formats of single sources are passed over.
        out: Folder of the job.

    Raises:
        OSError: A file cannot be written; the old one is still there.
    """
    for name, write in _OF_A_JOB.items():
        if name in formats:
            write(rows, out)


def remove_outputs(out: Path) -> None:
    """Removes what these functions write, whatever the formats; what else there is stays.

    Raises:
        OSError: Something cannot be removed.
    """
    for pattern in (
        "descriptions.jsonl",
        "descriptions.csv",
        "activitynet.json",
        "index.html",
        "page-*.html",
    ):
        for path in out.glob(pattern):
            path.unlink()
    for folder in (*_OF_A_SOURCE, "thumbnails"):
        if (out / folder).is_dir():
            shutil.rmtree(out / folder)


def _write_jsonl(rows: Rows, out: Path) -> None:
    with replacing(out / "descriptions.jsonl") as file:
        file.writelines(f"{row.to_json()}\n" for row in rows())


def _write_csv(rows: Rows, out: Path) -> None:
    """A line for each event; a row that failed has one line, with its error."""
    with replacing(out / "descriptions.csv") as file:
        table = csv.writer(file)
        table.writerow(("path", "start_s", "end_s", "text", "error"))
        for row in rows():
            path = str(row.source.path)
            if row.error is not None:
                table.writerow((path, "", "", "", row.error.message))
            table.writerows((path, event.start_s, event.end_s, event.text, "") for event in row.events)


def _write_activitynet(rows: Rows, out: Path) -> None:
    """ActivityNet-Captions (Krishna et al. 2017): one object, with an entry for each video under its name."""
    with replacing(out / "activitynet.json") as file:
        separator = "{\n"
        for row in rows():
            if row.error is not None:
                continue
            entry = {
                "duration": row.duration_s,
                "timestamps": [[event.start_s, event.end_s] for event in row.events],
                "sentences": [event.text for event in row.events],
            }
            name, value = (json.dumps(part, ensure_ascii=False) for part in (row.source.name, entry))
            file.write(f"{separator}{name}: {value}")
            separator = ",\n"
        file.write("{}\n" if separator == "{\n" else "\n}\n")


def _markdown(row: Row) -> str:
    """Returns a description as a page of its own."""
    summary = [_plain(paragraph) for paragraph in re.split(r"\n\s*\n", row.summary) if one_line(paragraph)]
    events = "\n".join(
        f"- **{time_range(event.start_s, event.end_s)}** {_plain(event.text)}" for event in row.events
    )
    notices = [f"> {_plain(notice)}" for notice in row.notices]
    title = " ".join(filter(None, (row.source.path.name, window(row.source))))
    parts = [f"# {_plain(title)}", *summary, events, *notices]
    return "\n\n".join(filter(None, parts)) + "\n"


def _plain(text: str) -> str:
    """Returns a text on one line such that Markdown shows it as it is."""
    escaped = _SPECIAL.sub(r"\\\g<0>", one_line(text))
    return _SPECIAL_FIRST.sub(lambda first: _escape_first(first[0]), escaped)


def _escape_first(mark: str) -> str:
    # Only punctuation can be escaped: of "1." that is the point, which follows the number.
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


_OF_A_SOURCE: dict[str, Callable[[Row], str]] = {
    "srt": lambda row: srt(row.events),
    "vtt": lambda row: vtt(row.events),
    "md": _markdown,
}
_OF_A_JOB: dict[str, Callable[[Rows, Path], None]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "activitynet": _write_activitynet,
    "html": write_sheet,
}
