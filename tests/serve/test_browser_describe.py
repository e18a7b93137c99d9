"""The tab "Describe" as a person uses it: ``videollm serve`` in a process of its own, and a real Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from videollm.video.subtitles import Cue, read_subtitles

from .browsing import Visit, running_server, visiting

HOSTILE = "<img src=x onerror=alert(1)>"

# What each player shows as subtitles: whether they are on, and from when to when there is which text.
TRACKS = """() => [...document.querySelectorAll("video[data-player]")].map(video => [...video.textTracks].map(track => [
    track.mode, [...(track.cues ?? [])].map(cue => [cue.startTime, cue.endTime, cue.getCueAsHTML().textContent])]))"""


@pytest.fixture(scope="module")
def url(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the program runs with two tiny random models that say little: one of them says nothing but markup."""
    directory = tmp_path_factory.mktemp("models")
    tiny, hostile = (shutil.copytree(tiny_checkpoint, directory / name) for name in ("tiny", "hostile"))
    # By itself no text of theirs ends; now every sixth token is an end.
    ends = {"eos_token_id": [2, 7, *range(11, 400, 6)]}
    for model in (tiny, hostile):
        rewrite(model / "generation_config.json", lambda settings: settings.update(ends))
    as_markup = {"type": "Replace", "pattern": {"Regex": "^.+$"}, "content": HOSTILE}
    rewrite(hostile / "tokenizer.json", lambda parts: parts["decoder"]["decoders"].insert(0, as_markup))
    with running_server(tiny, tmp_path_factory.mktemp("server"), "--model", str(hostile)) as url:
        yield url


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


@contextmanager
def arriving(browser: Browser, url: str, **how: Any) -> Iterator[Visit]:
    """Opens the page and waits for its scripts: it is drawn a moment before they listen."""
    with visiting(browser, url, **how) as visit:
        visit.page.wait_for_function("window.bringing")
        yield visit


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    with arriving(browser, url) as visit:
        yield visit


@pytest.fixture(scope="module")
def long_clip(clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of half an hour: more than anybody waits for here."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    again = ["-stream_loop", "330", "-i", str(clips["one.mp4"]), "-c", "copy", str(path)]
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


def cues_for_ffmpeg(path: Path) -> int:
    """How many cues FFmpeg finds, and without any complaint."""
    command = ["ffprobe", "-v", "warning", "-count_packets", "-show_entries", "stream=nb_read_packets"]
    probe = subprocess.run(
        [*command, "-of", "csv=p=0", str(path)], check=True, capture_output=True, text=True
    )
    assert probe.stderr == ""
    return int(probe.stdout)


def choose_in(page: Page, dropdown: str, name: str) -> None:
    page.locator(f"{dropdown} input").click()
    page.get_by_role("option", name=name, exact=True).click()


def words(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable() and not sign.isspace())


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
        assert cues_for_ffmpeg(path) == len(found)
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
    page.wait_for_selector(".described li.current [data-seek='0.000']")


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
    assert told(page)[-1][1] < 1500
    page.wait_for_selector(".described .facts >> text=the rest is missing")
    assert not page.get_by_role("button", name="Stop", exact=True).is_visible()
    ((_, cues),) = page.evaluate(TRACKS)[0]
    assert len(cues) == len(told(page))
    visit.remove("long.mp4")
    page.wait_for_selector(".described", state="detached")
    assert "Bring a video" in page.inner_text("#describe-progress")


def test_on_a_narrow_screen_two_videos_of_any_name_are_described_without_sideways_scrolling(
    browser: Browser, url: str, clips: dict[str, Path]
) -> None:
    with arriving(browser, url, width=390, dark=True) as visit:
        page = visit.page
        visit.drop(f"{HOSTILE}.mp4", clips["one.mp4"].read_bytes())
        visit.upload(clips["two.mp4"])
        visit.see_frames(media=2)
        open_tab(page)
        page.get_by_label("Brief").check()
        choose_in(page, "#describe-video", "two.mp4")
        describe(page)
        wait_for_files(page)
        assert "two.mp4: described in 1 text." in page.inner_text("#describe-progress")
        assert page.locator(".described .jump").get_attribute("data-medium") == "1"
        first, second = page.evaluate(TRACKS)
        assert first == []
        assert len(second[0][1]) == 1
        choose_in(page, "#describe-video", f"{HOSTILE}.mp4")
        page.wait_for_selector(".described", state="detached")
        describe(page)
        wait_for_files(page)
        assert f"{HOSTILE}.mp4: described" in page.inner_text("#describe-progress")
        assert page.locator("#describe img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_model_that_is_chosen_describes_and_what_it_says_becomes_no_markup(
    visit: Visit, clips: dict[str, Path]
) -> None:
    page = visit.page
    page.on("dialog", lambda dialog: visit.complaints.append(f"opened a dialog: {dialog.message}"))
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    open_tab(page)
    choose_in(page, "#model", "hostile")
    describe(page)
    wait_for_files(page)
    assert "by hostile" in page.inner_text(".described .facts")
    found = told(page)
    assert {text.replace(HOSTILE, "") for *_, text in found} == {""}
    assert page.locator("#describe img").count() == 0
    ((_, cues),) = page.evaluate(TRACKS)[0]
    assert [text for *_, text in cues] == [text for *_, text in found]
    choose_in(page, "#model", "tiny")
    describe(page)
    page.wait_for_selector(".described .facts >> text=by tiny")
    wait_for_files(page)
    assert HOSTILE not in page.inner_text(".described")
    choose_in(page, "#model", "hostile")
    page.wait_for_selector(".described .facts >> text=by hostile")
    assert told(page) == found, "what was described before comes back with its model"


def test_nobody_else_sees_a_description(
    browser: Browser, visit: Visit, url: str, clips: dict[str, Path]
) -> None:
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    open_tab(visit.page)
    describe(visit.page)
    wait_for_files(visit.page)
    address = visit.page.url.removeprefix(url)
    with arriving(browser, url, path=address) as other:
        open_tab(other.page)
        other.page.wait_for_selector("#describe-progress >> text=Bring a video")
        assert other.page.locator(".described").count() == 0
        assert other.page.get_by_role("button", name="Describe", exact=True).is_disabled()
    assert visit.page.locator(".described").count() == 1
