"""The contact sheet in a real Chromium, made of real clips."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Page

from videollm.describe.outputs import write_collections
from videollm.describe.rows import Failure, Row, Source
from videollm.errors import UnreadableVideoError
from videollm.synthetic.files import write_clip
from videollm.synthetic.rendering import render_frame
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip
from videollm.values import Event

from .visiting import Visitor

SEARCH = "[type=search]"
NUMBERED = tuple(f"{'Blinking. ' if number % 35 == 3 else ''}Event number {number}" for number in range(75))
ODD_NAME = '<b>odd & "quoted" #1?%41.webm'
ODD_TEXT = "A <i>red</i> star & a box: 'one'.<script>document.title = 'hacked'</script>"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return sample_clip(42, "test", shots=2, duration_s=(6.0, 9.0), max_short_side=96)


@pytest.fixture(scope="module")
def videos(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip under three names, one of them no text, and a still."""
    folder = tmp_path_factory.mktemp("videos")
    write_clip(clip, folder / "plain.webm", codec="vp8", keyframe_gap=10)
    for name in (ODD_NAME, os.fsdecode(b"caf\xe9.webm")):
        shutil.copy(folder / "plain.webm", folder / name)
    Image.fromarray(render_frame(clip, 1.0)).resize((900, 600)).save(folder / "still.png")
    return folder


def row_of(path: Path, seconds: float, texts: tuple[str, ...], content: str, **more: object) -> Row:
    step = seconds / len(texts)
    events = tuple(Event(number * step, (number + 1) * step, text) for number, text in enumerate(texts))
    found = {"duration_s": seconds, "summary": f"About {path.stem}.", "events": events, **more}
    return Row(Source(path, name=path.stem), content, "model", **found)


@pytest.fixture(scope="module")
def rows(clip: Clip, videos: Path) -> list[Row]:
    plain, seconds = videos / "plain.webm", clip.duration_s
    gone = "/videos/gone/<b>gone.mp4"
    broken = videos / "two  blanks.mp4"
    told = f"{broken}: its content is plain text; choose another file"
    error = Failure.of(UnreadableVideoError(told))
    return [
        row_of(plain, seconds, ("A star moves.", "It stops."), "aa" * 32),
        row_of(videos / ODD_NAME, seconds, (ODD_TEXT,), "bb" * 32, notices=("2 <decoding> errors",)),
        row_of(videos / os.fsdecode(b"caf\xe9.webm"), seconds, ("Coffee.",), "cc" * 32),
        row_of(videos / "still.png", 0.0, ("A picture.",), "dd" * 32),
        Row(Source(broken, name="broken"), "", "model", error=error),
        row_of(videos / "gone" / f"{'long_' * 40}.mp4", 9.0, ("Gone.", "Lost."), "ee" * 32),
        row_of(plain, seconds, NUMBERED, "ff" * 32, same_as=gone),
    ]


@pytest.fixture(scope="module")
def sheet(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sheet")
    write_collections(lambda: iter(rows), ("html",), out)
    return out


@pytest.fixture
def page(visitor: Visitor, sheet: Path) -> Iterator[Page]:
    with visitor.at((sheet / "index.html").as_uri()) as page:
        yield page


def test_every_source_has_a_section_with_what_is_known_of_it(page: Page, rows: list[Row]) -> None:
    assert page.title() == page.inner_text("h1") == "6 of 7 videos described"
    assert page.inner_text("header span").startswith("1 failed, 0:")
    assert page.locator("section").count() == len(rows)
    odd = page.locator("section").nth(1)
    assert odd.locator("h2").inner_text().endswith(ODD_NAME)
    assert odd.locator(".notice").inner_text() == "2 <decoding> errors"
    assert odd.locator(".cards p").inner_text() == ODD_TEXT
    broken = page.locator("section").nth(4)
    assert broken.locator("p").all_inner_texts() == ["Its content is plain text; choose another file."]
    assert broken.locator(".cards").count() == 0
    copy = page.locator("section").last.locator(".same")
    assert copy.inner_text() == "same as <b>gone.mp4"
    assert copy.get_attribute("title") == "/videos/gone/<b>gone.mp4"
    assert page.locator(".same").count() == 1


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("the worker ended: out of memory?", "The worker ended: out of memory?"),
        ("clip.srt: no text in it", "clip.srt: no text in it."),
    ],
)
def test_an_error_that_names_no_path_is_a_sentence_too(
    visitor: Visitor, tmp_path: Path, message: str, shown: str
) -> None:
    row = Row(Source(Path("/videos/clip.mp4"), name="clip"), "", "model", error=Failure("Error", message))
    write_collections(lambda: iter([row]), ("html",), tmp_path)
    with visitor.at((tmp_path / "index.html").as_uri()) as page:
        assert page.inner_text(".error") == shown
        assert page.title() == "0 of 1 video described"


def test_a_part_and_the_length_of_all_are_what_was_described(visitor: Visitor, tmp_path: Path) -> None:
    plan = {"start_s": 85.0, "end_s": 90.0, "frames": 5}
    source = Source(Path("/videos/clip.mp4"), 85.0, 300.0, "clip")
    clip = Row(source, "", "model", 90.0, plan, events=(Event(85, 90, "It moves."),))
    other = Path("/videos/other/clip.mp4")
    copy = replace(clip, source=replace(source, path=other), same_as=str(source.path))
    write_collections(lambda: iter([clip, copy]), ("html",), tmp_path)
    with visitor.at((tmp_path / "index.html").as_uri()) as page:
        assert page.title() == "2 videos described"
        assert page.inner_text("header span") == "0:10 of video"
        assert page.locator(".facts").all_inner_texts() == [
            "1:30, this part: 1:25–1:30, 1 event",
            "1:30, this part: 1:25–1:30, 1 event same as /videos/clip.mp4",
        ]
        assert page.locator("[type=checkbox]").count() == 0


