"""What do the ways of compressing a video's patches cost, and how much do they lose?

    python benchmarks/tokens.py [--quick] [--cases frames,codes,minutes,hours] [--out benchmarks/results]

Milliseconds, peak memory above the input and reconstruction error of mean-pooling, of the published merging steps, of
scikit-learn's MiniBatchKMeans and of the library's ways: 100 frames to 305 tokens, 23,328 patches to 32 codes, and 1,
10, 60 and 180 minutes at 1 frame/s. All ways are timed in turn in one process; memory is measured in one for each.

It wants an idle machine, 12 GB of memory (``hours``), ``pip install -e '.[bench]'`` and about 25 minutes; ``--quick``
takes two or three: few rounds, nothing longer than a minute, no memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokens_measure import SUITES, THREADS, Line
from tokens_report import machine, report
from tokens_targets import Figures, judged

# Rounds by case and features; in the quick run, what is not named is left out.
ROUNDS = {
    "noise": {
        "100 frames": 7,
        "23,328 patches": 5,
        "1 min": 5,
        "10 min": 3,
        "1 min, float16": 3,
        "10 min, float16": 3,
        "60 min, float16": 1,
        "180 min, float16": 1,
    },
    "photographs": {"100 frames": 5, "23,328 patches": 3, "1 min": 3, "10 min": 2},
    # For its errors only.
    "pocket": {"100 frames": 1, "23,328 patches": 1, "1 min": 1, "10 min": 1},
}
QUICK_ROUNDS = {
    "noise": {"100 frames": 2, "23,328 patches": 2, "1 min": 1},
    "photographs": {"100 frames": 1, "23,328 patches": 1},
    "pocket": {"100 frames": 1, "23,328 patches": 1},
}
JOB = Path(__file__).with_name("tokens_measure.py")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, short cases, no memory")
    cases_help = f"some of {', '.join(SUITES)}; what an earlier run wrote of the others is kept"
    parser.add_argument("--cases", default=",".join(SUITES), help=cases_help)
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args(argv)
    loads = [os.getloadavg()[0]]
    cases = settings.cases.split(",")
    lines = [] if settings.quick or settings.out is None else kept_lines(settings.out, cases)
    for job in jobs(cases, quick=settings.quick):
        for line in run(job):
            print(json.dumps(line), flush=True)
            lines.append(line)
    loads.append(os.getloadavg()[0])
    about, figures = machine(loads, quick=settings.quick), Figures(lines)
    verdicts = judged(figures)
    for line in (about, *verdicts):
        print(json.dumps(line))
    text = report(about, figures, verdicts)
    print(text)
    if settings.out:
        settings.out.mkdir(parents=True, exist_ok=True)
        written = "".join(json.dumps(line) + "\n" for line in [about, *lines, *verdicts])
        (settings.out / "tokens.json").write_text(written)
        (settings.out / "tokens.md").write_text(text)


def kept_lines(out: Path, measured_anew: Sequence[str]) -> list[Line]:
    """What an earlier run wrote of the cases that are not measured now."""
    if not (out / "tokens.json").exists():
        return []
    written = [json.loads(line) for line in (out / "tokens.json").read_text().splitlines()]
    return [line for line in written if "suite" in line and line["suite"] not in measured_anew]


def jobs(suites: Sequence[str], *, quick: bool) -> Iterator[Line]:
    """What each measuring process is told."""
    for name in suites:
        suite = SUITES[name]
        for data, rounds in (QUICK_ROUNDS if quick else ROUNDS).items():
            wanted = {case: rounds[case] for case in suite.cases if case in rounds}
            if wanted:
                yield {"suite": name, "data": data, "rounds": wanted}
        segment = suite.shape.frames // max(suite.cases.values()) * suite.shape.side**2
        for way in [] if quick else suite.ways(segment * min(suite.cases.values())):
            yield {"suite": name, "data": "noise", "way": way.name}


def run(job: Line) -> list[Line]:
    """Runs one measuring process."""
    threads = {"OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}
    done = subprocess.run(
        [sys.executable, str(JOB), json.dumps(job)],
        env=os.environ | threads,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
