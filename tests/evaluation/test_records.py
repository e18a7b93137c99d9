"""A test of one's own: answers scored in every way that fits, unreadable media wrong, interrupted runs gone on with."""

import dataclasses
import json
import math

import pytest
import torch

from videollm.answering import Prompted, score_options
from videollm.errors import ConfigError, DataError
from videollm.evaluation.asked_file import read_asked
from videollm.evaluation.record_presentation import as_table
from videollm.evaluation.record_report import compare
from videollm.evaluation.records import evaluate_records
from videollm.media import read_media
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm.values import Message


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clips, and questions of several kinds about them."""
    folder = tmp_path_factory.mktemp("test")
    for seed in range(3):
        clip = sample_clip(seed, "test", shots=1, duration_s=(2, 3), max_short_side=96)
        write_clip(clip, folder / f"{seed}.mp4")
    rows = [
        *({"video": f"{n}.mp4", "question": "How many shots?", "answer": "1", "type": "count"} for n in range(3)),
        {"video": "0", "question": "Which?", "candidates": ["red", "blue", "green"], "answer": "blue"},
        {"video": "1", "question": "Which?", "candidates": ["red", "blue"], "answer": "red"},
        {"video": "2", "timestamps": [[0, 1.5]], "sentences": ["A star moves."]},
        {"video": "none", "question": "How many shots?", "answer": "1", "type": "count"},
    ]  # fmt: skip
    (folder / "asked.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def test_options_are_scored_together_as_one_by_one(model, folder):
    video = read_media(model, folder / "0.mp4")
    asked = Prompted((Message("user", "<video>\nWhich?"),), (video,))
    options = ["A", "a small red star moves left", "B"]
    scores = score_options(model, asked, options)
    for option, score in zip(options, scores, strict=True):
        prompt = model.processor.render([*asked.messages, Message("assistant", option)], [video], False)
        with torch.inference_mode():
            logits = model(
                input_ids=torch.tensor([prompt.input_ids]), visual_tokens=video.tokens_KD
            ).logits.log_softmax(-1)
        learnt = [place for place, label in enumerate(prompt.labels) if label != -100]
        each = [float(logits[0, place - 1, prompt.labels[place]]) for place in learnt]
        assert score == pytest.approx(sum(each) / len(each), abs=1e-4)


def test_only_the_last_answer_is_scored(model, folder):
    video = read_media(model, folder / "0.mp4")
    first = (Message("user", "<video>\nWhich?"), Message("assistant", "A"), Message("user", "And now?"))
    (score,) = score_options(model, Prompted(first, (video,)), ["B"])
    prompt = model.processor.render(
        [*first, Message("assistant", "B")], [video], False, supervise=[False, False, False, True]
    )
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt.input_ids]), visual_tokens=video.tokens_KD).logits
    learnt = [place for place, label in enumerate(prompt.labels) if label != -100]
    each = [float(logits.log_softmax(-1)[0, place - 1, prompt.labels[place]]) for place in learnt]
    assert score == pytest.approx(sum(each) / len(each), abs=1e-4)


def test_every_record_counts(model, folder):
    report = evaluate_records(model, folder / "asked.jsonl", blind=True, max_new_tokens=8)
    assert [row.index for row in report.rows] == list(range(7))
    scores = {score.kind: score for score in report.scores}
    assert {kind: score.asked for kind, score in scores.items()} == {
        "count": 4,
        "(no kind)": 2,
        "dense": 1,
        "all": 7,
    }
    lost = report.rows[6]
    assert "there is no such file" in lost.problem
    assert (lost.right, lost.normalised, lost.got) == (False, False, "")
    assert scores["count"].unreadable == 1
    assert {row.got for row in report.rows[3:5]} <= {"A", "B", "C"}
    assert report.rows[5].iou is not None
    assert all(row.blind_got is not None for row in report.rows)
    assert not math.isnan(scores["all"].blind.value)
    assert "1 records count as wrong: their media cannot be read" in as_table(report)


def test_an_interrupted_test_is_gone_on_with(model, folder, tmp_path):
    arguments = {"blind": True, "max_new_tokens": 8}
    whole = evaluate_records(model, folder / "asked.jsonl", out_dir=tmp_path / "whole", **arguments)
    part = tmp_path / "part"
    evaluate_records(model, folder / "asked.jsonl", out_dir=part, **arguments)
    lines = (part / "rows.jsonl").read_text().splitlines(keepends=True)
    (part / "rows.jsonl").write_text("".join(lines[:3]) + lines[3][:20])
    resumed = evaluate_records(model, folder / "asked.jsonl", out_dir=part, resume=True, **arguments)
    assert resumed.rows == whole.rows
    assert (part / "report.json").read_text() == (tmp_path / "whole" / "report.json").read_text()
    with pytest.raises(ConfigError, match="is not empty"):
        evaluate_records(model, folder / "asked.jsonl", out_dir=part, **arguments)
    with pytest.raises(ConfigError, match="begun with other settings \\(blind\\)"):
        evaluate_records(model, folder / "asked.jsonl", out_dir=part, resume=True, max_new_tokens=8)


def test_what_an_earlier_version_began_is_gone_on_with(model, folder, tmp_path):
    arguments = {"out_dir": tmp_path, "max_new_tokens": 8}
    whole = evaluate_records(model, folder / "asked.jsonl", **arguments)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    earlier = [{name: value for name, value in row.items() if name not in ("line", "media")} for row in rows]
    for row in earlier:
        row["kind"] = row["kind"].replace("(no kind)", "none")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in earlier[:5]))
    assert evaluate_records(model, folder / "asked.jsonl", resume=True, **arguments).rows == whole.rows
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == rows


def test_rows_and_reports_say_what_cannot_be_read_and_where(model, folder, tmp_path):
    report = evaluate_records(model, folder / "asked.jsonl", out_dir=tmp_path, max_new_tokens=8)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rows] == list(range(1, 8))
    assert rows[3]["media"] == [{"type": "video", "path": str(folder / "0.mp4")}]
    (named,) = json.loads((tmp_path / "report.json").read_text())["unreadable"]
    assert named == {"line": 7, "row": 7, "problem": rows[6]["problem"]}
    assert f"{folder / 'asked.jsonl'}:7: error: {rows[6]['problem']}" in as_table(report)
    assert as_table(report) in (tmp_path / "report.md").read_text()


def test_two_models_are_compared_record_by_record(model, folder):
    base = evaluate_records(model, folder / "asked.jsonl", max_new_tokens=8)
    rows = [dataclasses.replace(row, right=row.index < 5) for row in base.rows]
    lower = [dataclasses.replace(row, right=row.index == 0) for row in base.rows]
    tuned, base = (dataclasses.replace(base, rows=tuple(listed)) for listed in (rows, lower))
    gains = compare(tuned, base)
    assert gains["all"].value == pytest.approx(4 / 7)
    assert gains["count"].value == pytest.approx(2 / 4)
    assert gains["all"].low < 4 / 7 < gains["all"].high
    other = dataclasses.replace(base, settings=base.settings | {"records": "others"})
    with pytest.raises(DataError, match="different records"):
        compare(tuned, other)


def test_a_broken_file_is_not_half_a_test(model, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"clip": 1}\n')
    with pytest.raises(DataError, match=r"a.jsonl:1: error: of no known format.*data check"):
        evaluate_records(model, tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(DataError, match="has no records"):
        evaluate_records(model, tmp_path / "a.jsonl")


def test_all_bad_rows_are_told_and_left_out_where_so_many_may_be(model, folder, tmp_path):
    good = [line for line in (folder / "asked.jsonl").read_text().splitlines() if "none" not in line]
    path = folder / "spoilt.jsonl"
    path.write_text(
        "\n".join(['{"clip": 1}', *good, "{", '{"video": "0", "question": "Why?", "answer": ""}'])
    )
    told = []
    with pytest.raises(
        DataError, match=r"3 of 9 rows are bad, max_bad_fraction is 0\.3 \(the first: .*:1: error"
    ):
        evaluate_records(model, path, max_bad_fraction=0.3, progress=told.append)
    assert [line.split(": error: ")[0] for line in told] == [f"{path}:{number}" for number in (1, 8, 9)]
    report = evaluate_records(model, path, max_bad_fraction=0.4, out_dir=tmp_path / "out", max_new_tokens=8)
    assert [row.line for row in report.rows] == list(range(2, 8))
    left_out = json.loads((tmp_path / "out" / "report.json").read_text())["left_out"]
    assert [one["line"] for one in left_out] == [1, 8, 9]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "bad rows that were left out: 3" in text
    assert f"{path}:8: error: {left_out[1]['problem']}" in text


def test_of_many_bad_rows_the_first_are_told(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"clip": 1}\n' * 60)
    told = []
    with pytest.raises(DataError, match="60 of 60 rows are bad, max_bad_fraction is 1"):
        read_asked(tmp_path / "a.jsonl", max_bad_fraction=1.0, tell=told.append)
    assert len(told) == 51
    assert told[-1].startswith("and 10 more")
