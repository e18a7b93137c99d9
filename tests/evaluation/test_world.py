"""The test on the pocket world: figures that follow from rows, files for people, and going on after an interruption."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from videollm import VideoLLM
from videollm.errors import ConfigError
from videollm.evaluation.items import BLIND, EMPTY
from videollm.evaluation.presentation import markdown, table
from videollm.evaluation.report import WorldReport, summarise
from videollm.evaluation.rows import Row
from videollm.evaluation.world import evaluate_world
from videollm.synthetic.language.questions import KINDS

QUICK: dict[str, Any] = {"questions": len(KINDS), "descriptions": False, "pairs": 2, "empty": 1}
BLANK = Row(
    index=0,
    kind="colour",
    clip=0,
    question="?",
    expected="red",
    got="red",
    score=1.0,
    right=True,
    other=BLIND,
    other_clip=1,
    other_expected="red",
    other_got="blue",
    other_score=0.0,
    other_right=False,
    held_out=False,
    new_wording=False,
    visual_tokens=20,
)


def rows_of(kind: str, count: int, **values: Any) -> list[Row]:
    return [
        dataclasses.replace(BLANK, kind=kind, index=index, clip=index, **values) for index in range(count)
    ]


def exactly(row: Row, text: str) -> bool:
    return row.expected == text


def test_a_kind_is_learnt_when_seeing_is_surely_better_than_blind() -> None:
    wrong = {"score": 0.0, "right": False}
    also_blind = {"other_score": 1.0, "other_right": True}
    rows = rows_of("colour", 30) + rows_of("shape", 30, **wrong) + rows_of("out_of_scope", 30, **also_blind)
    report = summarise(rows, {}, exactly)
    assert {score.kind: score.learnt for score in report.kinds} == {
        "colour": True,
        "shape": False,
        "out_of_scope": None,
    }
    assert report.learnt == 1
    assert report.mean.value == pytest.approx(2 / 3)
    assert report.blind_mean.value == pytest.approx(1 / 3)
    assert report.token_density == pytest.approx(100 * 2 / 3 / 20)


def test_the_mean_weighs_kinds_equally_and_leaves_descriptions_and_pairs_out() -> None:
    wrong = {"score": 0.0, "right": False}
    rows = [
        *rows_of("colour", 90),
        *rows_of("shape", 10, **wrong),
        *rows_of("caption", 10, **wrong),
        *rows_of("dense", 10, score=0.5, right=False),
        *rows_of("action", 4, other="recut", other_right=True),
        *rows_of("action", 6, other="backwards"),
    ]
    report = summarise(rows, {}, exactly)
    assert [score.kind for score in report.kinds] == ["colour", "shape"]
    assert report.mean.value == pytest.approx(0.5)
    assert [score.kind for score in report.descriptions] == ["caption", "dense"]
    assert report.dense_lines.value == pytest.approx(0.5)
    assert {name: share.value for name, share in report.pairs.items()} == {
        "all": pytest.approx(0.4),
        "backwards": 0.0,
        "recut": 1.0,
    }


def test_held_out_combinations_and_new_wordings_have_figures_of_their_own() -> None:
    wrong = {"score": 0.0, "right": False}
    rows = rows_of("colour", 6) + rows_of("colour", 4, held_out=True, new_wording=True, **wrong)
    report = summarise(rows, {}, exactly)
    assert (report.held_out.value, report.shown.value, report.new_wordings.value) == (0.0, 1.0, 0.0)


def test_refusals_count_in_any_words_and_what_is_claimed_of_empty_clips_apart() -> None:
    wrong = {"score": 0.0, "right": False}
    rows = [
        *rows_of("unanswerable", 1, got="There is no star in this video."),
        *rows_of("unanswerable", 1, got="The star does not grow.", **wrong),
        *rows_of("unanswerable", 2, got="red", **wrong),
        *rows_of("contents", 3, other=EMPTY, other_right=True),
        *rows_of("colour", 2, other=EMPTY, other_right=True, **wrong),
    ]
    report = summarise(rows, {}, exactly)
    assert report.refused.value == pytest.approx(0.5)
    assert report.invented.value == pytest.approx(2 / 10)
    assert [score.kind for score in report.kinds] == ["unanswerable"]


def test_the_constant_baseline_is_scored_like_an_answer() -> None:
    rows = rows_of("when", 3, expected="from 0:01 to 0:02") + rows_of("when", 2, expected="from 0:02 to 0:03")
    report = summarise(rows, {}, lambda row, text: True)
    assert report.kinds[0].constant == 1.0


@pytest.fixture(scope="module")
def finished(model: VideoLLM, tmp_path_factory: pytest.TempPathFactory) -> tuple[WorldReport, Path]:
    directory = tmp_path_factory.mktemp("world") / "run"
    return evaluate_world(model, **QUICK, out_dir=directory, name="tiny"), directory


def test_every_row_says_what_was_asked_expected_and_answered(finished: tuple[WorldReport, Path]) -> None:
    rows = [json.loads(line) for line in (finished[1] / "rows.jsonl").read_text("utf-8").splitlines()]
    assert sorted(row["index"] for row in rows) == list(range(len(KINDS) + 3))
    assert {row["kind"] for row in rows if row["other"] == BLIND} == set(KINDS)
    assert all(row["question"] and row["visual_tokens"] > 0 for row in rows)
    assert all((row["expected"] == "") == (row["other"] == EMPTY) for row in rows)
    assert sum(row["other"] == EMPTY for row in rows) == 1
    assert sum(row["other"] != BLIND for row in rows) == 3


def test_report_and_plot_are_written_for_people_and_machines(finished: tuple[WorldReport, Path]) -> None:
    report, directory = finished
    written = json.loads((directory / "report.json").read_text("utf-8"))
    assert written["mean"]["value"] == report.mean.value
    assert written["settings"]["model"] == "tiny"
    assert (directory / "report.md").read_text("utf-8") == markdown(report)
    assert (directory / "report.png").read_bytes().startswith(b"\x89PNG")
    assert all(kind in table(report) for kind in KINDS)


def test_an_interrupted_run_goes_on_to_the_same_report(
    model: VideoLLM, finished: tuple[WorldReport, Path], tmp_path: Path
) -> None:
    report, directory = finished
    lines = (directory / "rows.jsonl").read_text("utf-8").splitlines(keepends=True)
    cut_short = "".join(lines[:9]) + lines[9][:20]
    for name in ("settings.json", "rows.jsonl"):
        (tmp_path / name).write_bytes((directory / name).read_bytes())
    (tmp_path / "rows.jsonl").write_text(cut_short, encoding="utf-8")
    told: list[str] = []
    resumed = evaluate_world(model, **QUICK, out_dir=tmp_path, name="tiny", resume=True, progress=told.append)
    assert resumed == report
    assert "9 answered before" in told[0]
    assert len((tmp_path / "rows.jsonl").read_text("utf-8").splitlines()) == len(lines)


def test_a_directory_that_holds_something_is_not_overwritten_unasked(
    model: VideoLLM, finished: tuple[WorldReport, Path]
) -> None:
    with pytest.raises(ConfigError, match="give --resume to go on there, or --overwrite"):
        evaluate_world(model, **QUICK, out_dir=finished[1])
    with pytest.raises(ConfigError, match=r"begun with other settings \(items, seed\)"):
        evaluate_world(model, **QUICK, seed=3, name="tiny", out_dir=finished[1], resume=True)


def test_a_smaller_budget_of_tokens_is_kept_to(model: VideoLLM) -> None:
    report = evaluate_world(
        model, questions=len(KINDS), descriptions=False, pairs=0, empty=0, max_visual_tokens=4
    )
    assert report.visual_tokens <= 4
