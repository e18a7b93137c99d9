"""What can be learnt from and may not be meant is a warning, and what is usual is none."""

import json

import pytest

from videollm.data.doubts import doubts
from videollm.data.reading import read_records


def row(asked="<video>\nWhat?", answer="Fog.", **more):
    return {"conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]} | more


@pytest.fixture
def warned(tmp_path):
    """The warnings about a file of some rows, by line."""

    def read(*rows):
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        found = doubts(path, list(read_records(path)))
        assert {problem.severity for problem in found} <= {"warning"}
        return [(problem.line, problem.message) for problem in found]

    return read


def test_a_row_that_shows_nothing_is_told_where_others_do(warned):
    shown, hidden = row(video="a.mp4"), row("What?")
    said = "names no video or image, the model is shown nothing (2 of 3 records do show something)"
    assert warned(shown, hidden, shown) == [(2, said)]
    assert warned(hidden, hidden) == []


def test_an_empty_name_is_told_even_where_no_row_shows_anything(warned):
    assert warned(row("What?", video="")) == [(1, "video is empty, the model is shown nothing")]


@pytest.mark.parametrize(
    "asked", [row("<video>\n", video="a.mp4"), {"q": "", "a": "Fog.", "video_id": "a"}], ids=["tag", "pair"]
)
def test_a_question_that_is_none_is_told(warned, asked):
    assert warned(asked) == [(1, "messages.0: the user asks nothing, there is only <video>")]


@pytest.mark.parametrize("tag", ["<video>", "<image>"])
def test_a_tag_in_an_answer_is_told(warned, tag):
    ((_, said),) = warned(row(answer=f"{tag} shows fog.", video="a.mp4"))
    assert said == f"messages.1: the answer has '{tag}' in it, which the model would learn to say"


def test_an_answer_that_is_not_learnt_may_have_a_tag(warned):
    said = [
        {"role": "user", "content": "<video>\nWhat?"},
        {"role": "assistant", "content": "A <video>.", "train": False},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "Fog."},
    ]
    assert warned({"video": "a.mp4", "messages": said}) == []


def test_a_tag_that_became_a_word_is_told_but_where_it_was_written_as_one(warned):
    ((_, said),) = warned({"q": "<video>\nWhat?", "a": "Fog.", "video_id": "a"})
    assert said.startswith("messages.0: the user says '<video>', which marks no video in rows of pairs")
    own = [
        {"role": "user", "content": "<video>\nWhat is \\<video>?"},
        {"role": "assistant", "content": "A word."},
    ]
    assert warned({"media": [{"path": "a.mp4"}], "messages": own}) == []


def test_a_repeated_id_is_told(warned):
    ((line, said),) = warned(row(id=7, video="a.mp4"), row(id=7, video="b.mp4"))
    assert line == 2
    assert "the id '7' was there before" in said
