"""Later runs on a directory leave no file behind that tells something else than the others."""

import csv
import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from videollm import ConfigError, describe_files
from videollm.describe.joining import join_jobs
from videollm.describe.ledger import Ledger
from videollm.describe.settings import DescribeOptions
from videollm.describe.sources import find_sources


@pytest.fixture
def library(tmp_path, write_video):
    folder = tmp_path / "library"
    write_video(folder / "colours.mp4", (0, 1), 2.0)
    write_video(folder / "deeper" / "night.mp4", (2, 3), 2.0)
    return folder


@pytest.fixture
def describe(tiny, tmp_path):
    def describe(*named, out=tmp_path / "out", **settings):
        sources = find_sources([str(one) for one in named])
        return describe_files(tiny, sources, out, DescribeOptions(max_new_tokens=4), resume=True, **settings)

    return describe


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def files(out, *formats):
    return {
        path.relative_to(out).as_posix() for format in formats for path in (out / format).rglob("*")
    }  # folders too: none is left empty


def names_told(out):
    """The names of files in each of what is written for a whole job."""
    with (out / "descriptions.csv").open(newline="") as file:
        table = {line["path"].rpartition("/")[2] for line in csv.DictReader(file)}
    lines = (out / "descriptions.jsonl").read_text().splitlines()
    page = (out / "index.html").read_text()
    return [
        table,
        {json.loads(line)["path"].rpartition("/")[2] for line in lines},
        {name for name in ("colours.mp4", "night.mp4") if f"{name}</a></h2>" in page},
        {f"{name.rpartition('/')[2]}.mp4" for name in json.loads((out / "activitynet.json").read_text())},
    ]


def test_what_was_asked_for_once_is_written_by_every_later_run(describe, library, out):
    formats = ["csv", "html", "srt", "vtt", "activitynet"]
    describe(library / "colours.mp4", formats=formats)
    assert names_told(out) == [{"colours.mp4"}] * 4
    describe(library, formats=["md"])
    assert names_told(out) == [{"colours.mp4", "night.mp4"}] * 4
    assert files(out, "srt", "vtt", "md") == {
        "srt/colours.srt", "vtt/colours.vtt", "md/colours.md",
        "srt/deeper", "vtt/deeper", "md/deeper",
        "srt/deeper/night.srt", "vtt/deeper/night.vtt", "md/deeper/night.md",
    }  # fmt: skip
    describe(library / "deeper", retry=True)
    assert names_told(out) == [{"night.mp4"}] * 4
    assert "md/night.md" in files(out, "md")


def test_a_job_that_is_begun_anew_and_one_that_was_refused_remember_nothing(describe, tiny, library, out):
    with pytest.raises(ConfigError, match="unknown output format"):
        describe(library, formats=["srt", "doc"])
    describe(library, formats=["csv"])
    sources = find_sources([str(library)])
    describe_files(tiny, sources, out, DescribeOptions(max_new_tokens=4), overwrite=True, formats=["vtt"])
    describe(library)
    assert (out / "vtt" / "colours.vtt").is_file()
    assert not (out / "srt").exists()
    assert not (out / "descriptions.csv").exists()


def test_a_stopped_run_is_remembered_too(describe, library, out):
    assert describe(library, formats=["csv"], should_stop=lambda: True).left == 2
    assert describe(library).left == 0
    assert (out / "descriptions.csv").is_file()


def test_a_joined_job_remembers_its_formats(describe, library, tmp_path):
    parts = [tmp_path / "part1", tmp_path / "part2"]
    for number, part in enumerate(parts, 1):
        describe(library, out=part, shard=(number, 2), formats=["md"])
    joined = tmp_path / "joined"
    join_jobs(parts, joined, formats=["srt"])
    describe(library / "colours.mp4", out=joined)
    (joined / "srt" / "colours.srt").unlink()
    describe(library, out=joined, formats=["csv"])
    assert files(joined, "srt", "md") == {"srt/colours.srt", "srt/deeper", "srt/deeper/night.srt"}


