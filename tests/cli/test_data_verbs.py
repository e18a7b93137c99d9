"""``videollm data``: what it prints, what it writes, and how it ends."""

import json

from videollm.data.formats import FORMATS
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip

SAID = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "Fog."}]


def write_rows(path, *rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_check_ends_with_2_where_training_would_fail(run, tiny_checkpoint, tmp_path):
    write_clip(sample_clip(0, "test", shots=1, duration_s=(2, 3), max_short_side=96), tmp_path / "a.mp4")
    path = write_rows(
        tmp_path / "a.jsonl",
        {"video": "a.mp4", "conversations": SAID},
        {"video": "none.mp4", "conversations": SAID},
    )
    words = ("data", "check", str(path), "--model", str(tiny_checkpoint))
    done = run(*words, "--json", "--page", str(tmp_path / "page.html"))
    assert done.exit_code == 2
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["line"], problem["severity"]) == (2, "error")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    done = run(*words, "--max-bad-fraction", "0.5")
    assert done.exit_code == 0
    assert f"{path}:2: error: {tmp_path}/none.mp4: there is no such file" in done.stdout


def test_a_page_needs_a_place(run, tmp_path):
    path = write_rows(tmp_path / "a.jsonl", {"video": "a.mp4", "conversations": SAID})
    done = run("data", "check", str(path), "--page", str(tmp_path / "none" / "page.html"))
    assert done.exit_code == 2
    assert f"there is no directory {tmp_path}/none to write the page to" in done.stderr


def test_nothing_is_written_of_a_broken_file(run, tmp_path):
    (tmp_path / "a.mp4").touch()
    path = write_rows(tmp_path / "a.jsonl", {"video": "a.mp4", "conversations": SAID}, {"video": "a.mp4"})
    done = run("data", "convert", str(path), str(tmp_path / "out.jsonl"))
    first, last = done.stderr.splitlines()
    assert done.exit_code == 2
    assert first == f"{path}:2: error: of no known format: has video"
    assert (
        last == f"error: 1 of 2 rows of {path} cannot be used, --max-bad-fraction is 0; nothing was written"
    )
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.jsonl", "a.mp4"]


def test_what_may_be_bad_is_left_out_of_what_is_written(run, tmp_path):
    (tmp_path / "a.mp4").touch()
    rows = ({"video": name, "conversations": SAID} for name in ("a.mp4", "none.mp4"))
    words = ("data", "convert", str(write_rows(tmp_path / "a.jsonl", *rows)), str(tmp_path / "out.jsonl"))
    assert run(*words).exit_code == 2
    done = run(*words, "--max-bad-fraction", "0.5")
    assert done.exit_code == 0
    first, last = done.stderr.splitlines()
    assert "a.jsonl:2: error: " in first
    assert last == "left out 1 of 2 rows; wrote 1 record"
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


def test_a_file_without_rows_cannot_be_converted(run, tmp_path):
    (tmp_path / "a.json").write_text("[]")
    done = run("data", "convert", str(tmp_path / "a.json"), str(tmp_path / "out.jsonl"))
    assert done.exit_code == 2
    assert "a.json:1: error: there are no rows in the file" in done.stderr


def test_a_file_is_replaced_only_when_asked(run, tmp_path):
    (tmp_path / "a.mp4").touch()
    path = write_rows(tmp_path / "a.jsonl", {"video": "a.mp4", "conversations": SAID})
    words = ("data", "convert", str(path), str(tmp_path / "out.jsonl"))
    assert run(*words).exit_code == 0
    done = run(*words)
    assert done.exit_code == 2
    assert "give --overwrite to replace it" in done.stderr
    assert run(*words, "--overwrite").exit_code == 0
    assert "OUT must end in .jsonl" in run("data", "convert", str(path), str(tmp_path / "out.csv")).stderr


def test_formats_are_listed(run):
    listed = run("data", "formats").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [known.name for known in FORMATS]
