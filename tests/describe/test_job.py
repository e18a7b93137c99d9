"""A job loses no row, doubles none, and does again only what it must."""

import json
import os
import shutil
import sqlite3

import pytest

from videollm import ConfigError, DataError, describe_files
from videollm.describe.joining import join_jobs
from videollm.describe.ledger import ENDS_BEFORE_ALONE, MOST_ENDS, Ledger
from videollm.describe.settings import DescribeOptions
from videollm.describe.sources import find_sources

FEW_WORDS = DescribeOptions(max_new_tokens=4)


@pytest.fixture
def library(tmp_path, write_video):
    """Eight files: five that differ, a copy, one that is broken and one that is no video."""
    folder = tmp_path / "library"
    for number in range(5):
        write_video(folder / f"{number}.mp4", (number, number + 1), 2.0 + number)
    (folder / "deeper").mkdir()
    shutil.copy(folder / "0.mp4", folder / "deeper" / "a copy.mp4")
    (folder / "broken.mp4").write_bytes((folder / "4.mp4").read_bytes()[:700])
    (folder / "text.mp4").write_text("not a video")
    return folder


def describe(model, library, out, options=FEW_WORDS, **settings):
    return describe_files(model, find_sources([str(library)]), out, options, **settings)


def rows(out):
    return [json.loads(line) for line in (out / "descriptions.jsonl").read_text().splitlines()]


def by_name(out):
    found = rows(out)
    named = {row["name"]: row for row in found}
    assert len(named) == len(found)
    return named


def what_matters(row):
    """A row without what differs from run to run."""
    usage = row["usage"] and {name: value for name, value in row["usage"].items() if name != "seconds"}
    return {**row, "seconds": None, "usage": usage}


def matters(out):
    return [what_matters(row) for row in rows(out)]


def test_every_file_has_one_row_good_or_with_its_error(tiny, library, tmp_path):
    tally = describe(tiny, library, tmp_path / "out")
    assert (tally.files, tally.described, tally.copied, tally.failed) == (8, 5, 1, 2)
    assert (tally.bad, tally.left, tally.done) == (2, 0, 8)
    named = by_name(tmp_path / "out")
    assert set(named) == {"0", "1", "2", "3", "4", "deeper/a copy", "broken", "text"}
    for name in ("broken", "text"):
        assert named[name]["error"]["kind"] == "UnreadableVideoError"
        assert named[name]["path"] in named[name]["error"]["message"]
        assert not named[name]["events"]
    assert all(named[str(number)]["events"] for number in range(5))
    assert named["1"]["plan"]["end_s"] == pytest.approx(6.0)
    assert named["1"]["plan"]["frames"] == named["1"]["usage"]["frames"] > 0
    assert [row["path"] for row in rows(tmp_path / "out")] == [
        str(source.path) for source in find_sources([str(library)])
    ]


def test_the_same_content_is_described_once(tiny, library, tmp_path):
    describe(tiny, library, tmp_path / "out")
    named = by_name(tmp_path / "out")
    first, copy = named["0"], named["deeper/a copy"]
    paths = [str(library / "0.mp4"), str(library / "deeper" / "a copy.mp4")]
    assert [first["same_as"], copy["same_as"]] in ([None, paths[0]], [paths[1], None])
    assert first["events"] == copy["events"]
    assert first["content"] == copy["content"]


def test_a_directory_that_is_not_empty_is_refused(tiny, library, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "srt").mkdir()
    (out / "srt" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty: go on there with --resume"):
        describe(tiny, library, out)
    describe(tiny, library, out, overwrite=True, formats=["vtt"])
    assert (out / "srt" / "mine.txt").read_text() == "mine"
    with pytest.raises(ConfigError, match="not empty: go on there with --resume"):
        describe(tiny, library, out)
    describe(tiny, library / "deeper", out, overwrite=True)
    assert len(rows(out)) == 1
    assert not (out / "vtt").exists()


def test_what_is_done_is_not_done_again(tiny, library, tmp_path):
    out = tmp_path / "out"
    describe(tiny, library, out)
    before = rows(out)
    tally = describe(tiny, library, out, resume=True)
    assert (tally.described, tally.copied, tally.skipped, tally.failed) == (0, 0, 6, 2)
    assert [what_matters(row) for row in before] == matters(out)
    assert [row["seconds"] for row in rows(out) if not row["error"]] == [
        row["seconds"] for row in before if not row["error"]
    ]


def test_a_file_that_changed_is_described_anew(tiny, library, tmp_path, write_video):
    out = tmp_path / "out"
    describe(tiny, library, out)
    before = by_name(out)
    write_video(library / "3.mp4", (0, 3, 5), 4.0)
    os.utime(library / "2.mp4")  # touched, not changed
    tally = describe(tiny, library, out, resume=True)
    assert tally.described == 1
    after = by_name(out)
    assert after["3"]["content"] != before["3"]["content"]
    assert after["3"]["plan"]["end_s"] == pytest.approx(12.0)
    assert {name: what_matters(row) for name, row in after.items() if name != "3"} == {
        name: what_matters(row) for name, row in before.items() if name != "3"
    }


def test_subtitles_beside_a_file_are_a_part_of_it_if_they_are_read(tiny, tmp_path, write_video):
    library = tmp_path / "library"
    write_video(library / "a.mp4", (0,), 2.0)
    shutil.copy(library / "a.mp4", library / "b.mp4")
    words = library / "b.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nGood morning.\n")
    listening = DescribeOptions(max_new_tokens=4, subtitles=True)
    assert describe(tiny, library, tmp_path / "deaf").copied == 1
    assert describe(tiny, library, tmp_path / "out", listening).described == 2
    before = by_name(tmp_path / "out")
    assert before["a"]["usage"]["prompt_tokens"] < before["b"]["usage"]["prompt_tokens"]
    assert describe(tiny, library, tmp_path / "out", listening, resume=True).skipped == 2
    words.write_text(words.read_text() * 2)
    assert describe(tiny, library, tmp_path / "out", listening, resume=True).described == 1
    words.unlink()
    assert describe(tiny, library, tmp_path / "out", listening, resume=True).copied == 1