def test_a_directory_of_an_earlier_version_goes_on(describe, library, out):
    describe(library, formats=["srt"])
    with closing(sqlite3.connect(out / "ledger.sqlite")) as base:
        base.executescript(
            "DELETE FROM facts WHERE name = 'formats'; DROP TRIGGER renamed; DROP TABLE old_names;"
        )
    shutil.copy(library / "colours.mp4", library / "colours.mkv")
    tally = describe(library, formats=["srt"])
    assert (tally.described, tally.copied, tally.skipped) == (0, 1, 2)
    assert files(out, "srt") == {
        "srt/colours.mp4.srt", "srt/colours.mkv.srt", "srt/deeper", "srt/deeper/night.srt",
    }  # fmt: skip


def test_a_source_that_is_called_otherwise_leaves_no_files_of_its_old_name(
    describe, library, out, write_video
):
    describe(library, formats=["srt", "vtt", "md"])
    write_video(library / "colours.mkv", (4, 5), 2.0)
    assert describe(library).described == 1
    assert {name for name in files(out, "srt", "vtt", "md") if "colours" in name} == {
        f"{format}/colours.{suffix}.{format}" for format in ("srt", "vtt", "md") for suffix in ("mp4", "mkv")
    }
    (library / "colours.mkv").unlink()
    describe(library)  # the one is not named now, and what was written of it stays
    assert {name for name in files(out, "srt") if "colours" in name} == {
        "srt/colours.srt", "srt/colours.mkv.srt",
    }  # fmt: skip


def test_what_is_not_named_keeps_its_files_and_a_new_name_has_no_empty_folder(describe, library, out):
    describe(library, formats=["md"])
    describe(library / "deeper")
    assert files(out, "md") == {"md/colours.md", "md/night.md"}


def test_a_name_that_another_source_has_now_keeps_its_files(describe, library, out, write_video):
    first = library / "colours.mp4"
    other = write_video(library / "other" / "colours.mp4", (4,), 3.0)
    describe(first, formats=["md"])
    ours = (out / "md" / "colours.md").read_text()
    describe(other)
    theirs = (out / "md" / "colours.md").read_text()
    assert "0:00–0:03" in theirs
    assert theirs != ours
    # Its file was overwritten meanwhile, and is written again.
    describe(first)
    assert (out / "md" / "colours.md").read_text() == ours
    describe(library)
    assert files(out, "md") == {
        "md/colours.md", "md/deeper", "md/deeper/night.md", "md/other", "md/other/colours.md",
    }  # fmt: skip
    assert (out / "md" / "colours.md").read_text() == ours
    assert (out / "md" / "other" / "colours.md").read_text() == theirs


def test_a_run_that_ends_before_it_tidies_up_leaves_that_to_the_next(describe, library, out):
    describe(library / "deeper", formats=["srt"])
    with closing(Ledger(out)) as ledger:
        ledger.name_sources(find_sources([str(library)]))  # and then it is killed
    assert files(out, "srt") == {"srt/night.srt"}
    describe(library)
    assert files(out, "srt") == {"srt/colours.srt", "srt/deeper", "srt/deeper/night.srt"}


def test_what_a_killed_program_left_half_written_is_removed_and_nothing_else_is(describe, library, out):
    describe(library, formats=("srt", "html"))
    whole = {path for path in out.rglob("*") if path.is_file()}
    pictures = {path.parent for path in (out / "thumbnails").rglob("*.jpg")}
    for folder in (out, out / "srt" / "deeper", *pictures):
        (folder / ".0123456789abcdef.part").write_text("half")
    for own in (out / ".part", out / "srt" / ".mine.part", out / "0123456789abcdef.part"):
        own.write_text("mine")
        whole.add(own)
    describe(library)
    assert {path for path in out.rglob("*") if path.is_file()} == whole