def test_links_lead_to_the_files_and_to_the_second_of_an_event(page: Page, rows: list[Row]) -> None:
    links = page.eval_on_selector_all("h2 a", "links => links.map(link => link.href)")
    assert [unquote_to_bytes(urlsplit(link).path) for link in links] == [
        os.fsencode(row.source.path) for row in rows
    ]
    assert [urlsplit(link)[3:] for link in links] == [("", "")] * len(rows)
    second = page.locator("section").first.locator(".picture").nth(1)
    assert second.get_attribute("href", timeout=0) == f"{links[0]}#t={rows[0].events[1].start_s:.3f}"


def test_pictures_come_when_they_are_scrolled_to_and_gone_files_have_a_placeholder(page: Page) -> None:
    pictures = page.locator("section img")
    assert pictures.count() == 2 + 1 + 1 + 1 + 60
    assert page.locator(".picture:not(:has(img))").all_inner_texts() == ["no picture"] * 2
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.images[4].naturalHeight") == 160
    assert page.evaluate("[...document.images].every(one => one.clientHeight <= one.parentNode.clientHeight)")


def test_more_events_than_cards_are_lines_of_text_behind_a_click(page: Page) -> None:
    long = page.locator("section").last
    assert long.locator(".cards li").count() == 60
    last = long.locator(".rest li").last
    assert not last.is_visible()
    long.locator("summary", has_text="15 more").click()
    assert last.is_visible()
    assert last.inner_text().endswith("Event number 74")


def test_the_search_leaves_the_sections_that_have_all_words(page: Page) -> None:
    page.fill(SEARCH, "STAR  moves")
    assert page.locator("section:visible h2").all_inner_texts() == [
        page.locator("section h2").first.inner_text()
    ]
    assert page.inner_text("output") == "1 of 7"
    page.fill(SEARCH, "no such words")
    assert page.locator("section:visible").count() == 0
    page.fill(SEARCH, "")
    assert page.locator("section:visible").count() == 7
    assert not page.locator("output").is_visible()


def test_the_search_leaves_the_shots_that_have_the_words(page: Page) -> None:
    def shown(number: int) -> list[str]:
        return page.locator("section").nth(number).locator("li p:visible").all_inner_texts()

    page.fill(SEARCH, "stops")
    assert page.inner_text("output") == "1 of 7"
    assert shown(0) == ["It stops."]
    page.fill(SEARCH, "plain stops")  # the one in the name, the other in a shot
    assert shown(0) == ["It stops."]
    page.fill(SEARCH, "star stops")  # in no shot together
    assert shown(0) == ["A star moves.", "It stops."]
    page.fill(SEARCH, "about plain")
    assert page.inner_text("output") == "2 of 7"
    assert (len(shown(0)), len(shown(6))) == (2, 60)
    page.fill(SEARCH, "events")  # which is said of each, but not by the model
    assert page.inner_text("output") == "0 of 7"
    page.fill(SEARCH, "blinking")  # the last is among those behind a click
    assert shown(6) == [f"Blinking. Event number {number}" for number in (3, 38, 73)]
    page.fill(SEARCH, "same about number star")
    assert page.locator("section:visible").count() == 0
    page.fill(SEARCH, "coffee")
    assert shown(2) == ["Coffee."]
    page.fill(SEARCH, "")
    assert (len(shown(0)), len(shown(6))) == (2, 60)
    assert page.locator("summary").is_visible()


def test_those_that_failed_can_be_shown_alone(page: Page) -> None:
    page.check("text=only failed")
    assert page.locator("section:visible h2").all_inner_texts() == [
        page.locator("section h2").nth(4).inner_text()
    ]
    assert page.inner_text("output") == "1 of 7"
    page.fill(SEARCH, "star")
    assert page.locator("section:visible").count() == 0
    page.uncheck("text=only failed")
    assert page.locator("section:visible").count() == 2


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling(visitor: Visitor, sheet: Path, dark: bool) -> None:
    with visitor.at((sheet / "index.html").as_uri(), width=390, dark=dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        background = page.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor")
        assert (sum(map(int, background.removeprefix("rgb(").rstrip(")").split(","))) < 200) is dark


def test_many_sources_are_pages_that_lead_to_each_other(
    visitor: Visitor, rows: list[Row], tmp_path: Path
) -> None:
    def many(count: int) -> Callable[[], Iterator[Row]]:
        plain = replace(rows[0], content="")
        return lambda: (
            replace(plain, source=replace(plain.source, name=f"{number:04}")) for number in range(count)
        )

    write_collections(many(1001), ("html",), tmp_path)
    assert len(list(tmp_path.glob("page-*.html"))) == 6
    write_collections(many(401), ("html",), tmp_path)
    with visitor.at((tmp_path / "index.html").as_uri()) as page:
        assert page.title() == "401 videos described"
        assert page.locator("li").all_inner_texts() == [
            "1–200 0000 … 0199", "201–400 0200 … 0399", "401–401 0400 … 0400",
        ]  # fmt: skip
        page.click("li a >> nth=0")
        assert page.locator("nav a").all_inner_texts() == ["All pages", "Next"]
        page.click("text=Next")
        page.click("text=Next")
        assert page.title() == "Videos 401–401 of 401"
        assert page.locator("section").count() == 1
        assert page.locator("nav a").all_inner_texts() == ["Previous", "All pages"]
        page.click("text=Previous")
        assert page.locator("section").count() == 200
    write_collections(many(200), ("html",), tmp_path)
    assert [path.name for path in tmp_path.glob("*.html")] == ["index.html"]
