"""Media that are not there: the record says which directories and names were tried, and what to do."""

import json

import pytest

from videollm.data.reading import read_records


@pytest.fixture
def missing(tmp_path):
    """Why the video of a row is not found, with some directories given."""

    def read(video, *media):
        path = tmp_path / "rows.jsonl"
        path.write_text(json.dumps({"q": "What?", "a": "Fog.", "video": video}))
        (found,) = read_records(path, media=media)
        return found.missing

    return read


def test_the_directories_are_named_in_their_order(missing, tmp_path):
    (tmp_path / "clips").mkdir()
    (said,) = missing("a.mp4", tmp_path / "clips", tmp_path / "none")
    assert said == (
        f"{tmp_path}/a.mp4: there is no such file; "
        f"looked in {tmp_path}/clips/ and {tmp_path}/none/ (no such directory) and {tmp_path}/"
    )


def test_who_gave_no_directory_is_told_that_there_may_be_one(missing):
    (said,) = missing("a.mp4")
    assert said.endswith("give the directory of the media with --media DIR")


def test_a_name_without_ending_is_tried_with_the_usual_ones(missing):
    (said,) = missing(7010)
    assert "for 7010, v_7010, video7010, vid7010, each as it is and with .mp4, .mkv, .webm" in said


def test_a_whole_path_is_looked_for_nowhere_else(missing, tmp_path):
    assert missing(f"{tmp_path}/a.mp4") == (f"{tmp_path}/a.mp4: there is no such file; check the path",)


def test_nothing_is_said_of_what_is_there(missing, tmp_path):
    (tmp_path / "a.mp4").touch()
    assert missing("a.mp4") == missing("a") == missing(f"{tmp_path}/a.mp4") == ()
