"""The page's handlers turn what a session tells into changes of components and leave the controls in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from videollm_serve.conversation import Turn
from videollm_serve.handlers import Handlers, end_session, messages
from videollm_serve.service import ChatService
from videollm_serve.session import ChatSession
from videollm_serve.widgets import LookControls, SamplingControls, Widgets

LOOK = (None, 2.0, 8, "", "")
SAMPLING = (0.0, 1.0, 10, "")


def build_page() -> Widgets:
    with gr.Blocks(analytics_enabled=False):
        return Widgets(
            session=gr.State(None),
            files=gr.File(file_count="multiple"),
            players=gr.HTML(),
            strips=gr.HTML(),
            gallery=None,
            look=LookControls(gr.Slider(), gr.Slider(), gr.Slider(), gr.Textbox(), gr.Textbox()),
            receipt=gr.HTML(),
            sampling=SamplingControls(gr.Slider(), gr.Slider(), gr.Slider(), gr.Textbox()),
            chat=gr.Chatbot(),
            usage=gr.HTML(),
            question=gr.Textbox(),
            retry=gr.Button(),
            undo=gr.Button(),
            clear=gr.Button(),
        )


@pytest.fixture
def page(in_event_loop: Callable[[Callable[[], Widgets]], Widgets]) -> Widgets:
    return in_event_loop(build_page)


@pytest.fixture
def handlers(service: ChatService, page: Widgets) -> Handlers:
    return Handlers(service, page)


def shown(changes: Iterable[dict[Any, Any]]) -> dict[Any, Any]:
    """What the page shows after all changes."""
    return {component: value for change in changes for component, value in change.items()}


def test_a_question_streams_and_gives_the_controls_back(
    handlers: Handlers, page: Widgets, session: ChatSession, clips: dict[str, Path]
) -> None:
    changes = list(handlers.ask(session, [str(clips["one.mp4"])], " What? ", *LOOK, *SAMPLING))
    assert changes[0][page.question]["stop_btn"]
    assert not changes[0][page.retry]["interactive"]
    final = shown(changes)
    assert final[page.question]["submit_btn"]
    assert not final[page.question]["stop_btn"]
    assert final[page.retry]["interactive"]
    assert final[page.chat] == [
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": session.turns[0].text},
    ]
    assert "8 frames" in final[page.usage]
    assert final[page.strips].count("<li>") == 8
    assert "one.mp4" in final[page.players]


def test_a_blank_question_asks_nothing(handlers: Handlers, page: Widgets, session: ChatSession) -> None:
    assert list(handlers.ask(session, None, "  ", *LOOK, *SAMPLING)) == [{page.session: session}]
    assert session.turns == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((*LOOK[:3], "soon", "", *SAMPLING), "got 'soon'"),
        ((*LOOK[:3], "0:03", "0:02", *SAMPLING), "must end after it starts"),
        ((*LOOK, 0.0, 1.0, 10, "-4"), "seed must be a whole number"),
    ],
)
def test_a_wrong_setting_is_a_message_in_the_chat_and_the_next_question_is_answered(
    handlers: Handlers,
    page: Widgets,
    session: ChatSession,
    clips: dict[str, Path],
    settings: tuple[Any, ...],
    words: str,
) -> None:
    files = [str(clips["one.mp4"])]
    list(handlers.load(session, files, *LOOK))
    final = shown(handlers.ask(session, files, "What?", *settings))
    assert words in final[page.chat][-1]["content"]
    assert final[page.question]["submit_btn"]
    final = shown(handlers.ask(session, files, "What?", *LOOK, *SAMPLING))
    assert not session.turns[-1].failed
    assert "answer token" in final[page.usage]


def test_a_time_may_be_written_with_minutes(
    handlers: Handlers, session: ChatSession, clips: dict[str, Path]
) -> None:
    list(handlers.load(session, [str(clips["one.mp4"])], None, 2.0, 8, "0:01.5", "4"))
    times = [frame.time_s for frame in session.views[0].frames]
    assert 1.5 <= min(times) < max(times) <= 4


def test_an_unreadable_file_leaves_the_drop_zone_and_the_others_stay(
    handlers: Handlers, page: Widgets, session: ChatSession, clips: dict[str, Path]
) -> None:
    one, noise = str(clips["one.mp4"]), str(clips["noise.mp4"])
    final = shown(handlers.load(session, [one, noise], *LOOK))
    assert final[page.files] == [one]
    assert "noise.mp4" in final[page.chat][-1]["content"]
    assert "one.mp4" in final[page.players]
    # Setting the drop zone makes it report a change, which must not read anything again.
    assert list(handlers.load(session, final[page.files], *LOOK)) == [{page.session: session}]


def test_retry_asks_the_last_question_again_with_the_settings_of_now(
    handlers: Handlers, page: Widgets, session: ChatSession
) -> None:
    list(handlers.ask(session, None, "What?", *LOOK, 2.0, 1.0, 10, "1"))
    first = session.turns[-1].text
    final = shown(handlers.retry(session, None, *LOOK, 2.0, 1.0, 10, "2"))
    assert [turn.question for turn in session.turns] == ["What?"]
    assert session.turns[-1].text != first
    assert len(final[page.chat]) == 2


def test_undo_puts_the_question_back_into_the_box(
    handlers: Handlers, page: Widgets, session: ChatSession
) -> None:
    list(handlers.ask(session, None, "What?", *LOOK, *SAMPLING))
    change = handlers.undo(session)
    assert (change[page.chat], change[page.question]) == ([], "What?")
    assert page.question not in handlers.undo(session), "nothing is left to take back"


def test_clear_empties_every_part_of_the_page(
    handlers: Handlers, page: Widgets, session: ChatSession, clips: dict[str, Path]
) -> None:
    list(handlers.ask(session, [str(clips["one.mp4"])], "What?", *LOOK, *SAMPLING))
    change = handlers.clear(session)
    assert change[page.files] is None
    assert change[page.chat] == []
    for part in (page.players, page.strips, page.usage, page.receipt):
        assert change[part] == ""
    assert change[page.question]["submit_btn"]
    assert session.views == ()


def test_the_receipt_follows_the_settings_and_names_what_is_wrong_with_them(
    handlers: Handlers, session: ChatSession, clips: dict[str, Path]
) -> None:
    list(handlers.load(session, [str(clips["one.mp4"])], *LOOK))
    assert "one.mp4: 3 frames, at most 5 visual tokens" in handlers.receipt(session, 5, 2.0, 3, "", "")
    assert "got &#x27;x&#x27;" in handlers.receipt(session, 5, 2.0, 3, "x", "")


def test_a_page_whose_session_has_expired_gets_a_new_one(handlers: Handlers, page: Widgets) -> None:
    handlers.stop(None)
    assert handlers.receipt(None, *LOOK) == ""
    assert isinstance(handlers.clear(None)[page.session], ChatSession)
    assert isinstance(handlers.undo(None)[page.session], ChatSession)
    final = shown(handlers.ask(None, None, "What?", *LOOK, *SAMPLING))
    assert len(final[page.session].turns) == 1


def test_a_session_that_ends_gives_up_its_work_and_its_media(
    handlers: Handlers, session: ChatSession, clips: dict[str, Path]
) -> None:
    list(handlers.load(session, [str(clips["one.mp4"])], *LOOK))
    end_session(None)
    end_session(session)
    assert session.views == ()


def test_messages_show_questions_answers_and_failures() -> None:
    silent = Turn("Why?", "", remembered=True)
    turns = (Turn(None, "x.mp4: empty", failed=True), Turn("What?", "a star"), Turn("And?"))
    assert "ended its answer" in messages([silent])[1]["content"]
    assert messages(turns) == [
        {"role": "assistant", "content": "⚠️ x.mp4: empty"},
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "a star"},
        {"role": "user", "content": "And?"},
    ]
