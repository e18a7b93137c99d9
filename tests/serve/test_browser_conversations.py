"""Conversations in a real Chromium: found again, renamed, exported, edited, deleted; and what answers rest on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from .browsing import Visit, running_server, visiting

HOSTILE = "About <img src=x onerror=alert(1)> <b>two</b> <script>alert(2)</script>?"


@pytest.fixture(scope="module")
def url(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tiny_checkpoint, tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    with visiting(browser, url) as visit:
        visit.set("Answer tokens, at most", "8")
        yield visit


def test_a_conversation_is_there_again_after_a_reload(visit: Visit, clips: dict[str, Path]) -> None:
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    visit.set("Frames, at most", "4")
    answers = [visit.ask("What happens first?"), visit.ask("And then?")]
    frames, lit = visit.see_frames(), visit.lit()
    visit.page.reload()
    visit.wait_for_messages(2)
    assert visit.see_frames() == frames == 4
    assert visit.said() == answers
    assert visit.asked() == ["What happens first?", "And then?"]
    assert visit.listed() == ["one.mp4"]
    assert visit.lit() == lit
    visit.set("Answer tokens, at most", "8")
    visit.ask("And in the end?")
    assert visit.cost("frames") == 4, "the settings of the look come back too"


def test_conversations_are_left_opened_renamed_exported_and_deleted(
    visit: Visit, clips: dict[str, Path]
) -> None:
    page = visit.page
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    answer = visit.ask("About one?")
    page.click("#begin")
    page.wait_for_selector(".strip", state="detached")
    assert visit.said() == []
    assert visit.listed() == []
    visit.upload(clips["still.png"])
    visit.see_frames()
    visit.ask(HOSTILE)
    assert visit.asked() == [HOSTILE]
    assert visit.conversations() == [HOSTILE, "About one?"]
    assert page.locator("#chat b, #chat img[src='x'], #conversations b, #conversations img").count() == 0
    page.get_by_role("button", name="Rename “About one?”").click()
    page.get_by_role("textbox", name="New title").fill("The first one")
    page.keyboard.press("Enter")
    page.wait_for_selector("#conversations >> text=The first one")
    with page.expect_download() as markdown:
        page.get_by_role("link", name="Export “The first one” as markdown").click()
    assert letters(answer) in letters(markdown.value.path().read_text("utf-8"))
    assert markdown.value.suggested_filename == "The first one.md"
    with page.expect_download() as exported:
        page.get_by_role("link", name="Export “The first one” as json").click()
    (turn,) = json.loads(exported.value.path().read_text("utf-8"))["turns"]
    assert (turn["question"], letters(turn["text"])) == ("About one?", letters(answer))
    page.get_by_role("button", name="Open “The first one”").click()
    page.wait_for_selector("#bring li >> text=one.mp4")
    assert visit.see_frames() > 1
    assert visit.said() == [answer]
    visit.conversations()
    page.get_by_role("button", name="Delete “The first one”").click()
    page.wait_for_selector(".strip", state="detached")
    page.wait_for_function("document.querySelectorAll('#conversations li').length === 1")
    assert visit.conversations() == [HOSTILE]
    assert "c=" not in page.url
    page.keyboard.press("Escape")
    assert not page.locator("#conversations ol").is_visible()


def test_what_is_brought_while_a_conversation_begins_belongs_to_it(
    visit: Visit, clips: dict[str, Path]
) -> None:
    page = visit.page
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    visit.ask("About one?")
    held: list[Route] = []
    page.route("**/queue/join*", lambda route: held.append(route))  # until the file is there
    page.click("#begin")
    visit.upload(clips["still.png"])
    page.wait_for_selector("#bring li[data-id] >> text=still.png")
    for route in held:
        route.continue_()
    page.unroute("**/queue/join*")
    page.wait_for_function("document.querySelectorAll('#bring li').length === 1")
    visit.see_frames()
    assert visit.listed() == ["still.png"]
    visit.ask("About the still?")
    assert (visit.listed(), visit.asked()) == (["still.png"], ["About the still?"])
    assert visit.conversations() == ["About the still?", "About one?"]


def test_a_list_that_is_said_again_takes_nothing_away(visit: Visit, clips: dict[str, Path]) -> None:
    say = "window.hear(JSON.stringify({ listed: [], listing: 'once' }))"
    visit.page.evaluate(say)
    visit.upload(clips["still.png"])
    visit.see_frames()
    visit.page.evaluate("window.bringing.part()")
    visit.page.evaluate(say)
    assert visit.listed() == ["still.png"]


def letters(text: str) -> str:
    """A text without what Markdown escapes and what control characters are shown as: random weights say anything."""
    return re.sub(r"\W+", "", text)


def test_an_earlier_question_is_edited_and_asked_anew(visit: Visit, clips: dict[str, Path]) -> None:
    page = visit.page
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    visit.ask("First?")
    visit.ask("Second?")
    page.get_by_role("button", name="Edit").first.click()
    page.locator("#chat textarea").fill("Something else?")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#chat [data-testid=bot]').length === 1")
    visit.wait_until_done()
    assert visit.asked() == ["Something else?"]
    page.reload()
    visit.wait_for_messages(1)
    assert visit.asked() == ["Something else?"]


def test_two_windows_on_one_conversation_show_the_same(visit: Visit, clips: dict[str, Path]) -> None:
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    visit.ask("First?")
    visit.page.wait_for_function("location.search.includes('c=')")
    other = Visit(visit.page.context.new_page())
    other.page.goto(visit.page.url)
    other.wait_for_messages(1)
    other.see_frames()
    answer = visit.ask("Second?")
    other.wait_for_messages(2)
    assert other.asked() == ["First?", "Second?"]
    assert other.said()[-1] == answer
    other.page.get_by_role("button", name="Undo", exact=True).first.click()
    visit.page.wait_for_function("document.querySelectorAll('#chat [data-testid=bot]').length === 1")
    assert visit.asked() == ["First?"]
    assert other.page.input_value("#question textarea") == "Second?"


_RECORD_THE_BOX = """() => {
    const box = document.querySelector('#question textarea');
    const { get, set } = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value');
    window.written = [];
    Object.defineProperty(box, 'value', {
        get,
        set(text) { window.written.push(text); set.call(this, text); },
        configurable: true,
    });
}"""


def test_a_question_that_could_not_be_sent_is_in_the_box_again(visit: Visit, clips: dict[str, Path]) -> None:
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    visit.page.wait_for_function("location.search.includes('c=')")
    visit.page.context.set_offline(True)
    visit.page.evaluate(_RECORD_THE_BOX)  # it is empty for a moment only
    visit.send("Are you there?")
    is_back = "document.querySelector('#question textarea')?.value === 'Are you there?'"
    visit.page.wait_for_function(f"window.written.includes('') && {is_back}")
    with visit.page.expect_navigation():  # once there is a connection again the page loads itself
        visit.page.context.set_offline(False)
    visit.page.wait_for_function(is_back)
    visit.see_frames()
    visit.page.press("#question textarea", "Enter")
    visit.wait_for_messages(1)
    assert visit.asked() == ["Are you there?"]
    assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in visit.complaints), visit.complaints
    visit.complaints.clear()


def test_questions_are_suggested_once_there_is_something_to_ask_about(
    visit: Visit, clips: dict[str, Path]
) -> None:
    suggestion = visit.page.get_by_role("button", name="What happens first?")
    visit.page.wait_for_selector("#chat .examples", state="attached")
    assert not suggestion.is_visible()
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    suggestion.click()
    visit.wait_for_messages(1)
    assert visit.asked() == ["What happens first?"]
    visit.wait_until_done()
    assert visit.page.get_by_role("button", name="Send the question").is_visible()


def test_what_an_answer_rests_on_lights_up_and_leads_the_player(visit: Visit, clips: dict[str, Path]) -> None:
    page = visit.page
    visit.upload(clips["one.mp4"], clips["two.mp4"])
    visit.see_frames(media=2)
    visit.ask("What happens?")
    page.wait_for_selector(".strip button.lit")
    visit.ask("Which of them is longer?")
    newest = lit_buttons(page)
    assert newest
    page.locator("#chat [data-testid=bot]").first.locator(".rests").click(position={"x": 2, "y": 5})
    first = lit_buttons(page)
    span = page.locator("#chat .rests button").first
    medium, second = span.get_attribute("data-medium"), float(span.get_attribute("data-seek") or "nan")
    assert f"{medium}:" in " ".join(first)
    span.click()
    page.wait_for_function(
        "([medium, second]) => Math.abs("
        "document.querySelector(`[data-player='${medium}']`).currentTime - second) < 0.05",
        arg=[medium, second],
    )
    page.locator("#chat [data-testid=bot]").last.click(position={"x": 2, "y": 5})
    assert lit_buttons(page) == newest


def lit_buttons(page: Page) -> list[str]:
    """Medium and second of the frames that are lit up."""
    script = "[...document.querySelectorAll('.strip button.lit')].map(b => `${b.dataset.medium}:${b.dataset.seek}`)"
    return [str(each) for each in page.evaluate(script)]


def test_two_people_see_only_their_own_conversations(
    browser: Browser, url: str, clips: dict[str, Path]
) -> None:
    with visiting(browser, url) as first, visiting(browser, url) as second:
        first.set("Answer tokens, at most", "5")
        first.upload(clips["one.mp4"])
        first.see_frames()
        first.ask("My own question?")
        assert first.conversations() == ["My own question?"]
        assert second.conversations() == []
        second.page.goto(first.page.url)
        second.page.wait_for_selector("text=there is no such conversation")
        assert second.said() == []
        assert "c=" not in second.page.url
        id = first.page.url.split("c=")[1]
        stolen = second.page.request.get(f"{url}conversations/{id}/export?format=json")
        assert stolen.status == 404
