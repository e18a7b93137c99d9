"""The page's handlers turn what a session tells into changes of components and leave the controls in order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

from videollm.values import Span
from videollm_serve.service.models import Models
from videollm_serve.service.service import ChatService
from videollm_serve.service.session import ChatSession
from videollm_serve.service.shelf import Shelf
from videollm_serve.store.store import Store
from videollm_serve.store.uploads import Uploads
from videollm_serve.store.values import Turn, Upload
from videollm_serve.ui.brought import PageFiles
from videollm_serve.ui.handlers import Handlers, end_session
from videollm_serve.ui.signals import Listed
from videollm_serve.ui.talk import messages, provenance, turn_of, typed
from videollm_serve.ui.widgets import LookControls, SamplingControls, Widgets

LOOK = (None, 2.0, 8, "", "")
SAMPLING = (0.0, 1.0, 10, "")


def build_page() -> Widgets:
    with gr.Blocks(analytics_enabled=False):
        return Widgets(
            session=gr.State(None),
            about=gr.HTML(),
            model=gr.Dropdown(),
            files=gr.Textbox(),
            wanted=gr.Textbox(),
            told=gr.Textbox(),
            players=gr.HTML(),
            strips=gr.HTML(),
            look_now=gr.Button(),
            look=LookControls(gr.Slider(), gr.Slider(), gr.Slider(), gr.Textbox(), gr.Textbox()),
            receipt=gr.HTML(),
            sampling=SamplingControls(gr.Slider(), gr.Slider(), gr.Slider(), gr.Textbox()),
            chat=gr.Chatbot(),
            provenance=gr.HTML(),
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
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "data", retention_s=3600) as store:
        yield store


@pytest.fixture
def uploads(store: Store) -> Uploads:
    return store.uploads


Bring = Callable[..., Upload]


@pytest.fixture
def bring(uploads: Uploads, clips: dict[str, Path]) -> Bring:
    """Makes a clip an upload."""

    def bring(clip: str, owner: str = "me", name: str | None = None) -> Upload:
        (arrived := uploads.incoming / "arriving").write_bytes(clips[clip].read_bytes())
        size = arrived.stat().st_size
        return uploads.add(owner, name or clip, "video/mp4", "video", size, "0" * 64, arrived)

    return bring


@pytest.fixture
def handlers(service: ChatService, store: Store, page: Widgets) -> Handlers:
    shelf = Shelf(store.conversations)
    return Handlers(Models([service]), shelf, PageFiles(store, shelf), page)


@pytest.fixture
def session(handlers: Handlers) -> ChatSession:
    return handlers.open(asked_by("me"))


def asked_by(owner: str) -> gr.Request:
    """A request as it comes through the door."""
    return gr.Request(Request({"type": "http", "state": {"owner": owner}}))


ME = asked_by("me")


def left(final: dict[Any, Any], page: Widgets) -> dict[str, str]:
    """What the page is told to take off its list, with the line about each."""
    return dict(json.loads(final[page.told]).get("leaving", {}))


def shown(changes: Iterable[dict[Any, Any]]) -> dict[Any, Any]:
    """What the page shows after all changes."""
    return {component: value for change in changes for component, value in change.items()}


def test_a_question_streams_and_gives_the_controls_back(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring
) -> None:
    changes = list(handlers.ask(ME, session, bring("one.mp4").id, " What? ", *LOOK, *SAMPLING))
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
    assert list(handlers.ask(ME, session, None, "  ", *LOOK, *SAMPLING)) == [{page.session: session}]
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
    bring: Bring,
    settings: tuple[Any, ...],
    words: str,
) -> None:
    files = bring("one.mp4").id
    list(handlers.load(ME, session, files, *LOOK))
    final = shown(handlers.ask(ME, session, files, "What?", *settings))
    assert words in final[page.chat][-1]["content"]
    assert final[page.question]["submit_btn"]
    final = shown(handlers.ask(ME, session, files, "What?", *LOOK, *SAMPLING))
    assert not session.turns[-1].failed
    assert "answer token" in final[page.usage]


def test_a_time_may_be_written_with_minutes(handlers: Handlers, session: ChatSession, bring: Bring) -> None:
    list(handlers.load(ME, session, bring("one.mp4").id, None, 2.0, 8, "0:01.5", "4"))
    times = [frame.time_s for frame in session.views[0].frames]
    assert 1.5 <= min(times) < max(times) <= 4


def test_an_unreadable_file_leaves_the_list_and_the_server_and_the_others_stay(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring, uploads: Uploads
) -> None:
    one, noise = bring("one.mp4"), bring("noise.mp4", name="<b>*noise*")
    final = shown(handlers.load(ME, session, f"{one.id} {noise.id} /", *LOOK))
    assert left(final, page) == {noise.id: ""}, "the chat says why"
    told = final[page.chat][-1]["content"]
    assert told.startswith("⚠️ &#60;b&#62;&#42;noise&#42;: "), "a name is no markup"
    assert "one.mp4" in final[page.players]
    assert uploads.list("me") == (one,)
    # The list then says that it has caught up, which must not read anything again.
    assert list(handlers.load(ME, session, f"{one.id} /", *LOOK)) == [{page.session: session}]


def test_a_file_of_somebody_else_is_not_there(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring, uploads: Uploads
) -> None:
    mine, other = bring("one.mp4"), bring("two.mp4", owner="somebody")
    for ids in (f"{mine.id} {other.id} nothing", f"{mine.id} {other.id} nothing / {other.id}"):
        final = shown(handlers.load(ME, session, ids, *LOOK))
        assert left(final, page).keys() == {other.id, "nothing"}
        assert all("bring it again" in line for line in left(final, page).values())
    assert [view.file.id for view in session.views] == [mine.id]
    handlers.clear(ME, session, f"{other.id} / {other.id}")
    assert uploads.list("somebody") == (other,)
    assert uploads.list("me") == ()


def test_a_session_of_somebody_else_is_not_entered(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring
) -> None:
    one = bring("one.mp4")
    list(handlers.ask(ME, session, one.id, "My question?", *LOOK, *SAMPLING))
    turns, stranger = session.turns, asked_by("somebody")
    told = [
        *handlers.load(stranger, session, one.id, *LOOK),
        *handlers.ask(stranger, session, one.id, "Theirs?", *LOOK, *SAMPLING),
        *handlers.retry(stranger, session, one.id, *LOOK, *SAMPLING),
        handlers.undo(stranger, session),
        handlers.clear(stranger, session, one.id),
    ]
    with pytest.warns(UserWarning, match="no such conversation"):
        told += handlers.turn_to(stranger, session, f"open {session.conversation_id}")
    handlers.stop(stranger, session)
    assert handlers.receipt(stranger, session, *LOOK) == {page.receipt: ""}
    opened = [change.pop(page.session) for change in told if page.session in change]
    assert {each.owner for each in opened} == {"somebody"}
    assert "My question" not in repr(told)
    assert "one.mp4" not in repr(told)
    assert session.turns == turns
    assert len(session.views) == 1


def test_what_is_taken_away_is_deleted_unless_another_page_of_the_owner_shows_it(
    handlers: Handlers, session: ChatSession, bring: Bring, uploads: Uploads
) -> None:
    one, still = bring("one.mp4"), bring("still.png")
    beside = handlers.open(ME)
    for each in (session, beside):
        list(handlers.load(ME, each, f"{one.id} {still.id} /", *LOOK))
    list(handlers.load(ME, beside, f"{one.id} / {still.id}", *LOOK))
    assert uploads.list("me") == (one, still)
    list(handlers.load(ME, session, f" / {one.id} {still.id}", *LOOK))
    assert uploads.list("me") == (one,)
    handlers.clear(ME, beside, f"{one.id} / {still.id}")
    assert uploads.list("me") == ()


def test_a_conversation_goes_on_about_a_file_that_has_expired(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring, uploads: Uploads
) -> None:
    one = bring("one.mp4")
    list(handlers.load(ME, session, one.id, *LOOK))
    uploads.delete("me", one.id)
    final = shown(handlers.ask(ME, session, one.id, "What?", *LOOK, *SAMPLING))
    assert "8 frames" in final[page.usage]
    assert left(final, page) == {}


def test_what_a_page_lists_is_read_whatever_it_is() -> None:
    assert Listed.read(" b a b / c a ") == Listed(("b", "a"), frozenset({"c"}))
    assert Listed.read("a//b") == Listed(("a",), frozenset({"/b"}))
    assert Listed.read(None) == Listed.read("/") == Listed()


def test_retry_asks_the_last_question_again_with_the_settings_of_now(
    handlers: Handlers, page: Widgets, session: ChatSession
) -> None:
    list(handlers.ask(ME, session, None, "What?", *LOOK, 2.0, 1.0, 10, "1"))
    first = session.turns[-1].text
    final = shown(handlers.retry(ME, session, None, *LOOK, 2.0, 1.0, 10, "2"))
    assert [turn.question for turn in session.turns] == ["What?"]
    assert session.turns[-1].text != first
    assert len(final[page.chat]) == 2


def test_undo_puts_the_question_back_into_the_box(
    handlers: Handlers, page: Widgets, session: ChatSession
) -> None:
    list(handlers.ask(ME, session, None, "What?", *LOOK, *SAMPLING))
    change = handlers.undo(ME, session)
    assert (change[page.chat], change[page.question]) == ([], "What?")
    assert page.question not in handlers.undo(ME, session), "nothing is left to take back"


def test_a_question_is_about_what_another_window_added_to_the_same_conversation_too(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring
) -> None:
    one, two = bring("one.mp4").id, bring("two.mp4").id
    list(handlers.ask(ME, session, one, "First?", *LOOK, *SAMPLING))
    other = handlers.open(ME)
    list(handlers.turn_to(ME, other, f"open {session.conversation_id}"))
    list(handlers.load(ME, other, f"{one} {two}", *LOOK))
    list(handlers.ask(ME, session, one, "Second?", *LOOK, *SAMPLING))
    assert [turn.question for turn in other.turns] == ["First?", "Second?"]
    assert session.ids == [one, two]
    list(handlers.ask(ME, session, f"{one} / {two}", "Without it?", *LOOK, *SAMPLING))
    assert [turn.question for turn in session.turns] == ["Without it?"]


def test_an_earlier_question_is_edited_and_what_came_after_it_is_gone(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring
) -> None:
    file = bring("one.mp4").id
    for question in ("First?", "Second?", "Third?"):
        list(handlers.ask(ME, session, file, question, *LOOK, *SAMPLING))
    edited = gr.EditData(None, {"index": 2, "value": "Another?", "previous_value": "Second?"})
    final = shown(handlers.edit(edited, ME, session, file, *LOOK, *SAMPLING))
    asked = [message["content"] for message in final[page.chat] if message["role"] == "user"]
    assert asked == ["First?", "Another?"]
    assert [turn.question for turn in session.turns] == ["First?", "Another?"]
    blank = gr.EditData(None, {"index": 2, "value": "  ", "previous_value": "Another?"})
    assert shown(handlers.edit(blank, ME, session, file, *LOOK, *SAMPLING))[page.chat] == final[page.chat]
    answer = gr.EditData(None, {"index": 1, "value": "I never said that", "previous_value": "x"})
    list(handlers.edit(answer, ME, session, file, *LOOK, *SAMPLING))
    assert [turn.question for turn in session.turns] == ["I never said that"]


def test_a_kept_conversation_fills_the_page_and_a_new_one_empties_it(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring, store: Store
) -> None:
    upload = bring("one.mp4")
    look = (5, 2.0, 3, "0.5", "")
    before = shown(handlers.ask(ME, session, upload.id, "What?", *look, *SAMPLING))
    told = json.loads(before[page.told])
    empty = shown(handlers.turn_to(ME, session, "new 1"))
    assert [empty[part] for part in (page.chat, page.players, page.strips)] == [[], "", ""]
    assert json.loads(empty[page.told])["listed"] == []
    assert json.loads(empty[page.told])["conversation"] is None
    other = handlers.open(ME)
    again = shown(handlers.turn_to(ME, other, f"open {told['conversation']} 2"))
    for part in (page.chat, page.provenance, page.players, page.strips):
        assert again[part] == before[part]
    assert [again[control] for control in page.look] == list(look)
    (listed,) = json.loads(again[page.told])["listed"]
    assert (listed["id"], listed["name"]) == (upload.id, "one.mp4")
    assert shown(handlers.load(ME, other, upload.id, *look)) == {page.session: other}


def test_a_conversation_that_is_not_there_shows_an_empty_page_and_says_so(
    handlers: Handlers, page: Widgets, session: ChatSession
) -> None:
    list(handlers.ask(ME, session, None, "What?", *LOOK, *SAMPLING))
    with pytest.warns(UserWarning, match="no such conversation"):
        final = shown(handlers.turn_to(ME, session, "open nothing-of-that-kind"))
    assert final[page.chat] == []


@pytest.mark.parametrize("wanted", ["open", "", None, "close it"])
def test_a_page_that_wants_nothing_stays_as_it_is(
    handlers: Handlers, page: Widgets, session: ChatSession, wanted: str | None
) -> None:
    list(handlers.ask(ME, session, None, "What?", *LOOK, *SAMPLING))
    assert shown(handlers.turn_to(ME, session, wanted)) == {page.session: session}
    assert len(session.turns) == 1


def test_uploads_stay_while_a_kept_conversation_is_about_them(
    handlers: Handlers, session: ChatSession, bring: Bring, uploads: Uploads
) -> None:
    asked, unasked = bring("one.mp4"), bring("two.mp4")
    list(handlers.ask(ME, session, asked.id, "What?", *LOOK, *SAMPLING))
    list(handlers.load(ME, session, f"{unasked.id} / {asked.id}", *LOOK))
    assert {upload.id for upload in uploads.list("me")} == {asked.id, unasked.id}
    list(handlers.load(ME, session, f" / {asked.id} {unasked.id}", *LOOK))
    assert {upload.id for upload in uploads.list("me")} == {asked.id}


def test_another_model_answers_from_the_next_question_on(
    handlers: Handlers, page: Widgets, session: ChatSession, service: ChatService
) -> None:
    change = handlers.choose(ME, session, "tiny")
    assert "tiny: " in change[page.about]
    assert change[page.look.max_visual_tokens]["maximum"] == service.defaults.most_visual_tokens


def test_clear_empties_every_part_of_the_page(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring
) -> None:
    list(handlers.ask(ME, session, bring("one.mp4").id, "What?", *LOOK, *SAMPLING))
    change = handlers.clear(ME, session, None)
    assert change[page.files] == ""
    assert change[page.chat] == []
    for part in (page.players, page.strips, page.usage, page.receipt):
        assert change[part] == ""
    assert change[page.question]["submit_btn"]
    assert session.views == ()


def test_the_receipt_follows_the_settings_and_names_what_is_wrong_with_them(
    handlers: Handlers, page: Widgets, session: ChatSession, bring: Bring
) -> None:
    list(handlers.load(ME, session, bring("one.mp4").id, *LOOK))
    right = handlers.receipt(ME, session, 5, 2.0, 3, "", "")
    assert "one.mp4: 3 frames, at most 5 visual tokens" in right[page.receipt]
    assert "got &#x27;x&#x27;" in handlers.receipt(ME, session, 5, 2.0, 3, "x", "")[page.receipt]


def test_a_page_whose_session_has_expired_gets_a_new_one(handlers: Handlers, page: Widgets) -> None:
    handlers.stop(ME, None)
    assert handlers.receipt(ME, None, *LOOK) == {page.receipt: ""}
    assert isinstance(handlers.clear(ME, None, None)[page.session], ChatSession)
    assert isinstance(handlers.undo(ME, None)[page.session], ChatSession)
    final = shown(handlers.ask(ME, None, None, "What?", *LOOK, *SAMPLING))
    assert len(final[page.session].turns) == 1


def test_a_session_that_ends_gives_up_its_work_and_its_media(
    handlers: Handlers, session: ChatSession, bring: Bring
) -> None:
    list(handlers.load(ME, session, bring("one.mp4").id, *LOOK))
    end_session(None)
    end_session(session)
    assert session.views == ()


def test_each_message_is_of_its_turn_and_each_answer_has_its_evidence() -> None:
    turns = (
        Turn(None, "x.mp4: empty", failed=True),
        Turn("What?", "a star", remembered=True, evidence=(Span(1.0, 2.5, 0.7, 1), Span(0.0, 1.0, 0.2))),
        Turn("And?"),
        Turn("Why?", "so", remembered=True),
    )
    assert [turn_of(turns, message) for message in range(-1, 8)] == [-1, 0, 1, 1, 2, 3, 3, -1, -1]
    spans = re.findall('data-spans="([^"]*)"', provenance(turns))
    assert spans == ["", "1:1.000:2.500 0:0.000:1.000", ""]


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


@given(st.text(min_size=1) | st.from_regex(r"[&<#;a-z0-9 ]{1,20}"))
@example("&lt; &copy &#60; <b>&</b> &amp;amp;")
def test_no_html_of_a_question_is_html_and_its_editor_gives_back_what_was_typed(question: str) -> None:
    (message,) = messages([Turn(question)])
    assert "<" not in message["content"]
    assert typed(message["content"]) == question
