"""Rows as files: other programs read them back as they were meant, and a disk in trouble costs no old file."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from videollm.data.reading import Located, read_records
from videollm.describe.atomic import replacing
from videollm.describe.outputs import FORMATS, check_formats, remove_files, write_collections, write_files
from videollm.describe.rows import Failure, Row, Source
from videollm.describe.subtitle_files import one_line
from videollm.errors import ConfigError
from videollm.values import Event, Usage


def described(events: tuple[Event, ...], name: str = "clip", **more: object) -> Row:
    source = Source(Path(f"/videos/{name}.mp4"), name=name)
    return Row(source, "", "model", **{"duration_s": 60.0, "summary": "All.", "events": events, **more})


def failed(name: str = "clip") -> Row:
    error = Failure("UnreadableVideoError", f'{name}: "no" picture,\nnone')
    return Row(Source(Path(f"/videos/{name}.mp4"), name=name), "", "model", error=error)


def in_turn(texts: tuple[str, ...], seconds: float = 2.5) -> tuple[Event, ...]:
    return tuple(Event(number * seconds, (number + 1) * seconds, text) for number, text in enumerate(texts))


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_formats_come_in_their_order_and_json_lines_always() -> None:
    assert check_formats(["html", "srt", "html"]) == ("jsonl", "srt", "html")
    assert check_formats([]) == ("jsonl",)
    with pytest.raises(
        ConfigError, match="unknown output format 'docx'; choose from jsonl, srt, vtt"
    ) as caught:
        check_formats(["srt", "docx"])
    assert "\n" not in str(caught.value)


def test_a_source_that_fails_later_loses_its_files_and_one_without_texts_has_no_subtitles(
    tmp_path: Path,
) -> None:
    write_files(described(in_turn(("a",)), "day/one"), FORMATS, tmp_path)
    write_files(described((), "two"), FORMATS, tmp_path)
    assert files_below(tmp_path) == {"srt/day/one.srt", "vtt/day/one.vtt", "md/day/one.md", "md/two.md"}
    write_files(failed("day/one"), FORMATS, tmp_path)
    write_files(failed("never/there"), FORMATS, tmp_path)
    assert files_below(tmp_path) == {"md/two.md"}


def test_rows_are_read_back_from_lines_of_json_and_the_table(tmp_path: Path) -> None:
    usage = Usage(8, 64, 100, 0, 20, {"read": 0.5})
    events = (
        Event(0.1, 0.333, '=1+1, "quoted"\nand more'),
        Event(0.333, 5.0, "\r"),
        Event(5.0, 60.0, "零\u2028é"),
    )
    odd = Source(Path(os.fsdecode(b'/videos/caf\xe9, "1".mp4')), 1.5, 60.0, "odd")
    rows = [
        described(events, usage=usage, notices=("n",)),
        failed(),
        Row(odd, "", "model", events=events),
        described((), summary="None\nat all.", same_as="/videos/other.mp4"),
    ]
    write_collections(lambda: iter(rows), ("jsonl", "csv"), tmp_path)
    lines = (tmp_path / "descriptions.jsonl").read_text("utf-8").split("\n")
    assert lines.pop() == ""
    assert [Row.from_dict(json.loads(line)) for line in lines] == rows
    with (tmp_path / "descriptions.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(float(line["start_s"]), float(line["end_s"]), line["text"]) for line in found[:3]] == [
        (event.start_s, event.end_s, event.text) for event in events
    ]
    shared = ("path", "duration_s", "summary", "same_as", "error")
    for line in found[:3]:
        assert [line[name] for name in shared] == ["/videos/clip.mp4", "60.0", "All.", "", ""]
    assert list(found[3].items()) == [
        ("path", "/videos/clip.mp4"), ("duration_s", ""), ("summary", ""), ("start_s", ""), ("end_s", ""),
        ("text", ""), ("same_as", ""), ("error", 'clip: "no" picture,\nnone'),
    ]  # fmt: skip
    assert {line["path"] for line in found[4:7]} == {'/videos/caf\\udce9, "1".mp4'}
    assert [list(line.values()) for line in found[7:]] == [
        ["/videos/clip.mp4", "60.0", "None\nat all.", "", "", "", "/videos/other.mp4", ""]
    ]


def test_times_are_written_as_whole_milliseconds(tmp_path: Path) -> None:
    events = (Event(0.1 * 3, 16.639999999999997, "a"), Event(16.639999999999997, 60.00049, "b"))
    row = described(
        events, duration_s=60.00049, usage=Usage(8, 64, 100, 0, 20, {"read": 0.12345}),
        plan={"start_s": 0.1 * 3, "end_s": 60.00049, "frames": 24},
    )  # fmt: skip
    row = replace(row, source=replace(row.source, start_s=0.1 * 3, end_s=99.99999))
    write_collections(lambda: iter([row]), ("jsonl", "csv", "activitynet"), tmp_path)
    found = json.loads((tmp_path / "descriptions.jsonl").read_text())
    assert [(one["start_s"], one["end_s"]) for one in found["events"]] == [(0.3, 16.64), (16.64, 60.0)]
    assert found["plan"] == {"start_s": 0.3, "end_s": 60.0, "frames": 24}
    assert (found["duration_s"], found["usage"]["seconds"]) == (60.0, {"read": 0.123})
    assert (found["start_s"], found["end_s"]) == (0.1 * 3, 99.99999)  # the file is known by them
    assert json.loads((tmp_path / "activitynet.json").read_text())["clip"]["timestamps"] == [
        [0.3, 16.64], [16.64, 60.0],
    ]  # fmt: skip
    with (tmp_path / "descriptions.csv").open(newline="") as file:
        assert [(line["start_s"], line["end_s"]) for line in csv.DictReader(file)] == [
            ("0.3", "16.64"), ("16.64", "60.0"),
        ]  # fmt: skip


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_rounded_times_keep_their_order_and_are_read_back_as_they_are(times: list[float]) -> None:
    times = sorted(times)
    row = described(tuple(Event(start, end, "") for start, end in pairwise(times)), duration_s=times[-1])
    found = Row.from_dict(json.loads(row.to_json()))
    assert all(event.start_s <= event.end_s <= found.duration_s for event in found.events)
    assert all(earlier.end_s == later.start_s for earlier, later in pairwise(found.events))
    assert Row.from_dict(json.loads(found.to_json())) == found == row.rounded()


@given(st.lists(st.floats(0, 1e5), min_size=2))
def test_files_are_the_same_when_they_are_written_again_from_the_ledger(
    tmp_path_factory: pytest.TempPathFactory, times: list[float]
) -> None:
    out = tmp_path_factory.getbasetemp() / "again"
    row = described(tuple(Event(start, end, "a") for start, end in pairwise(sorted(times))))
    written = []
    for one in (row, Row.from_dict(json.loads(row.to_json()))):
        write_files(one, FORMATS, out)
        written.append([(out / name).read_bytes() for name in sorted(files_below(out))])
    assert written[0] == written[1]


def test_our_own_reader_takes_the_activitynet_file(tmp_path: Path) -> None:
    for name in ("clip", "two"):
        (tmp_path / f"{name}.mp4").touch()
    rows = [failed("bad"), described(in_turn(("a", "b “c”"))), described(in_turn(("d",)), "two")]
    write_collections(lambda: iter(rows), ("activitynet",), tmp_path)
    path = tmp_path / "activitynet.json"
    assert json.loads(path.read_text("utf-8")) == {
        "clip": {"duration": 60.0, "timestamps": [[0.0, 2.5], [2.5, 5.0]], "sentences": ["a", "b “c”"]},
        "two": {"duration": 60.0, "timestamps": [[0.0, 2.5]], "sentences": ["d"]},
    }
    found = [one for one in read_records(path) if isinstance(one, Located)]
    assert [one.record.events for one in found] == [
        ((0.0, 2.5, "a"), (2.5, 5.0, "b “c”")),
        ((0.0, 2.5, "d"),),
    ]


def test_a_job_in_which_all_failed_gives_an_empty_object(tmp_path: Path) -> None:
    write_collections(lambda: iter([failed()]), ("activitynet",), tmp_path)
    assert json.loads((tmp_path / "activitynet.json").read_text()) == {}


def shown_by_markdown(written: str) -> list[tuple[str, str]]:
    """The kind of each block with text, and the text as a person reads it."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(written)
    found = []
    for before, token in pairwise(tokens):
        if token.type == "inline":
            shown = [child.content for child in token.children or () if child.type == "text"]
            found.append((before.type, "".join(shown)))
    return found


