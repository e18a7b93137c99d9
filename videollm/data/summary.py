"""The figures of an audit, for people and for machines."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .audit import Audit
from .problems import Problem, counted

_MOST_SHOWN = 50


def figures(audit: Audit) -> dict[str, Any]:
    """Returns everything that was found, as plain JSON types; times in seconds."""
    plans = audit.plans
    used = {medium for located in audit.records for medium in located.record.media}
    videos = [plans[medium].end_s - plans[medium].start_s for medium in used if plans[medium].kind == "video"]
    counts = Counter(problem.severity for problem in audit.problems)
    kinds = Counter(located.record.kind or "none" for located in audit.records)
    answers = [sum(turn.learnt for turn in located.record.messages) for located in audit.records]
    return {
        "file": str(audit.path),
        "model": audit.model,
        "records": len(audit.records),
        "bad_rows": audit.bad,
        "bad_fraction": round(audit.bad_fraction, 4),
        "errors": counts["error"],
        "warnings": counts["warning"],
        "formats": dict(audit.formats),
        "kinds": dict(kinds.most_common()),
        "videos": len(videos),
        "images": len(used) - len(videos),
        "video_seconds": spread(videos),
        "answers_learnt": spread(answers),
        "tokens": {
            "context": audit.context,
            "conversation": spread([length.total for length in audit.lengths]),
            "visual": spread([length.visual for length in audit.lengths]),
            "learnt": spread([length.learnt for length in audit.lengths]),
        },
        "problems": [
            {
                "line": problem.line,
                "row": problem.row,
                "severity": problem.severity,
                "message": problem.message,
            }
            for problem in audit.problems
        ],
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns sum, least, median and most of some numbers; empty for none."""
    if not values:
        return {}
    return {
        "sum": round(sum(values), 3),
        "least": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "most": round(max(values), 3),
    }


def table(audit: Audit) -> list[tuple[str, str]]:
    """Returns the figures for people, each with what it is called."""
    found = figures(audit)
    tokens = found["tokens"]
    return [
        ("records", f"{found['records']}  ({_listed(found['formats'])})"),
        ("bad rows", f"{found['bad_rows']}  ({audit.bad_fraction:.1%})"),
        ("kinds", _listed(found["kinds"])),
        ("media", f"{counted(found['videos'], 'video')}, {counted(found['images'], 'image')}"),
        ("video seconds", _spread(found["video_seconds"])),
        ("answers", f"{_spread(found['answers_learnt'])} (of a record, to be learnt)"),
        ("tokens", f"{_spread(tokens['conversation'])} (of a record; the context is {tokens['context']})"),
        ("visual tokens", _spread(tokens["visual"])),
        ("learnt tokens", _spread(tokens["learnt"])),
        ("problems", f"{counted(found['errors'], 'error')}, {counted(found['warnings'], 'warning')}"),
    ]


def as_text(audit: Audit) -> str:
    """Returns what was found, for the shell: figures first, then the problems."""
    lines = [f"{audit.path}, as {audit.model} reads it"]
    lines += [f"  {name:<14} {value}" for name, value in table(audit)]
    lines += [f"  {problem}" for problem in worst(audit.problems, _MOST_SHOWN)]
    if len(audit.problems) > _MOST_SHOWN:
        lines.append(f"  and {len(audit.problems) - _MOST_SHOWN} more; --json lists all")
    return "\n".join(lines)


def worst(problems: Sequence[Problem], most: int) -> list[Problem]:
    """Returns at most so many problems in their order, warnings only as far as the errors leave room."""
    errors = [problem for problem in problems if problem.severity == "error"]
    room = max(0, most - len(errors))
    warnings = [problem for problem in problems if problem.severity == "warning"]
    chosen = {id(problem) for problem in (*errors[:most], *warnings[:room])}
    return [problem for problem in problems if id(problem) in chosen]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _spread(values: dict[str, float]) -> str:
    if not values:
        return "none"
    return f"{values['sum']:g} in all, {values['least']:g} to {values['most']:g}, median {values['median']:g}"
