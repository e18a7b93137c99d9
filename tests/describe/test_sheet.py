"""The contact sheet and the subtitles in a real Chromium, made of real clips."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from videollm.describe.outputs import write_collections, write_files
from videollm.describe.rows import Failure, Row, Source
from videollm.synthetic.files import write_clip
from videollm.synthetic.rendering import render_frame
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip
from videollm.values import Event

CHROMIUM = shutil.which("chromium")
ODD_NAME = '<b>odd & "quoted" #1?%41.webm'
ODD_TEXT = "A <i>red</i> star & a box: 'one'.<script>document.title = 'hacked'</script>"
# The server gives whole files only, and to jump to a second all of a clip must be at hand: so it is fetched first.
PLAYER = """<!doctype html><link rel="icon" href="data:,">
<video id="video" muted><track default src="vtt/plain.vtt"></video>
<script>
fetch("plain.webm").then(answer => answer.blob()).then(clip => { video.src = URL.createObjectURL(clip) });
</script>
"""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path: install Debian's package chromium"
)


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
    error = Failure("UnreadableVideoError", "broken.mp4: its content is plain text; choose another file")
    return [
        row_of(plain, seconds, ("A star moves.", "It stops."), "aa" * 32),
        row_of(videos / ODD_NAME, seconds, (ODD_TEXT,), "bb" * 32, notices=("2 <decoding> errors",)),
        row_of(videos / os.fsdecode(b"caf\xe9.webm"), seconds, ("Coffee.",), "cc" * 32),
        row_of(videos / "still.png", 0.0, ("A picture.",), "dd" * 32),
        Row(Source(videos / "broken.mp4", name="broken"), "", "model", error=error),
        row_of(videos / "gone" / f"{'long_' * 40}.mp4", 9.0, ("Gone.", "Lost."), "ee" * 32),
        row_of(plain, seconds, tuple(f"Event number {number}" for number in range(75)), "ff" * 32),
    ]


@pytest.fixture(scope="module")
def sheet(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sheet")
    write_collections(lambda: iter(rows), ("html",), out)
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@dataclass
class Visitor:
    """Opens pages, and keeps what the browser complained of or wanted from elsewhere."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, url: str, *, width: int = 1200, dark: bool = False) -> Iterator[Page]:
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._watch(request.url))
        page.goto(url)
        try:
            yield page
        finally:
            context.close()

    def _watch(self, url: str) -> None:
        if not url.startswith(("file:", "http://127.0.0.1:", "blob:", "data:")):
            self.complaints.append(url)


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    visitor = Visitor(browser)
    yield visitor
    assert visitor.complaints == []


@pytest.fixture
def page(visitor: Visitor, sheet: Path) -> Iterator[Page]:
    with visitor.at((sheet / "index.html").as_uri()) as page:
        yield page


@needs_chromium
def test_every_source_has_a_section_with_what_is_known_of_it(page: Page, rows: list[Row]) -> None:
    assert page.inner_text("header span").startswith("6 described, 1 failed, 0:")
    assert page.locator("section").count() == len(rows)
    odd = page.locator("section").nth(1)
    assert odd.locator("h2").inner_text().endswith(ODD_NAME)
    assert odd.locator(".notice").inner_text() == "2 <decoding> errors"
    assert odd.locator(".cards p").inner_text() == ODD_TEXT
    assert "hacked" not in page.title()
    broken = page.locator("section").nth(4)
    assert "choose another file" in broken.locator(".error").inner_text()
    assert broken.locator(".cards").count() == 0


@needs_chromium
def test_links_lead_to_the_files_and_to_the_second_of_an_event(page: Page, rows: list[Row]) -> None:
    links = page.eval_on_selector_all("h2 a", "links => links.map(link => link.href)")
    assert [unquote_to_bytes(urlsplit(link).path) for link in links] == [
        os.fsencode(row.source.path) for row in rows
    ]
    assert [urlsplit(link)[3:] for link in links] == [("", "")] * len(rows)
    second = page.locator("section").first.locator(".picture").nth(1)
    assert second.get_attribute("href", timeout=0) == f"{links[0]}#t={rows[0].events[1].start_s:.3f}"


@needs_chromium
def test_pictures_come_when_they_are_scrolled_to_and_gone_files_have_a_placeholder(page: Page) -> None:
    pictures = page.locator("section img")
    assert pictures.count() == 2 + 1 + 1 + 1 + 60
    assert page.locator(".picture:not(:has(img))").all_inner_texts() == ["no picture"] * 2
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.images[4].naturalHeight") == 160
    assert page.evaluate("[...document.images].every(one => one.clientHeight <= one.parentNode.clientHeight)")


@needs_chromium
def test_more_events_than_cards_are_lines_of_text_behind_a_click(page: Page) -> None:
    long = page.locator("section").last
    assert long.locator(".cards li").count() == 60
    last = long.locator(".rest li").last
    assert not last.is_visible()
    long.locator("summary", has_text="15 more").click()
    assert last.is_visible()
    assert last.inner_text().endswith("Event number 74")


@needs_chromium
def test_the_search_leaves_the_sections_that_have_all_words(page: Page) -> None:
    page.fill("input", "STAR  moves")
    assert page.locator("section:visible h2").all_inner_texts() == [
        page.locator("section h2").first.inner_text()
    ]
    assert page.inner_text("output") == "1 of 7"
    page.fill("input", "no such words")
    assert page.locator("section:visible").count() == 0
    page.fill("input", "")
    assert page.locator("section:visible").count() == 7
    assert not page.locator("output").is_visible()


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_sideways_scrolling(visitor: Visitor, sheet: Path, dark: bool) -> None:
    with visitor.at((sheet / "index.html").as_uri(), width=390, dark=dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        background = page.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor")
        assert (sum(map(int, background.removeprefix("rgb(").rstrip(")").split(","))) < 200) is dark


@needs_chromium
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
        assert "401 described" in page.inner_text("header")
        assert page.locator("li").all_inner_texts() == [
            "1–200 0000 … 0199", "201–400 0200 … 0399", "401–401 0400 … 0400",
        ]  # fmt: skip
        page.click("li a >> nth=0")
        assert page.locator("nav a").all_inner_texts() == ["All pages", "Next"]
        page.click("text=Next")
        page.click("text=Next")
        assert page.locator("section").count() == 1
        assert page.locator("nav a").all_inner_texts() == ["Previous", "All pages"]
        page.click("text=Previous")
        assert page.locator("section").count() == 200
    write_collections(many(200), ("html",), tmp_path)
    assert [path.name for path in tmp_path.glob("*.html")] == ["index.html"]


@pytest.fixture
def address(videos: Path) -> Iterator[str]:
    """Where the folder of videos is served; browsers take no subtitles from files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(videos))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@needs_chromium
def test_chromium_shows_the_subtitles_at_their_times(
    visitor: Visitor, address: str, videos: Path, rows: list[Row]
) -> None:
    row = replace(rows[0], events=(rows[0].events[0], replace(rows[0].events[1], text=ODD_TEXT)))
    write_files(row, ("vtt",), videos)
    (videos / "play.html").write_text(PLAYER)
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
