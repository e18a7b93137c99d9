"""The HTML parts of the page: true times, escaped names, a player or a picture, and what an answer cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from videollm.values import Answer, Span, Usage, VideoInfo
from videollm_serve.service.events import BroughtFile, MediumView, SeenFrame
from videollm_serve.ui import panel

FILES = Path("/uploads")
HOSTILE = 'a"><script>alert(1)</script>&.mp4'


def view(
    name: str = "clip.mp4", kind: str = "video", container: str = "mp4", notices: tuple[str, ...] = ()
) -> MediumView:
    info = VideoInfo(
        path=FILES / "an-id",
        kind=kind,  # type: ignore[arg-type]
        duration_s=0.0 if kind == "image" else 61.5,
        width=320,
        height=240,
        fps=0.0 if kind == "image" else 29.97,
        frame_count=None,
        codec="h264",
        container=container,
        pixel_format="yuv420p",
        rotation_deg=0,
        sample_aspect=1.0,
        has_audio=False,
        variable_frame_rate=False,
        keyframe_gap_s=None,
    )
    file = BroughtFile("an-id", name, info.path)
    return MediumView(file, info, (SeenFrame(0.25, b"a"), SeenFrame(60.96, b"b")), 34, notices)


def test_a_video_gets_a_player_with_its_facts() -> None:
    html = panel.players([view()])
    assert '<video data-player="0" src="media/an-id" data-duration="61.500"' in html
    assert "1:01.5 · 320 × 240 · h264 · 30 fps" in html
    assert "cannot play" in html
    assert str(FILES) not in html


@pytest.mark.parametrize(
    "shown", [view("still.png", kind="image", container="png"), view("loop.gif", container="gif")]
)
def test_a_still_or_an_animation_is_shown_as_a_picture(shown: MediumView) -> None:
    html = panel.players([shown])
    assert "<img data-player" in html
    assert "<video" not in html


def test_signs_of_damage_are_told_beside_the_facts() -> None:
    assert "clip.mp4 is damaged" in panel.players(
        [view(notices=("clip.mp4 is damaged (3 corrupt packets)",))]
    )


def test_the_strip_has_every_frame_with_its_time() -> None:
    html = panel.strips([view(), view("b.mp4")])
    assert html.count("<li>") == 4
    assert 'data-medium="1" data-seek="60.960" aria-label="Go to 1:01.0"' in html
    assert "What the model saw of b.mp4" in html
    assert "2 frames, 34 visual tokens" in html


def test_no_name_or_message_can_become_markup() -> None:
    hostile = view(HOSTILE, notices=(HOSTILE,))
    parts = (
        panel.players([hostile]),
        panel.strips([hostile, hostile]),
        panel.reading(HOSTILE),
        panel.receipt([(HOSTILE, 1, 1)]),
        panel.problem(HOSTILE),
        panel.usage(Answer("", (), Usage(1, 1, 1, 0, 1, {"<b>": 1.0}), "stop", (HOSTILE,))),
    )
    assert [part for part in parts if "<script" in part or "<b>:" in part] == []


def test_the_usage_line_says_what_the_answer_cost_and_how_it_ended() -> None:
    cost = Usage(16, 130, 210, 180, 1, {"read": 0.2, "generate": 0.31})
    answer = Answer("red", (Span(3.0, 5.2, 0.9, video=1),), cost, "length", ("sound is not heard",))
    html = panel.usage(answer)
    for fact in (
        "16 frames",
        "130 visual tokens",
        "210 prompt tokens (180 kept)",
        "1 answer token ",
        "0.5 s",
    ):
        assert fact in html
    assert "cut short" in html
    assert "sound is not heard" in html
    assert "stopped" in panel.usage(Answer("re", (), cost, "cancelled"))