def test_other_settings_and_another_model_describe_anew(tiny, library, tmp_path):
    out = tmp_path / "out"
    describe(tiny, library, out)
    first = by_name(out)["4"]
    tally = describe(tiny, library, out, DescribeOptions("dense", max_new_tokens=4), resume=True)
    assert tally.described == 5
    second = by_name(out)["4"]
    assert len(second["events"]) > len(first["events"])
    assert second["fingerprint"] != first["fingerprint"]
    weight = tiny.get_output_embeddings().weight
    kept = weight.data.clone()
    try:
        weight.data = kept.flip(0)
        assert (
            describe(tiny, library, out, DescribeOptions("dense", max_new_tokens=4), resume=True).described
            == 5
        )
    finally:
        weight.data = kept


def test_what_fails_is_tried_three_times_and_then_only_when_asked(tiny, library, tmp_path):
    out = tmp_path / "out"
    assert describe(tiny, library, out).failed == 2
    # While it is tried again its old row and its new one do not stand side by side.
    again = describe(tiny, library, out, resume=True, progress=lambda tally: by_name(out))
    assert again.failed == 2
    assert describe(tiny, library, out, resume=True).failed == 2
    tally = describe(tiny, library, out, resume=True)
    assert (tally.failed, tally.skipped, tally.aside, tally.bad) == (0, 6, 2, 2)
    assert by_name(out)["broken"]["error"]
    assert describe(tiny, library, out, retry=True).failed == 2


def test_a_file_that_was_mended_is_described_whatever_was_before(tiny, library, tmp_path, write_video):
    out = tmp_path / "out"
    for resume in (False, True, True, True):
        describe(tiny, library, out, resume=resume)
    write_video(library / "broken.mp4", (1, 4), 3.0)
    tally = describe(tiny, library, out, resume=True)
    assert (tally.described, tally.bad) == (1, 1)
    assert by_name(out)["broken"]["events"]


