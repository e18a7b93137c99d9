"""Subtitles of events: FFmpeg reads the same texts and times back, whatever they are."""

from __future__ import annotations

import html
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.describe.subtitle_files import one_line, srt, vtt
from videollm.values import Event

# What breaks subtitles that are written carelessly.
NASTY = (
    "A man walks in.\n\nThen he leaves.",
    "1\n00:00:09,000 --> 00:00:10,000\nnot a cue",
    "a --> b <b>bold</b> </i> <unk> & {\\an8} x < y > z",
    "WEBVTT",
    "1999",
    "word " * 60,
    "红色的星星向左移动" * 10,
    "https://example.org/" + "x" * 80,
)


def in_turn(texts: tuple[str, ...], seconds: float = 2.5) -> tuple[Event, ...]:
    return tuple(Event(number * seconds, (number + 1) * seconds, text) for number, text in enumerate(texts))


def cues_of(written: str, format: str) -> list[tuple[int, int, str]]:
    """What FFmpeg finds in a subtitle file: start and end in milliseconds, and the text as it is stored."""
    with av.open(io.BytesIO(written.encode()), format=format) as container:
        packets = [packet for packet in container.demux() if packet.size]
    return [(packet.pts, packet.pts + packet.duration, bytes(packet).decode()) for packet in packets]


def letters(text: str) -> str:
    """A text without spaces, since lines are wrapped, and without the invisible joiner."""
    return re.sub(r"[\s\u2060]", "", one_line(text))


@pytest.mark.parametrize("format", ["srt", "vtt"])
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the path")
def test_ffmpeg_takes_the_subtitles_and_shows_the_texts_as_they_are(tmp_path: Path, format: str) -> None:
    events = in_turn(NASTY)
    path = tmp_path / f"clip.{format}"
    path.write_text((srt if format == "srt" else vtt)(events), encoding="utf-8")
    command = ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "ass", "-"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    lines = [line for line in run.stdout.splitlines() if line.startswith("Dialogue:")]
    shown = [re.sub(r"\\([{}])", r"\1", line.split(",", 9)[9]).replace("\\N", " ") for line in lines]
    assert [letters(text) for text in shown] == [letters(event.text) for event in events]


@pytest.mark.parametrize(("format", "write", "read"), [("srt", srt, str), ("webvtt", vtt, html.unescape)])
def test_cues_have_the_times_of_their_events_and_lines_of_a_readable_length(
    format: str, write: Callable[..., str], read: Callable[[str], str]
) -> None:
    found = cues_of(write(in_turn(NASTY, 2.3456)), format)
    assert [cue[:2] for cue in found] == [
        (round(number * 2345.6), round((number + 1) * 2345.6)) for number in range(len(NASTY))
    ]
    assert max(len(line.replace("\u2060", "")) for cue in found for line in read(cue[2]).splitlines()) == 42


def test_times_are_written_as_the_formats_want_them_beyond_a_hundred_hours_too() -> None:
    events = (Event(3.5, 3661.0004, "one"), Event(3661.0004, 400_000.25, "two"))
    assert srt(events) == (
        "1\n00:00:03,500 --> 01:01:01,000\none\n\n2\n01:01:01,000 --> 111:06:40,250\ntwo\n\n"
    )
    assert vtt(events) == (
        "WEBVTT\n\n00:00:03.500 --> 01:01:01.000\none\n\n01:01:01.000 --> 111:06:40.250\ntwo\n"
    )


@pytest.mark.parametrize(("format", "write", "read"), [("srt", srt, str), ("webvtt", vtt, html.unescape)])
@given(
    events=st.lists(
        st.builds(Event, st.floats(0, 500_000), st.floats(0, 500_000), st.text() | st.sampled_from(NASTY))
    )
)
def test_any_events_become_a_cue_each_in_order_and_without_overlap(
    format: str, write: Callable[..., str], read: Callable[[str], str], events: list[Event]
) -> None:
    told = sorted((event for event in events if letters(event.text)), key=lambda event: event.start_s)
    written = write(events)
    if not told:
        assert written == ""
        return
    found = cues_of(written, format)
    assert [letters(read(text)) for _, _, text in found] == [letters(event.text) for event in told]
    assert all(start < end for start, end, _ in found)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(found))
