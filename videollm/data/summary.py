"""The figures of an audit, for people and for machines."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .audit import Audit

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
            {"line": problem.line, "severity": problem.severity, "message": problem.message}
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


def as_text(audit: Audit) -> str:
    """Returns what was found, for the shell: figures first, then the problems."""
    found = figures(audit)
    tokens = found["tokens"]
    lines = [
        f"{found['file']}, as {found['model']} reads it",
        f"  records        {found['records']}  ({_listed(found['formats'])})",
        f"  bad rows       {found['bad_rows']}  ({audit.bad_fraction:.1%})",
        f"  kinds          {_listed(found['kinds'])}",
        f"  media          {found['videos']} videos, {found['images']} images",
        f"  video seconds  {_spread(found['video_seconds'])}",
        f"  answers        {_spread(found['answers_learnt'])}  a record, to be learnt",
        f"  tokens         {_spread(tokens['conversation'])}  a record; the context is {tokens['context']}",
        f"    visual       {_spread(tokens['visual'])}",
        f"    learnt       {_spread(tokens['learnt'])}",
        f"  problems       {found['errors']} errors, {found['warnings']} warnings",
        *(f"  {problem}" for problem in audit.problems[:_MOST_SHOWN]),
    ]
    if len(audit.problems) > _MOST_SHOWN:
        lines.append(f"  and {len(audit.problems) - _MOST_SHOWN} more; --json lists all")
    return "\n".join(lines)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _spread(values: dict[str, float]) -> str:
    if not values:
        return "none"
    return f"{values['sum']:g} in all, {values['least']:g} to {values['most']:g}, median {values['median']:g}"
