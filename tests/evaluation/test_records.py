"""A test of one's own: answers scored in every way that fits, unreadable media wrong, interrupted runs gone on with."""

import dataclasses
import json
import math

import pytest
import torch

from videollm.answering import Prompted, score_options
from videollm.errors import ConfigError, DataError
from videollm.evaluation.record_report import as_table, compare
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
        "none": 2,
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
