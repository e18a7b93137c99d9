"""Converting: the videos have to be there, and nothing is left out that nobody allowed."""

import json

import pytest

from videollm.data.convert import convert_file
from videollm.data.reading import read_records


def row(video, **more):
    said = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "Fog."}]
    return {"video": video, "conversations": said} | more


@pytest.fixture
def convert(tmp_path):
    """Converts a file of some rows, beside which lies the empty file ``a.mp4``."""
    (tmp_path / "a.mp4").touch()

    def run(*rows, **arguments):
        (tmp_path / "rows.json").write_text(json.dumps(rows))
        return convert_file(tmp_path / "rows.json", tmp_path / "out.jsonl", **arguments)

    return run


def test_a_row_without_its_video_is_broken(convert, tmp_path):
    done = convert(row("a.mp4"), row("none.mp4"))
    (problem,) = done.problems
    assert (problem.row, problem.severity) == (2, "error")
    assert f"{tmp_path}/none.mp4: there is no such file" in problem.message
    assert not done.written
    assert not (tmp_path / "out.jsonl").exists()


def test_directories_of_media_are_looked_in(convert, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "b.mp4").touch()
    assert not convert(row("b.mp4")).written
    assert convert(row("b.mp4"), media=[tmp_path / "clips"]).problems == []


def test_what_may_be_bad_is_left_out_and_told(convert, tmp_path):
    rows = [row("a.mp4", id=1), row("none.mp4", id=2), {"clip": 1}, row("a.mp4", id=4)]
    done = convert(*rows, max_bad_fraction=0.5)
    assert (done.records, done.good_rows, done.bad_rows, done.written) == (2, 2, 2, True)
    assert [problem.row for problem in done.problems] == [2, 3]
    assert [one.record.id for one in read_records(tmp_path / "out.jsonl")] == ["1", "4"]
    (tmp_path / "out.jsonl").write_text("as before")
    assert not convert(*rows, max_bad_fraction=0.49).written
    assert (tmp_path / "out.jsonl").read_text() == "as before"


def test_repeated_ids_are_written_apart(convert, tmp_path):
    done = convert(row("a.mp4", id=7), row("a.mp4", id=7))
    assert [(problem.row, problem.severity) for problem in done.problems] == [(2, "warning")]
    found = list(read_records(tmp_path / "out.jsonl"))
    assert [(one.record.id, one.record.source) for one in found] == [
        ("7", "rows.json:1: record 1"),
        ("7-2", "rows.json:1: record 2"),
    ]
    assert [one.warnings for one in found] == [(), ()]


@pytest.mark.parametrize("rows", [[], [{"clip": 1}]], ids=["no rows", "only bad ones"])
def test_nothing_to_write_is_not_written(convert, tmp_path, rows):
    done = convert(*rows, max_bad_fraction=1.0)
    assert len(done.problems) == 1
    assert not done.written
    assert not (tmp_path / "out.jsonl").exists()