@given(
    st.text(),
    st.lists(st.text()),
    st.text(),
    st.text(alphabet="#*_-+=1.)`<>[]()!&|~\\ \n:a", max_size=40),
    st.text(alphabet="#*_-+=1.)`<>[]()!&|~\\ :aé“", max_size=40),
)
def test_markdown_shows_texts_as_they_are(
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    notices: list[str],
    summary: str,
    marks: str,
    name: str,
) -> None:
    out = tmp_path_factory.getbasetemp() / "markdown"
    row = described(in_turn((text, marks)), notices=(*notices, marks), summary=summary)
    row = replace(row, source=replace(row.source, path=Path("/videos", f"a{name}")))
    write_files(row, ("md",), out)
    found = shown_by_markdown((out / "md" / "clip.md").read_text("utf-8"))
    paragraphs = [one_line(part) for part in re.split(r"\n\s*\n", summary)]
    expected = [
        one_line(f"a{name}"),
        *paragraphs,
        f"0:00–0:03 {one_line(text)}",
        f"0:03–0:05 {one_line(marks)}",
        *map(one_line, (*notices, marks)),
    ]
    assert [text.strip() for _, text in found] == [text.strip() for text in expected if text]
    assert found[0][0] == "heading_open"
    assert {kind for kind, _ in found[1:]} == {"paragraph_open"}


