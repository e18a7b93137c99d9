"""The tab "Describe" as a person uses it: ``videollm serve`` in a process of its own, and a real Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from videollm.video.subtitles import Cue, read_subtitles

from .browsing import Visit, running_server, visiting

HOSTILE = "<img src=x onerror=alert(1)> a.mp4"

# What each player shows as subtitles: whether they are on, and from when to when there is which text.
TRACKS = """() => [...document.querySelectorAll("video[data-player]")].map(video => [...video.textTracks].map(track => [
    track.mode, [...(track.cues ?? [])].map(cue => [cue.startTime, cue.endTime, cue.getCueAsHTML().textContent])]))"""


@pytest.fixture(scope="module")
def url(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the program runs with the tiny random model, whose texts are short here."""
    model = tmp_path_factory.mktemp("model") / "tiny"
    shutil.copytree(tiny_checkpoint, model)
    settings = json.loads((model / "generation_config.json").read_text("utf-8")) | {"max_new_tokens": 12}
    (model / "generation_config.json").write_text(json.dumps(settings), "utf-8")
    with running_server(model, tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    with visiting(browser, url) as visit:
        yield visit


@pytest.fixture(scope="module")
def long_clip(clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of five minutes: more than anybody waits for here."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    again = ["-stream_loop", "55", "-i", str(clips["one.mp4"]), "-c", "copy", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", *again], check=True)
    return path


def open_tab(page: Page, name: str = "Describe") -> None:
    page.get_by_role("tab", name=name).click()


def describe(page: Page) -> None:
    page.get_by_role("button", name="Describe", exact=True).click()


def told(page: Page) -> list[tuple[float, float, str]]:
    """From when to when the tab tells what."""
    rows: list[list[Any]] = page.locator(".described .texts li").evaluate_all(
        "rows => rows.map(({firstChild: {dataset}, lastChild}) => [dataset.seek, dataset.end, lastChild.textContent])"
    )
    return [(float(start), float(end), text) for start, end, text in rows]


def wait_for_files(page: Page) -> None:
    page.wait_for_selector(".described .files a")


def taken_away(page: Page, suffix: str, directory: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("link", name=suffix).click()
    path = directory / download.value.suggested_filename
    download.value.save_as(path)
    return path


def words(text: str) -> str:
    return "".join(text.replace("\u2060", "").split())


def test_a_video_is_described_led_through_taken_away_and_found_again(
    visit: Visit, clips: dict[str, Path], tmp_path: Path
) -> None:
    page = visit.page
    open_tab(page)
    assert page.get_by_role("button", name="Describe", exact=True).is_disabled()
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    assert not page.locator("#describe-video").is_visible()
    page.get_by_label("Every few seconds").check()
    page.get_by_label("Seconds that each text is about").fill("2")
    describe(page)
    wait_for_files(page)
    found = told(page)
    assert [(start, end) for start, end, _ in found] == [(0, 2), (2, 4), (4, 5.5)]
    assert page.inner_text(".described .summary")

    page.locator(".described .jump").nth(1).press("Enter")
    page.wait_for_function("document.querySelector('video[data-player]').currentTime === 2")
    page.wait_for_selector(".described li.current [data-seek='2.000']")

    ((mode, cues),) = page.evaluate(TRACKS)[0]
    assert mode == "showing"
    assert [words(text) for *_, text in cues] == [words(text) for *_, text in found]
    assert [start for start, *_ in cues] == [start for start, *_ in found]
    page.get_by_role("button", name="Show over the video", pressed=True).click()
    page.get_by_role("button", name="Show over the video", pressed=False).wait_for()
    assert page.evaluate(TRACKS)[0][0][0] == "hidden"
    page.get_by_role("button", name="Show over the video").click()

    for suffix in (".srt", ".vtt"):
        path = taken_away(page, suffix, tmp_path)
        assert path.name == f"one{suffix}"
        read: tuple[Cue, ...] = read_subtitles(clips["one.mp4"], file=path)
        assert [(cue.start_s, cue.end_s, words(cue.text)) for cue in read] == [
            (start, end, words(text)) for start, end, text in found
        ]
    whole = json.loads(taken_away(page, ".json", tmp_path).read_text("utf-8"))
    assert [(each["start_s"], each["end_s"], each["text"]) for each in whole["events"]] == found

    page.reload()
    visit.see_frames()
    open_tab(page)
    wait_for_files(page)
    assert told(page) == found
    page.wait_for_function("document.querySelector('video[data-player]').textTracks[0]?.cues.length === 3")


def test_a_question_is_answered_meanwhile_and_stopped_in_the_middle_what_has_come_stays(
    visit: Visit, long_clip: Path, clips: dict[str, Path]
) -> None:
    page = visit.page
    visit.upload(long_clip)
    visit.see_frames()
    open_tab(page)
    describe(page)
    page.wait_for_selector(".described .jump")
    before = len(told(page))
    open_tab(page, "Chat")
    visit.ask("What happens?")
    open_tab(page)
    page.wait_for_function("n => document.querySelectorAll('.described .jump').length > n", arg=before)
    page.get_by_role("button", name="Stop", exact=True).press("Enter")
    page.wait_for_selector("#describe-progress >> text=stopped at")
    assert told(page)[-1][1] < 200
    assert "the rest is missing" in page.inner_text(".described .facts")
    assert not page.get_by_role("button", name="Stop", exact=True).is_visible()
    ((_, cues),) = page.evaluate(TRACKS)[0]
    assert len(cues) == len(told(page))
    visit.remove("long.mp4")
    page.wait_for_selector(".described", state="detached")
    assert "Bring a video" in page.inner_text("#describe-progress")


def test_on_a_narrow_screen_two_videos_of_any_name_are_described_without_sideways_scrolling(
    browser: Browser, url: str, clips: dict[str, Path]
) -> None:
    with visiting(browser, url, width=390, dark=True) as visit:
        page = visit.page
        visit.drop(HOSTILE, clips["one.mp4"].read_bytes())
        visit.upload(clips["two.mp4"])
        visit.see_frames(media=2)
        open_tab(page)
        page.get_by_label("Brief").check()
        page.locator("#describe-video input").click()
        page.get_by_role("option", name="two.mp4").click()
        describe(page)
        wait_for_files(page)
        assert "two.mp4: described in 1 text." in page.inner_text("#describe-progress")
        assert page.locator(".described .jump").get_attribute("data-medium") == "1"
        first, second = page.evaluate(TRACKS)
        assert first == []
        assert len(second[0][1]) == 1
        page.locator("#describe-video input").click()
        page.get_by_role("option", name=HOSTILE).click()
        page.wait_for_selector(".described", state="detached")
        describe(page)
        wait_for_files(page)
        assert HOSTILE in page.inner_text("#describe-progress")
        assert page.locator("#describe img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