def test_a_job_that_was_stopped_goes_on_and_ends_like_one_that_was_not(tiny, library, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    describe(tiny, library, whole)
    left = []
    for _ in range(12):
        done = []
        tally = describe(
            tiny, library, parts, resume=True, batch_size=1,
            should_stop=lambda done=done: len(done) > 1, progress=done.append,
        )  # fmt: skip
        left.append(tally.left)
        assert len(by_name(parts)) == 8 - tally.left
        if not tally.left:
            break
    assert left[0] > 0
    assert left[-1] == 0
    assert matters(parts) == matters(whole)


def test_formats_may_be_asked_for_later(tiny, library, tmp_path):
    out = tmp_path / "out"
    describe(tiny, library, out)
    assert not (out / "srt").exists()
    tally = describe(tiny, library, out, resume=True, formats=["srt", "csv"])
    assert tally.described == 0
    assert {path.relative_to(out / "srt").as_posix() for path in out.glob("srt/**/*.srt")} == {
        "0.srt", "1.srt", "2.srt", "3.srt", "4.srt", "deeper/a copy.srt",
    }  # fmt: skip
    assert (out / "descriptions.csv").is_file()


def test_the_json_lines_are_made_again_from_the_ledger(tiny, library, tmp_path):
    out = tmp_path / "out"
    describe(tiny, library, out)
    before = matters(out)
    (out / "descriptions.jsonl").unlink()
    describe(tiny, library, out, resume=True)
    assert matters(out) == before


def test_sources_that_are_not_named_any_more_are_kept_but_not_shown(tiny, library, tmp_path):
    out = tmp_path / "out"
    describe(tiny, library, out)
    tally = describe(tiny, library / "deeper", out, resume=True)
    assert (tally.files, tally.unnamed, tally.described) == (1, 7, 0)
    assert set(by_name(out)) == {"a copy"}
    assert describe(tiny, library, out, resume=True).described == 0


def end_while_running(out, *names):
    """What is left when the program ends while these are in the model."""
    ledger = Ledger(out)
    ledger.run([entry.source for entry in ledger.entries() if entry.source.name in names])
    ledger.close()


def test_what_was_running_when_the_program_ended_is_described_again(tiny, library, tmp_path):
    out = tmp_path / "out"
    describe(tiny, library, out)
    end_while_running(out, "1", "2")
    assert describe(tiny, library, out, resume=True).described == 2


def test_a_file_that_ends_the_program_again_and_again_is_set_aside(tiny, library, tmp_path):
    out = tmp_path / "out"
    describe(tiny, library, out)
    for ends in range(1, MOST_ENDS + 1):
        end_while_running(out, "1")
        ledger = Ledger(out)
        ledger.name_sources(find_sources([str(library)]))
        assert max(entry.ends for entry in ledger.entries()) == ends
        ledger.close()
        if ends == ENDS_BEFORE_ALONE:  # it is described all the same, after the others
            shutil.copytree(out, tmp_path / "copied")
            assert describe(tiny, library, tmp_path / "copied", resume=True).described == 1
            assert by_name(tmp_path / "copied")["1"]["events"]
    tally = describe(tiny, library, out, resume=True)
    assert by_name(out)["1"]["error"]["kind"] == "ProgramEnded"
    assert (tally.described, tally.bad) == (0, 3)
    assert describe(tiny, library, out, resume=True).described == 0
    assert describe(tiny, library, out, retry=True).described == 1


def test_shards_are_disjoint_together_all_and_join_to_the_whole(tiny, library, tmp_path):
    describe(tiny, library, tmp_path / "whole", formats=["srt"])
    parts = [tmp_path / f"part{number}" for number in (1, 2, 3)]
    tallies = [describe(tiny, library, part, shard=(number, 3)) for number, part in enumerate(parts, 1)]
    assert sum(tally.files for tally in tallies) == 8
    assert sum(tally.files > 0 for tally in tallies) > 1
    tally = join_jobs(parts, tmp_path / "joined", formats=["srt"])
    assert (tally.files, tally.bad, tally.left) == (8, 2, 0)
    assert matters(tmp_path / "joined") == matters(tmp_path / "whole")
    assert len(list((tmp_path / "joined").glob("srt/**/*.srt"))) == 6
    assert describe(tiny, library, tmp_path / "joined", resume=True).described == 0


def test_what_cannot_be_joined_is_refused(tiny, library, tmp_path):
    parts = [tmp_path / "part1", tmp_path / "part2"]
    describe(tiny, library, parts[0], shard=(1, 2))
    with pytest.raises(ConfigError, match="shards 2/2 are missing"):
        join_jobs(parts[:1], tmp_path / "joined")
    describe(tiny, library, parts[1], shard=(2, 3))
    with pytest.raises(ConfigError, match="shards of different jobs"):
        join_jobs(parts, tmp_path / "joined")
    with pytest.raises(ConfigError, match="named twice"):
        join_jobs([parts[0], parts[0]], tmp_path / "joined")
    with pytest.raises(ConfigError, match="is not the output of"):
        join_jobs([library], tmp_path / "joined")
    with pytest.raises(ConfigError, match="I from 1 to N"):
        describe(tiny, library, tmp_path / "out", shard=(3, 2))


def test_jobs_of_other_folders_join_too(tiny, tmp_path, write_video):
    for name in ("one", "two"):
        write_video(tmp_path / name / "clip.mp4", (len(name), 1), 2.0)
        write_video(tmp_path / name / f"{name}.mp4", (2,), 2.0)
        describe(tiny, tmp_path / name, tmp_path / f"out {name}")
    join_jobs([tmp_path / "out one", tmp_path / "out two"], tmp_path / "joined", formats=["md"])
    named = by_name(tmp_path / "joined")
    assert len(named) == 4
    assert len(list((tmp_path / "joined" / "md").iterdir())) == 4


def test_a_ledger_of_something_else_is_refused(tiny, library, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "ledger.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match="not a ledger"):
        describe(tiny, library, out, resume=True)
    (out / "ledger.sqlite").unlink()
    describe(tiny, library, out, resume=True)
    with sqlite3.connect(out / "ledger.sqlite") as base:
        base.execute("UPDATE facts SET value = '99' WHERE name = 'version'")
    base.close()
    with pytest.raises(DataError, match="format 99"):
        describe(tiny, library, out, resume=True)
