"""The targets of ``tokens.py``, and the figures that they are judged by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tokens_measure import SUITES, Line
from tokens_ways import ADAPTIVE, CODES, FLOOR, FLOOR_3D, PUBLISHED, SKLEARN, WAYS

TIMED = ("noise", "photographs")
DATA = (*TIMED, "pocket")
CLEARLY = 0.9


class Figures:
    """All lines of all processes by case, way and data; memory joined to time."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._by_key: dict[tuple[str, str, str], Line] = {}
        for line in lines:
            self._by_key.setdefault((line["case"], line["way"], line["data"]), {}).update(line)

    def get(self, case: str, way: str, data: str, figure: str) -> Any:
        """One figure; ``None`` where it was not measured."""
        return self._by_key.get((case, way, data), {}).get(figure)

    def ratio(self, case: str, data: str, figure: str, way: str, other: str) -> float | None:
        """A way's figure divided by another's; ``None`` where one of them is missing."""
        return quotient(self.get(case, way, data, figure), self.get(case, other, data, figure))

    def ways(self, case: str) -> list[str]:
        """The ways measured in a case, in the order of the tables."""
        known = {way for measured, way, _ in self._by_key if measured == case}
        return [way.name for way in WAYS if way.name in known]

    @property
    def cases(self) -> list[tuple[str, str]]:
        """Suites and cases that were measured."""
        known = {case for case, _, _ in self._by_key}
        return [(name, case) for name, suite in SUITES.items() for case in suite.cases if case in known]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target and what came of it.

    Attributes:
        target: What is compared.
        way: The way it is about.
        case: The case.
        data: The features.
        got: The figure, from medians where it is one of time.
        least: The same from the least times; ``None`` where it is none of time.
        at_most: The target.
    """

    target: str
    way: str
    case: str
    data: str
    got: float
    least: float | None
    at_most: float

    def line(self) -> Line:
        """As a line of JSON."""
        return {
            "part": "targets",
            "target": self.target,
            "way": self.way,
            "case": self.case,
            "data": self.data,
            "got": round(self.got, 4),
            "got_least": None if self.least is None else round(self.least, 4),
            "at_most": self.at_most,
            "met": self.got <= self.at_most,
        }


def judged(figures: Figures) -> list[Line]:
    """All targets that the figures say something about."""
    found = [*_merging(figures), *_codebooks(figures), *_hours(figures)]
    return [verdict.line() for verdict in found]


def _merging(figures: Figures) -> Iterator[Verdict]:
    case = "100 frames"
    ours = [way.name for way in WAYS if way.ours and way.scope == "segments"]
    for way in ours:
        for data in TIMED:
            for floor in (FLOOR, FLOOR_3D):
                yield from _times(figures, f"time, of {floor}", case, data, way, floor, 1.4)
        for data in DATA:
            yield from _errors(figures, "error, of the published steps'", case, data, way, PUBLISHED, 1.0)
    for data in DATA[1:]:  # nothing resembles anything in noise
        ratios = {way: figures.ratio(case, data, "error", way, PUBLISHED) for way in ours}
        known = {way: ratio for way, ratio in ratios.items() if ratio is not None}
        if known:
            best = min(known, key=known.__getitem__)
            target = "a variant's error clearly lower than the published steps'"
            yield Verdict(target, best, case, data, known[best], None, CLEARLY)


def _codebooks(figures: Figures) -> Iterator[Verdict]:
    case = "23,328 patches"
    for data in TIMED:
        yield from _times(figures, f"time, of {SKLEARN}", case, data, CODES, SKLEARN, 0.5)
    for data in DATA:
        yield from _errors(figures, f"error, of {SKLEARN}'s", case, data, CODES, SKLEARN, 1.0)
    for suite, any_case in figures.cases:
        for data in TIMED if suite != "frames" else ():
            yield from _times(figures, f"time, of {CODES}", any_case, data, ADAPTIVE, CODES, 3.0)


def _hours(figures: Figures) -> Iterator[Verdict]:
    long, short = "180 min, float16", "10 min, float16"
    segments = SUITES["hours"].cases
    for way in (way.name for way in WAYS if way.ours):
        peak = figures.get(long, way, "noise", "peak_mib")
        if peak is not None:
            yield Verdict("GiB above the input", way, long, "noise", peak / 2**10, None, 1.5)
        medians, least = (
            quotient(figures.get(long, way, "noise", figure), figures.get(short, way, "noise", figure))
            for figure in ("ms_median", "ms_min")
        )
        if medians is not None and least is not None:
            scale = segments[short] / segments[long]
            target = "time of a segment, of that in 10 min"
            yield Verdict(target, way, long, "noise", medians * scale, least * scale, 1.3)


def _times(
    figures: Figures, target: str, case: str, data: str, way: str, other: str, at_most: float
) -> Iterator[Verdict]:
    medians, least = (figures.ratio(case, data, name, way, other) for name in ("ms_median", "ms_min"))
    if medians is not None:
        yield Verdict(target, way, case, data, medians, least, at_most)


def _errors(
    figures: Figures, target: str, case: str, data: str, way: str, other: str, at_most: float
) -> Iterator[Verdict]:
    ratio = figures.ratio(case, data, "error", way, other)
    if ratio is not None:
        yield Verdict(target, way, case, data, ratio, None, at_most)


def quotient(value: float | None, other: float | None) -> float | None:
    return value / other if value is not None and other else None
