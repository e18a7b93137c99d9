"""The whole program as a person uses it: ``videollm serve`` in a process of its own, and a real Chromium."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Request, Route

from videollm.synthetic.files import write_clip
from videollm.synthetic.language.questions import Question, ask
from videollm.synthetic.language.scoring import is_right
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip

from .browsing import Visit, needs_pocket, running_server, visiting

# A clip that training never saw, two shots in seven seconds, picked after seeing that pocket gets these kinds right on
# it: this shows that answers reach the page; how often they are right is in the card.
UNSEEN_SEED = 106
UNSEEN_KINDS = ("colour", "shape", "action")

HOSTILE = "<img src=x onerror=alert(1)> <i>a.mp4"

# Puts an event into another page's queue and listens to what the server says to that page; how both are answered.
JOIN_AND_LISTEN = """async (event) => {
    const headers = {"content-type": "application/json"};
    const join = await fetch("/gradio_api/queue/join", {method: "POST", headers, body: JSON.stringify(event)});
    const data = await fetch(`/gradio_api/queue/data?session_hash=${event.session_hash}`);
    return [join.status, data.status];
}"""


@pytest.fixture(scope="module")
def url(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the program runs with the tiny random model: everything but right answers."""
    with running_server(tiny_checkpoint, tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    with visiting(browser, url) as visit:
        yield visit


def test_an_uploaded_video_is_seen_and_asked_about_over_several_turns(
    visit: Visit, clips: dict[str, Path]
) -> None:
    visit.upload(clips["one.mp4"])
    frames = visit.see_frames()
    visit.page.wait_for_function("document.querySelector('[data-player]').videoWidth > 0")
    visit.record_growth()
    answer = visit.ask("What happens first?")
    growth = visit.growth()
    assert len(growth) >= 3, "the answer must grow before the person's eyes"
    assert growth[-1] == answer
    assert all(len(earlier) <= len(later) for earlier, later in pairwise(growth))
    assert visit.cost("frames") == frames
    visit.ask("And then?")
    assert "(0 kept)" not in visit.page.inner_text("#usage")
    assert len(visit.said()) == 2


def test_what_is_asked_while_an_answer_is_written_is_answered_after_it(visit: Visit) -> None:
    visit.set("Answer tokens, at most", "400")
    visit.send("Talk for long")
    visit.wait_for_messages(1)
    visit.send("And then?")
    visit.wait_for_messages(2)
    visit.wait_until_done()
    assert visit.asked() == ["Talk for long", "And then?"]
    assert visit.page.input_value("#question textarea") == ""


def test_stop_ends_a_running_answer(visit: Visit) -> None:
    visit.set("Answer tokens, at most", "4096")
    visit.send("Talk for long")
    visit.wait_for_messages(1)
    # By the keyboard: the page moves as words come, and a click waits for what it hits to stand still, or misses it.
    visit.page.press("#question .stop-button", "Enter")
    visit.wait_until_done()
    assert "stopped" in visit.page.inner_text("#usage")
    assert visit.cost("answer tokens") < 4096
    visit.set("Answer tokens, at most", "5")
    visit.ask("And again")
    assert visit.cost("answer tokens") == 5


def test_a_broken_upload_is_a_message_and_the_next_question_is_answered(
    visit: Visit, clips: dict[str, Path], tmp_path: Path
) -> None:
    (cut := tmp_path / "cut.mp4").write_bytes(clips["one.mp4"].read_bytes()[:3000])
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    visit.upload(cut)
    visit.wait_for_messages(1)
    assert visit.said()[0].startswith("⚠️ cut.mp4: ")
    visit.page.wait_for_function("document.querySelectorAll('#bring li').length === 1")
    visit.upload(clips["letter.mp4"])
    refused = visit.page.locator("#bring .refused")
    refused.wait_for()
    assert "neither a video nor an image" in refused.inner_text()
    assert [complaint for complaint in visit.complaints if "415" not in complaint] == []
    visit.complaints.clear()
    visit.page.evaluate("document.querySelector('#bring section').dataset.mostBytes = 1000")
    visit.upload(clips["two.mp4"])
    visit.page.wait_for_selector("#bring .refused >> text=too large: at most 1 kB")
    visit.ask("What happens?")
    assert visit.cost("frames") == visit.see_frames()


def test_a_dropped_file_shows_its_progress_and_its_name_is_no_markup(
    visit: Visit, clips: dict[str, Path]
) -> None:
    held: list[Route] = []
    visit.page.route("**/v1/videos?*", lambda route: held.append(route))
    visit.drop(HOSTILE, clips["one.mp4"].read_bytes())
    visit.drop("unwanted.png", clips["still.png"].read_bytes())
    visit.page.get_by_role("progressbar", name=f"Sending {HOSTILE}").wait_for()
    assert visit.listed() == [HOSTILE, "unwanted.png"]
    visit.remove("unwanted.png")
    held[0].continue_()
    visit.see_frames()
    assert len(held) == 1, "what was taken away must not be sent"
    assert visit.listed() == [HOSTILE]
    assert HOSTILE in visit.page.inner_text("#players figcaption")
    assert visit.page.locator("#bring img, #players img, #bring i, #players i").count() == 0
    assert "kept until" in visit.page.inner_text("#bring li")


def test_a_stranger_finds_nothing_of_what_somebody_brought(
    browser: Browser, url: str, clips: dict[str, Path]
) -> None:
    with visiting(browser, url) as first, visiting(browser, url) as second:
        first.set("Answer tokens, at most", "5")
        events: list[Request] = []
        first.page.on("request", lambda request: events.append(request) if "/join" in request.url else None)
        with first.page.expect_file_chooser() as chooser:
            first.page.click("text=Choose files")
        chooser.value.set_files(clips["one.mp4"])
        first.see_frames()
        first.ask("My own question?")
        media = first.page.get_attribute("[data-player]", "src") or ""
        answers = [visit.page.request.get(url + media).status for visit in (first, second)]
        assert answers == [200, 404]
        asking = next(event.post_data_json for event in events if "My own" in (event.post_data or ""))
        assert second.page.evaluate(JOIN_AND_LISTEN, asking) == [403, 403]
        assert [complaint for complaint in second.complaints if "403" not in complaint] == []
        second.complaints.clear()
        first.ask("And then?")
        assert "(0 kept)" not in first.page.inner_text("#usage")
        sent = {"files": {"name": "x.mp4", "mimeType": "video/mp4", "buffer": b"x"}}
        assert second.page.request.post(url + "gradio_api/upload", multipart=sent).status == 403
        first.page.click("#actions >> text=Clear all")
        first.page.wait_for_selector("[data-player]", state="detached")
        assert first.page.request.get(url + media).status == 404


def test_undo_retry_and_clear_do_what_they_say(visit: Visit, clips: dict[str, Path]) -> None:
    page = visit.page
    visit.set("Answer tokens, at most", "5")
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    visit.ask("First?")
    visit.ask("Second?")
    page.click("#actions >> text=Undo")
    page.wait_for_function("document.querySelectorAll('#chat [data-testid=bot]').length === 1")
    assert page.input_value("#question textarea") == "Second?"
    first = visit.said()[0]
    visit.set("Temperature", "2")
    visit.set("Seed", "5")
    page.click("#actions >> text=Retry")
    page.wait_for_function(
        "first => { const bots = document.querySelectorAll('#chat [data-testid=bot]');"
        " return bots.length === 1 && bots[0].innerText.trim() && bots[0].innerText.trim() !== first }",
        arg=first,
    )
    visit.wait_until_done()
    page.click("#actions >> text=Clear all")
    page.wait_for_selector("#chat >> text=Ask about a video")
    for gone in ("[data-player]", ".strip", "#usage .usage", "#chat [data-testid=user]"):
        assert page.locator(gone).count() == 0
    assert "one.mp4" not in page.inner_text("#bring")
    visit.ask("What is there?")
    assert visit.cost("frames") == 0
    assert "(0 kept)" in page.inner_text("#usage")


def test_taking_the_only_file_away_empties_the_page(visit: Visit, clips: dict[str, Path]) -> None:
    visit.upload(clips["one.mp4"])
    visit.see_frames()
    visit.remove("one.mp4")
    visit.page.wait_for_selector(".strip", state="detached")
    assert visit.page.locator("[data-player]").count() == 0


def test_a_question_sent_while_another_waits_is_answered_after_it(
    visit: Visit, clips: dict[str, Path]
) -> None:
    visit.set("Answer tokens, at most", "40")
    visit.upload(clips["one.mp4"])
    for question in ("First?", "Second?", "Third?"):
        visit.send(question)
        visit.page.wait_for_function("document.querySelector('#question textarea').value === ''")
    visit.wait_for_messages(3)
    visit.wait_until_done()
    asked = visit.page.locator("#chat [data-testid=user]").all_inner_texts()
    assert [question.strip() for question in asked] == ["First?", "Second?", "Third?"]


def test_an_example_loads_on_a_click_and_its_frames_lead_the_player(visit: Visit) -> None:
    page = visit.page
    page.click("#examples button >> nth=2")
    visit.see_frames()
    frame = page.locator(".strip button").nth(4)
    frame.click()
    second = float(frame.get_attribute("data-seek") or "nan")
    page.wait_for_function(
        "second => Math.abs(document.querySelector('[data-player]').currentTime - second) < 0.05", arg=second
    )
    page.wait_for_selector(f".strip button.current[data-seek='{second:.3f}']")


def test_the_settings_of_the_look_change_what_is_seen(visit: Visit, clips: dict[str, Path]) -> None:
    visit.set("Answer tokens, at most", "5")
    visit.upload(clips["one.mp4"], clips["still.png"])
    assert visit.see_frames(media=2) > 6
    visit.set("Visual tokens, at most", "6")
    visit.set("Frames, at most", "4")
    visit.set("Start", "0:01")
    visit.page.wait_for_selector("#receipt >> text=one.mp4: 4 frames, at most 6 visual tokens")
    visit.ask("What happens?")
    assert visit.cost("frames") == visit.see_frames(media=2) == 5
    assert visit.cost("visual tokens") <= 12
    assert float(visit.page.locator(".strip button").first.get_attribute("data-seek") or 0) > 1


def test_what_the_browser_cannot_play_is_still_seen_and_answered(
    visit: Visit, clips: dict[str, Path]
) -> None:
    visit.set("Answer tokens, at most", "5")
    visit.upload(clips["hevc.mkv"])
    visit.see_frames()
    visit.page.wait_for_selector(".unplayable:not([hidden])")
    visit.ask("What happens?")


def test_leaving_in_the_middle_of_an_answer_gives_the_model_to_the_next(browser: Browser, url: str) -> None:
    with visiting(browser, url) as first:
        first.set("Answer tokens, at most", "4096")
        first.send("Talk for long")
        first.wait_for_messages(1)
    with visiting(browser, url) as second:
        second.set("Answer tokens, at most", "5")
        second.ask("Hello?")


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen_needs_no_sideways_scrolling(
    browser: Browser, url: str, clips: dict[str, Path], dark: bool
) -> None:
    with visiting(browser, url, width=390, dark=dark) as visit:
        visit.upload(clips["one.mp4"])
        visit.see_frames()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_says_which_model_is_loaded_and_what_it_sees(visit: Visit) -> None:
    line = visit.page.inner_text("#model-line")
    assert "parameters, float32 on cpu. A model with random weights. It sees nothing." in line


def draw_questions(clip: Clip, kinds: Sequence[str]) -> list[Question]:
    drawn = [ask(clip, random.Random(0), kind) for kind in kinds]
    assert None not in drawn, f"seed {clip.seed} does not allow all of {kinds}"
    return [question for question in drawn if question is not None]


@needs_pocket
def test_questions_about_an_unseen_video_are_answered_rightly_and_the_talk_goes_on_after_a_restart(
    browser: Browser, tmp_path: Path
) -> None:
    clip = sample_clip(UNSEEN_SEED, "test")
    write_clip(clip, tmp_path / "unseen.mp4")
    with running_server("pocket", tmp_path) as url, visiting(browser, url) as before:
        before.upload(tmp_path / "unseen.mp4")
        before.see_frames()
        for question in draw_questions(clip, UNSEEN_KINDS):
            answer = before.ask(question.text)
            assert is_right(question, answer), f"{question.text} -> {answer}, expected {question.answer}"
        before.record_growth()
        before.ask("Describe the video shot by shot, with times.")
        assert len(before.growth()) >= 2
        said = before.said()
        address, cookies = before.page.url.removeprefix(url), before.page.context.cookies()
    with (
        running_server("pocket", tmp_path) as url,
        visiting(browser, url, path=address, cookies=cookies) as after,
    ):
        after.wait_for_messages(len(said))
        after.see_frames()
        assert after.said() == said
        times = after.page.locator("#chat .message-content .time:not(.rests *)")
        assert times.count() > 1, said
        second = float(times.last.get_attribute("data-seek") or "nan")
        times.last.click()
        after.page.wait_for_function(
            "second => { const player = document.querySelector('[data-player]');"
            " return Math.abs(player.currentTime - Math.min(second, player.duration)) < 0.1 }",
            arg=second,
        )
        after.ask("What happens first?")
        assert len(after.said()) == len(said) + 1
