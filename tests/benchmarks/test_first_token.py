"""The first-token benchmark runs through at tiny sizes and leaves its figures; how long it took is not asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def results(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a quick run wrote its results."""
    out = tmp_path_factory.mktemp("results")
    command = [
        sys.executable,
        str(repository / "benchmarks" / "first_token.py"),
        "--quick",
        "--out",
        str(out),
    ]
    path = os.pathsep.join(filter(None, [str(repository), os.environ.get("PYTHONPATH")]))
    subprocess.run(command, check=True, cwd=repository, env={**os.environ, "PYTHONPATH": path})
    return out


@pytest.fixture(scope="module")
def lines(results: Path) -> list[dict[str, object]]:
    """The lines of JSON of that run."""
    return [json.loads(line) for line in (results / "first_token.json").read_text().splitlines()]


def test_every_model_answers_both_questions(lines: list[dict[str, object]]) -> None:
    answered: dict[object, set[object]] = {}
    for line in lines:
        if line["part"] == "models" and "model" in line:
            answered.setdefault(line["model"], set()).add(line["figure"])
    both = {"first_s", "vision_s", "prefill_s", "kept_s"}
    assert len(answered) == 6
    for model, figures in answered.items():
        assert figures == (both if str(model).startswith("VideoLLM") else both | {"again_s"})


def test_the_shell_answers_from_a_process_of_its_own(lines: list[dict[str, object]]) -> None:
    figures = {line["figure"]: line["median"] for line in lines if line["part"] == "ask"}
    assert set(figures) >= {"first_byte_s", "start_s", "vision_s", "prefill_s", "read_s"}
    assert all(isinstance(seconds, float) for seconds in figures.values())


def test_the_report_holds_both_tables_and_says_that_quick_figures_mean_nothing(results: Path) -> None:
    report = (results / "first_token.md").read_text()
    assert "## Models side by side" in report
    assert "## `videollm ask`" in report
    assert "the figures mean nothing" in report
