"""``videollm evaluate FILE`` as one types it: what is refused, what fails in part, and two models side by side."""

import json
import re
import shutil
from dataclasses import replace
from html import unescape

import pytest
from typer.testing import CliRunner

from videollm.cli import app
from videollm.evaluation.record_page import comparison_page
from videollm.evaluation.records import evaluate_records

NASTY = "<script>alert('1 & 2')</script>"


@pytest.fixture
def run(tiny_checkpoint):
    def run(*arguments):
        return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--model", str(tiny_checkpoint)])

    return run


@pytest.fixture
def folder(tmp_path, clip_files):
    """A clip of a troublesome name."""
    shutil.copy(clip_files[0], tmp_path / "a <b>#1.mp4")
    return tmp_path


def write(path, *rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def record(video="a <b>#1.mp4", question="Why?", answer="red", **more):
    return {"video": video, "question": question, "answer": answer, **more}


def test_everything_asked_is_exit_code_0(run, folder):
    done = run(write(folder / "a.jsonl", record()))
    assert done.exit_code == 0, done.output
    assert "cannot be read" not in done.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_unreadable_videos_are_named_and_exit_code_1(run, folder, as_json):
    path = write(folder / "a.jsonl", record(), *(record(f"{number}.mp4") for number in range(12)))
    out = folder / "out"
    done = run(path, "--out", out, *(["--json"] if as_json else []))
    assert done.exit_code == 1
    assert "12 records count as wrong" in (out / "report.md").read_text()
    listed = json.loads((out / "report.json").read_text())["unreadable"]
    assert [one["line"] for one in listed] == list(range(2, 14))
    if as_json:
        assert json.loads(done.stdout)["unreadable"] == listed
    else:
        named = re.findall(r"^  .*a\.jsonl:(\d+): .*there is no such file", done.stdout, re.MULTILINE)
        assert named == [str(number) for number in range(2, 12)]
        assert "and 2 more" in done.stdout


def test_bad_rows_are_all_told_before_a_model_is_loaded(folder):
    path = write(folder / "a.jsonl", {"clip": 1}, record(), {"clip": 2})
    done = CliRunner().invoke(app, ["evaluate", str(path), "--model", "nowhere"])
    assert done.exit_code == 2
    lines = done.stderr.splitlines()
    assert [line.split(" error: ")[0] for line in lines[:2]] == [f"{path}:1:", f"{path}:3:"]
    assert lines[2].startswith(f"error: {path}: 2 of 3 rows are bad, max_bad_fraction is 0 ")
    assert len(lines) == 3


def test_bad_rows_may_be_left_out(run, folder):
    path = write(folder / "a.jsonl", {"clip": 1}, record(), {"clip": 2})
    done = run(path, "--max-bad-fraction", "0.7", "--against", "pocket")
    assert done.exit_code == 0, done.output
    assert "bad rows that were left out: 2" in done.stdout
    assert done.stderr.count(f"{path}:1: ") == 1, "the file is read once for both"


def test_two_models_are_named_and_their_answers_stand_side_by_side(run, folder, tiny_checkpoint):
    window = {"id": "w", "media": [{"path": "a <b>#1.mp4", "start_s": 0.5, "end_s": 2}], "kind": "<i>"}
    window["messages"] = [
        {"role": "user", "content": "<video>\nWhen?"},
        {"role": "assistant", "content": "now"},
    ]
    path = write(folder / "a.jsonl", record(question=NASTY, answer=NASTY), window, record("none.mp4"))
    out = folder / "out"
    done = run(path, "--against", "pocket", "--out", out)
    assert done.exit_code == 1
    for text in (done.stdout, (out / "report.md").read_text()):
        assert f"tuned: {tiny_checkpoint} (all columns but base)\nbase: pocket" in text
    settings = (out / "report.md").read_text().split("```text")[2]
    assert re.search(r"base: model pocket, weights \w+", settings)
    page = (out / "answers.html").read_text()
    assert f"tuned: {tiny_checkpoint}<br>base: pocket" in page
    assert "<script" not in page
    assert "<i>" not in page
    assert "Both are wrong: 3" in page
    assert '<a href="../a%20%3Cb%3E%231.mp4">a &lt;b&gt;#1.mp4</a> 0:00.5 to 0:02.0' in page
    rows = [re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL) for row in page.split("<tr>")[2:]]
    for place, cells in enumerate(rows):
        base, tuned = (
            json.loads((out / which / "rows.jsonl").read_text().splitlines()[place])
            for which in ("base", "tuned")
        )
        said = [row["got"] or f"not asked: {row['problem']}" for row in (base, tuned)]
        assert [unescape(cell) for cell in cells[4:]] == [
            tuned["question"],
            tuned["expected"],
            *(f"<b>wrong</b>{text}" for text in said),
        ]
        assert cells[0] == str(place + 1)


def test_one_model_leaves_no_page_of_two(run, folder):
    run(write(folder / "a.jsonl", record()), "--out", folder / "out")
    assert {path.name for path in (folder / "out").iterdir()} == {
        "rows.jsonl",
        "settings.json",
        "report.json",
        "report.md",
    }


def test_answers_are_sorted_by_who_is_right(folder, model, tmp_path):
    path = write(folder / "a.jsonl", *(record(question=f"Question {number}?") for number in range(4)))
    report = evaluate_records(model, path, max_new_tokens=4, name="some")

    def judged(*right):
        rows = zip(report.rows, right, strict=True)
        return replace(report, rows=tuple(replace(row, right=is_right) for row, is_right in rows))

    page = comparison_page(judged(True, False, True, False), judged(True, True, False, False), tmp_path)
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Only tuned is right: 1",
        "Only base is right: 1",
        "Both are wrong: 1",
        "Both are right: 1",
    ]
    assert re.findall(r"Question (\d)", page) == ["2", "1", "3", "0"]
    verdicts = re.findall(r"<b>(\w+)</b>", page)
    assert list(zip(verdicts[::2], verdicts[1::2], strict=True)) == [
        ("wrong", "right"),
        ("right", "wrong"),
        ("wrong", "wrong"),
        ("right", "right"),
    ]
