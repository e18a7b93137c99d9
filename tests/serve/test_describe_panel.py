"""A description as the tab "Describe" shows and keeps it, and as it is taken away."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.describe.subtitle_files import time_range
from videollm.errors import ConfigError
from videollm.values import Event
from videollm_serve.ui import describe_panel as panel
from videollm_serve.ui.describe_downloads import downloads
from videollm_serve.ui.describe_sheets import EVERY, Sheet, Wish

from .described_html import Found, content_of

HOSTILE = 'a"><script>alert(1)</script>&.mp4'


def sheet(state: Any = "done", name: str = "clip.mp4", **fields: Any) -> Sheet:
    events = (Event(0.0, 3.25, "a <b>star"), Event(3.25, 3700.0, ""), Event(3700.0, 3701.5, "an end & more"))
    given = {"events": events, "summary": "All of it", "duration_s": 3701.5, "read_s": 12.0, **fields}
    return Sheet("an-id", name, Wish("tiny", "dense"), state, **given)


def test_no_name_text_or_message_can_become_markup() -> None:
    hostile = sheet(
        name=HOSTILE, summary=HOSTILE, notices=(HOSTILE,), events=(Event(0.0, 1.0, HOSTILE),), problem=HOSTILE
    )
    parts = [panel.description(hostile, 0), panel.hint(HOSTILE), panel.problem(HOSTILE)]
    for state in ("running", "done", "stopped", "failed"):
        parts += [panel.progress(hostile.ended(state, HOSTILE)), panel.description(hostile.ended(state), 0)]
    expected = {"section", "p", "div", "button", "span", "a", "ol", "li", "progress"}
    assert {tag for part in parts for tag in Found(part).tags} == expected


def test_times_say_where_to_go_and_empty_texts_are_no_subtitles() -> None:
    found = Found(panel.description(sheet(), 2))
    assert [(button["data-seek"], button["data-end"]) for button in found.buttons] == [
        ("0.000", "3.250"),
        ("3.250", "3700.000"),
        ("3700.000", "3701.500"),
    ]
    assert {button["data-medium"] for button in found.buttons} == {"2"}
    assert time_range(3700.0, 3701.5) in found.texts
    assert content_of(found.links[1]).count("-->") == 2


def test_a_summary_that_says_what_the_only_text_says_is_not_shown_twice() -> None:
    only = sheet(events=(Event(0.0, 1.0, "a star"),), summary="a star")
    assert Found(panel.description(only, 0)).texts.count("a star") == 1
    longer = sheet(events=(Event(0.0, 1.0, "a star"),), summary="a star grows")
    assert "a star grows" in Found(panel.description(longer, 0)).texts


def test_nothing_is_offered_to_take_away_while_it_is_made() -> None:
    assert Found(panel.description(sheet("running"), 0)).links == []
    assert panel.description(Sheet("an-id", "clip.mp4", Wish()), 0) == ""
    assert "dense" in panel.description(sheet("running"), 0).lower()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"place": 1}, "one other comes before"),
        ({"place": 3}, "3 others come before"),
        ({"read_s": 0.0}, "reading …"),
        ({}, "read 0:12 of 1:01:42 …"),
        ({"duration_s": None}, "read 0:12 …"),
    ],
)
def test_the_line_says_how_far_it_is(fields: dict[str, Any], words: str) -> None:
    html = panel.progress(sheet("running", **fields))
    assert words in html
    assert ("<progress" in html) == (fields.get("duration_s", 1) is not None)
    assert "Stopping" in panel.progress(sheet("running", **fields), stopping=True)


@given(st.text(min_size=1, max_size=40).filter(lambda name: name.isprintable()))
def test_files_to_take_away_are_named_after_the_video(name: str) -> None:
    files = downloads(sheet(name=name))
    assert [file.name[file.name.rindex(".") :] for file in files] == [".srt", ".vtt", ".json"]
    stems = {file.name[: file.name.rindex(".")] for file in files}
    assert len(stems) == 1
    assert not set(stems.pop()) & set('<>:"/\\|?*')
    assert all(unquote(file.address) == file.address for file in files), "an address needs no more quoting"


@given(
    st.sampled_from(["brief", "normal", "dense"]),
    st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5), st.text())),
    st.text(),
)
def test_a_sheet_is_kept_as_it_is_to_the_millisecond(
    detail: Any, events: list[tuple[float, float, str]], summary: str
) -> None:
    wish = Wish("tiny", detail)
    whole = Sheet("id", "name", wish, "done", tuple(Event(*event) for event in events), summary, ("so",))
    kept = json.loads(json.dumps(whole.to_json()))
    again = Sheet.from_json("id", "name", json.loads(json.dumps(wish.to_json())), kept)
    assert again.to_json() == whole.to_json()
    assert (again.wish, again.state, again.summary) == (wish, "done", summary)
    assert all(abs(a.start_s - b.start_s) <= 5e-4 for a, b in zip(again.events, whole.events, strict=True))


def test_a_wish_takes_seconds_or_a_density_never_both() -> None:
    assert Wish.of("m", EVERY, 4.0) == Wish("m", every_s=4.0)
    assert Wish.of("m", "dense", 4.0) == Wish("m", "dense")
    assert Wish.from_json({"detail": "brief", "of a later version": 1}) == Wish("", "brief")
    for wrong in ((EVERY, 0.0), (EVERY, None), ([], None)):
        with pytest.raises(ConfigError):
            Wish.of("m", *wrong)
