"""What two models answered to each record, side by side, as one HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..clock import format_time
from .record_report import RecordReport
from .record_rows import RecordRow

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 0 auto; padding: 0 1rem 3rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8884; }
th { white-space: nowrap; } td { white-space: pre-line; overflow-wrap: anywhere; min-width: 3.5rem; }
td:first-child { min-width: 0; }
b { display: block; font-size: .8rem; }
.right b { color: light-dark(#2e7d32, #81c784); } .wrong b { color: light-dark(#c62828, #ef9a9a); }
"""
# What one looks for first stands first.
_GROUPS = (
    ("Only tuned is right", True, False),
    ("Only base is right", False, True),
    ("Both are wrong", False, False),
    ("Both are right", True, True),
)
_Pair = tuple[RecordRow, RecordRow]


def comparison_page(tuned: RecordReport, base: RecordReport, directory: Path) -> str:
    """Returns the page: question, media, expected answer and both models' answers of each record.

    Args:
        tuned: The answers of one model.
        base: Those of the other, to the same records.
        directory: Where the page will lie; links to media start there.
    """
    pairs = list(zip(tuned.rows, base.rows, strict=True))
    title = escape(f"Answers to {tuned.settings['file']}")
    groups = (
        _group(
            said,
            [(ours, theirs) for ours, theirs in pairs if (ours.right, theirs.right) == (is_ours, is_theirs)],
            directory,
        )
        for said, is_ours, is_theirs in _GROUPS
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>tuned: {escape(tuned.settings['model'])}<br>base: {escape(base.settings['model'])}</p>"
        f"{''.join(groups)}</html>\n"
    )


def _group(said: str, pairs: Sequence[_Pair], directory: Path) -> str:
    if not pairs:
        return f"<h2>{said}: 0</h2>"
    head = "".join(
        f"<th>{name}</th>"
        for name in ("Line", "Id", "Kind", "Media", "Question", "Expected", "Base", "Tuned")
    )
    rows = "".join(_row(tuned, base, directory) for tuned, base in pairs)
    return f"<h2>{said}: {len(pairs)}</h2><table><tr>{head}</tr>{rows}</table>"


def _row(tuned: RecordRow, base: RecordRow, directory: Path) -> str:
    media = "\n".join(_medium(medium, directory) for medium in tuned.media)
    return (
        f"<tr><td>{tuned.line}</td><td>{escape(tuned.id)}</td><td>{escape(tuned.kind)}</td><td>{media}</td>"
        f"<td>{escape(tuned.question)}</td><td>{escape(tuned.expected)}</td>{_answer(base)}{_answer(tuned)}</tr>"
    )


def _medium(medium: dict[str, Any], directory: Path) -> str:
    """A link to a file, and the stretch of it that counts."""
    path, start_s, end_s = medium["path"], medium.get("start_s"), medium.get("end_s")
    # Quoted, a path is a path, whatever scheme or markup it looks like.
    link = f'<a href="{quote(os.path.relpath(path, directory))}">{escape(Path(path).name)}</a>'
    if start_s is None and end_s is None:
        return link
    end = "end" if end_s is None else format_time(end_s, decimals=1)
    return f"{link} {format_time(start_s or 0.0, decimals=1)} to {end}"


def _answer(row: RecordRow) -> str:
    verdict = "right" if row.right else "wrong"
    got = row.got if row.problem is None else f"not asked: {row.problem}"
    return f'<td class="{verdict}"><b>{verdict}</b>{escape(got)}</td>'
