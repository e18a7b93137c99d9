"""The subtitles in a real Chromium, over a real clip."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from videollm.describe.outputs import write_files
from videollm.describe.rows import Row, Source
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm.values import Event

from .visiting import Visitor

ODD_TEXT = "A <i>red</i> star & a box: 'one'.<script>document.title = 'hacked'</script>"
# The server gives whole files only, and to jump to a second all of a clip must be at hand: so it is fetched first.
PLAYER = """<!doctype html><link rel="icon" href="data:,">
<video id="video" muted><track default src="vtt/plain.vtt"></video>
<script>
fetch("plain.webm").then(answer => answer.blob()).then(clip => { video.src = URL.createObjectURL(clip) });
</script>
"""


@pytest.fixture
def row(tmp_path: Path) -> Row:
    clip = sample_clip(42, "test", shots=2, duration_s=(6.0, 9.0), max_short_side=96)
    path = tmp_path / "plain.webm"
    write_clip(clip, path, codec="vp8", keyframe_gap=10)
    half = clip.duration_s / 2
    events = (Event(0.0, half, "A star moves."), Event(half, clip.duration_s, ODD_TEXT))
    return Row(Source(path, name="plain"), "", "model", clip.duration_s, events=events)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the video is served; browsers take no subtitles from files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_chromium_shows_the_subtitles_at_their_times(
    visitor: Visitor, address: str, row: Row, tmp_path: Path
) -> None:
    write_files(row, ("vtt",), tmp_path)
    (tmp_path / "play.html").write_text(PLAYER)
    with visitor.at(f"{address}/play.html") as page:
        page.wait_for_function("document.querySelector('track').readyState === 2")
        page.wait_for_function("document.querySelector('video').readyState >= 3")
        for event in row.events:
            page.evaluate("second => { video.currentTime = second }", (event.start_s + event.end_s) / 2)
            page.wait_for_function(
                "second => !video.seeking && video.textTracks[0].activeCues[0]?.startTime === second",
                arg=round(event.start_s, 3),
            )
            (shown,) = page.evaluate(
                "[...video.textTracks[0].activeCues].map(cue => [cue.endTime, cue.getCueAsHTML().textContent])"
            )
            assert shown[0] == round(event.end_s, 3)
            assert shown[1].replace("\n", " ") == event.text