def test_markdown_names_the_file_and_its_part(tmp_path: Path) -> None:
    source = Source(Path("/videos/my_clip #1.mp4"), 4.0, 9.0, "clip")
    write_files(
        Row(source, "", "model", 60.0, summary="A *red* star.", events=(Event(4, 9, "It moves."),)),
        ("md",),
        tmp_path,
    )
    assert (tmp_path / "md" / "clip.md").read_text("utf-8") == (
        "# my_clip #1.mp4 0:04–0:09\n\nA \\*red\\* star.\n\n- **0:04–0:09** It moves.\n"
    )


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("15.mkv", "# 15.mkv"),
        ("- a_b _c_.mkv", "# - a_b \\_c\\_.mkv"),
        ("+1) #2.mkv", "# +1) #2.mkv"),
        ("take #", "# take \\#"),
        ("###", "# ##\\#"),
        ("*.mkv", "# \\*.mkv"),
    ],
)
def test_a_heading_has_no_backslash_that_it_does_not_need(tmp_path: Path, name: str, heading: str) -> None:
    row = Row(Source(Path("/videos", name), name="clip"), "", "model", summary="15. It moves.")
    write_files(row, ("md",), tmp_path)
    written = (tmp_path / "md" / "clip.md").read_text("utf-8")
    assert written == f"{heading}\n\n15\\. It moves.\n"
    assert shown_by_markdown(written) == [("heading_open", name), ("paragraph_open", "15. It moves.")]


def test_a_part_is_told_as_far_as_there_was_a_video(tmp_path: Path) -> None:
    plan = {"start_s": 85.0, "end_s": 90.0, "frames": 5}
    for end_s in (300.0, None):
        source = Source(Path("/videos/clip.mp4"), 85.0, end_s, "clip")
        row = Row(source, "", "model", 90.0, plan, events=(Event(85, 90, "It moves."),))
        write_files(row, ("md",), tmp_path)
        assert (tmp_path / "md" / "clip.md").read_text("utf-8").startswith("# clip.mp4 1:25–1:30\n")
        write_files(replace(row, plan=None), ("md",), tmp_path)
        asked = "from 1:25" if end_s is None else "1:25–5:00"
        assert (tmp_path / "md" / "clip.md").read_text("utf-8").startswith(f"# clip.mp4 {asked}\n")


def test_files_of_a_name_are_removed_with_folders_that_are_empty_then(tmp_path: Path) -> None:
    for name in ("a/b/one", "a/two"):
        write_files(described(in_turn(("a",)), name), FORMATS, tmp_path)
    (tmp_path / "srt" / "file.srt").touch()
    for name in ("a/b/one", "never/there", "file.srt/one"):
        remove_files(name, tmp_path)
    assert files_below(tmp_path) == {"srt/a/two.srt", "vtt/a/two.vtt", "md/a/two.md", "srt/file.srt"}
    assert not (tmp_path / "md" / "a" / "b").exists()


def test_a_job_of_many_rows_is_written_without_holding_them(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        for number in range(3000):
            yield described((Event(0.0, 60.0, f"{number} " * 2000),), f"clip{number:04}")

    tracemalloc.start()
    write_collections(rows, FORMATS, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (tmp_path / "descriptions.jsonl").stat().st_size / 2


def test_a_disk_that_takes_no_more_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    rows = [described(in_turn(("old",)))]
    write_collections(lambda: iter(rows), FORMATS, tmp_path)
    write_files(rows[0], FORMATS, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    longer = described(in_turn(("new " * 3000,)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limits[1]))
    try:
        for format in FORMATS:
            with pytest.raises(OSError, match="File too large"):  # noqa: PT012 - one of the two writes it
                write_files(longer, (format,), tmp_path)
                write_collections(lambda: iter([longer]), (format,), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)} == before


def test_a_folder_in_the_place_of_a_file_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inner").mkdir(parents=True)
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "taken") as file:
        file.write("x")
    assert files_below(tmp_path) == set()


def test_a_file_whose_writing_breaks_off_stays_as_it_was(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        yield described(())
        raise KeyboardInterrupt

    write_collections(lambda: iter(()), ("jsonl",), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_collections(rows, ("jsonl",), tmp_path)
    assert files_below(tmp_path) == {"descriptions.jsonl"}
    assert (tmp_path / "descriptions.jsonl").read_text() == ""


def test_files_are_readable_by_those_whom_the_umask_lets(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as file:
        file.write("x")
    (tmp_path / "other").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_name_as_long_as_a_file_system_allows_can_be_written(tmp_path: Path) -> None:
    write_files(described(in_turn(("a",)), "x" * 251), ("srt",), tmp_path)
    assert len(files_below(tmp_path)) == 1


def test_writing_files_loads_no_torch() -> None:
    program = "import sys, videollm.describe.outputs; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
