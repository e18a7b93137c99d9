"""Rows as the files that people and other programs want: JSON lines, subtitles, Markdown, a table, a contact sheet."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from ..errors import ConfigError
from .atomic import remove_partial, replacing
from .ledger import Ledger
from .rows import Row
from .sheet import write_sheet
from .subtitle_files import one_line, srt, time_range, vtt, window

Rows: TypeAlias = Callable[[], Iterator[Row]]

FORMATS: tuple[str, ...] = ("jsonl", "srt", "vtt", "md", "csv", "activitynet", "html")

_CSV_COLUMNS = ("path", "duration_s", "summary", "start_s", "end_s", "text", "same_as", "error")

# What Markdown takes for more than itself anywhere in a line, where a block begins, and where a heading ends.
_SPECIAL = re.compile(r"[\\`*\[\]<>&|~$]|(?<![^\W_])_|_(?![^\W_])")
_SPECIAL_FIRST = re.compile(r"^(?:[-+=#]|[0-9]+(?=[.)]))")
_SPECIAL_LAST = re.compile(r"#$")


def check_formats(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the formats in the order of ``FORMATS``, each once, and JSON lines always with them.

    Raises:
        ConfigError: One of them is not known.
    """
    wanted = {"jsonl", *names}
    for name in sorted(wanted.difference(FORMATS)):
        raise ConfigError(f"unknown output format {name!r}; choose from {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in wanted)


def remember_formats(ledger: Ledger, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the formats that are wanted now or were in earlier runs on a directory, and notes them for later ones.

    None of them is left behind: what was not written any more would tell something else than the others.

    Raises:
        ConfigError: One of them is not known.
    """
    before = filter(None, (ledger.fact("formats") or "").split(","))
    wanted = check_formats([*names, *before])
    ledger.set_fact("formats", ",".join(wanted))
    return wanted


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
    row = row.rounded()
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


def remove_files(name: str, out: Path) -> None:
    """Removes what :func:`write_files` wrote of a source that was called so, and folders that are empty then.

    Raises:
        OSError: Something cannot be removed.
    """
    for format in _OF_A_SOURCE:
        path = out / format / f"{name}.{format}"
        with suppress(FileNotFoundError, NotADirectoryError):  # another name may be that of its folder by now
            path.unlink()
        with suppress(OSError):
            for folder in path.relative_to(out).parents[:-1]:
                (out / folder).rmdir()


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
            write(lambda: (row.rounded() for row in rows()), out)


def remove_partial_outputs(out: Path) -> None:
    """Removes what a killed program left of these files; nobody else may be writing them.

    Raises:
        OSError: Something cannot be removed.
    """
    remove_partial(out.iterdir())
    for folder in (*_OF_A_SOURCE, "thumbnails"):
        remove_partial((out / folder).rglob(".*.part"))


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
    """A line for each event, with what all of them share; a row without events has one line."""
    with replacing(out / "descriptions.csv") as file:
        table = csv.writer(file)
        table.writerow(_CSV_COLUMNS)
        for row in rows():
            first = (str(row.source.path), row.duration_s or "", row.summary)
            last = (row.same_as or "", row.error.message if row.error else "")
            texts: list[tuple[object, ...]] = [
                (event.start_s, event.end_s, event.text) for event in row.events
            ] or [("", "", "")]
            table.writerows((*first, *text, *last) for text in texts)


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
        f"- **{time_range(event.start_s, event.end_s)}** {_escaped(event.text)}" for event in row.events
    )
    notices = [f"> {_plain(notice)}" for notice in row.notices]
    title = _escaped(" ".join(filter(None, (row.source.path.name, window(row)))))
    title = _SPECIAL_LAST.sub(r"\\#", title)  # it would close the heading
    parts = [f"# {title}", *summary, events, *notices]
    return "\n\n".join(filter(None, parts)) + "\n"


def _plain(text: str) -> str:
    """Returns a text on one line such that Markdown shows it as it is where a block begins."""
    return _SPECIAL_FIRST.sub(lambda first: _escape_first(first[0]), _escaped(text))


def _escaped(text: str) -> str:
    """Returns a text on one line such that Markdown shows it as it is within a block."""
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))


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
