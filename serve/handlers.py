"""From what a session reports to what changes on the page: plain generators, one for each thing a person can do."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import gradio as gr

from videollm.errors import ConfigError, VideoLLMError
from videollm.media import ReadOptions

from . import controls, panel
from .brought import Listed, PageFiles
from .conversation import Turn
from .events import BroughtFile, Done, Event, Failed, Reading, TextPiece, VideoReady, Waiting
from .service import ChatService
from .session import ChatSession
from .web.owners import owner_of
from .widgets import Widgets

# A browser redraws the conversation for every change; more often than this nobody can see, and a long answer takes it
# so long that nothing else on the page would be heard: the pause grows with the characters that it draws.
_REDRAW_SECONDS = 0.04
_REDRAW_SECONDS_PER_CHARACTER = 2e-5
_SAID_NOTHING = "*(The model ended its answer before a word.)*"
_NOT_THERE = "This file is not on the server any more: bring it again."
# What may be markup, in Markdown or in HTML.
_MARKUP = re.compile(r"[\\`*_\[\]<>()#~|!&$]")

Change = dict[Any, Any]


class Handlers:
    """What the page calls. Every handler takes the request and the session first.

    A session that has expired (``None``) or is another owner's makes way for a new one: whoever names the page of
    somebody else to Gradio is given that page's state.

    Args:
        service: What answers.
        files: The files that pages show.
        widgets: The components that changes are addressed to.
    """

    def __init__(self, service: ChatService, files: PageFiles, widgets: Widgets) -> None:
        self._service = service
        self._files = files
        self._page = widgets

    def open(self, request: gr.Request) -> ChatSession:
        """Opens a session for a page that has just been loaded."""
        return self._session(request, None)

    def load(
        self, request: gr.Request, session: ChatSession | None, listed: str | None, *look: Any
    ) -> Iterator[Change]:
        """Reads the files that are now in the list, and removes those that were taken from it."""
        session, told = self._session(request, session), Listed.read(listed)
        files, missing = self._files.find(session, told.ids)
        self._files.remove(session, told.removed)
        if session.holds(files) and not missing:  # only the list has caught up with what the page was told
            yield {self._page.session: session}
            return
        try:
            options = controls.look(look)
        except (
            ConfigError
        ):  # it stands below the settings already, and will be said again with the next answer
            options = ReadOptions()
        yield from self._show(session, session.set_media(files, options), missing)

    def ask(
        self,
        request: gr.Request,
        session: ChatSession | None,
        listed: str | None,
        question: str,
        *settings: Any,
    ) -> Iterator[Change]:
        """Answers a question that was typed, about the files in the list."""
        session = self._session(request, session)
        if not question.strip():
            yield {self._page.session: session}
            return
        files, missing = self._files.find(session, Listed.read(listed).ids)
        yield from self._show(session, _turn(session, files, question.strip(), settings), missing)

    def suggest(
        self,
        event: gr.SelectData,
        request: gr.Request,
        session: ChatSession | None,
        listed: str | None,
        *settings: Any,
    ) -> Iterator[Change]:
        """Asks a suggested question."""
        yield from self.ask(request, session, listed, event.value["text"], *settings)

    def retry(
        self, request: gr.Request, session: ChatSession | None, listed: str | None, *settings: Any
    ) -> Iterator[Change]:
        """Asks the last question again, with the settings as they are now."""
        session = self._session(request, session)
        yield from self.ask(request, session, listed, session.undo() or "", *settings)

    def undo(self, request: gr.Request, session: ChatSession | None) -> Change:
        """Takes the last question and its answer back; the question may be edited and asked anew."""
        session = self._session(request, session)
        question = session.undo()
        change = {self._page.chat: messages(session.turns), self._page.usage: "", self._page.session: session}
        return change if question is None else {**change, self._page.question: question}

    def clear(self, request: gr.Request, session: ChatSession | None, listed: str | None) -> Change:
        """Forgets everything: uploads, frames, conversation and what the model kept of them."""
        session, told = self._session(request, session), Listed.read(listed)
        held = [file.id for file in session.files]
        session.clear()
        self._files.remove(session, [*held, *told.ids, *told.removed])
        page = self._page
        empty = {page.files: "", page.players: "", page.strips: "", page.receipt: "", page.question: ""}
        return {**empty, page.usage: "", page.chat: [], page.session: session, **self._controls(busy=False)}

    def stop(self, request: gr.Request, session: ChatSession | None) -> None:
        """Ends the running work after the token or the file it is at."""
        self._session(request, session).stop()

    def receipt(self, request: gr.Request, session: ChatSession | None, *look: Any) -> str:
        """Says what the next answer would look at, before anything is computed."""
        try:
            return panel.receipt(self._session(request, session).receipt(controls.look(look)))
        except VideoLLMError as error:
            return panel.problem(str(error))

    def _session(self, request: gr.Request, session: ChatSession | None) -> ChatSession:
        """The session, if it is that of whoever asks, else a new one."""
        assert request.request is not None, "a handler is called by a request"
        owner = owner_of(request.request.scope)
        if session is not None and session.owner == owner:
            return session
        return self._files.enter(self._service.open(owner))

    def _show(
        self, session: ChatSession, events: Iterable[Event], missing: Sequence[str] = ()
    ) -> Iterator[Change]:
        """Turns a session's events into changes of the page, with the controls set for the while."""
        page, drawn, usage = self._page, 0.0, ""
        leaving = dict.fromkeys(missing, _NOT_THERE)
        yield {page.session: session, page.usage: "", **self._controls(busy=True), **self._leave(leaving)}
        for event in events:
            if isinstance(event, Failed) and event.file is not None:  # the chat says why
                leaving[event.file.id] = ""
            if isinstance(event, TextPiece) and time.monotonic() - drawn < _redraw_pause(session.turns):
                continue
            drawn = time.monotonic()
            change = self._change(session, event)
            usage = change.get(page.usage, usage)
            yield change
        self._files.remove(session, leaving)
        # The usage once more: whoever pressed stop as the answer ended was told that it is being stopped.
        last = {
            page.session: session,
            page.usage: usage,
            page.chat: messages(session.turns),
            **self._controls(busy=False),
            **self._leave(leaving),
        }
        if not session.views:
            last |= {page.receipt: "", **self._media(session)}
        yield last

    def _leave(self, leaving: dict[str, str]) -> Change:
        """Tells the page which files leave its list, and the line about each that is not said elsewhere."""
        if not leaving:
            return {}
        # Of two equal values in a row the page would not hear the second.
        return {self._page.leaving: json.dumps({"files": leaving, "once": secrets.token_hex(4)})}

    def _change(self, session: ChatSession, event: Event) -> Change:
        page = self._page
        match event:
            case Waiting(place):
                return {page.usage: panel.waiting(place)}
            case Reading(name):
                return {page.strips: panel.reading(name), page.chat: messages(session.turns)}
            case VideoReady():
                return self._media(session)
            case Done(answer):
                return {page.chat: messages(session.turns), page.usage: panel.usage(answer)}
            case Failed():
                return {page.usage: "", page.chat: messages(session.turns), **self._media(session)}
            case TextPiece():
                return {page.chat: messages(session.turns)}

    def _media(self, session: ChatSession) -> Change:
        views = session.views
        return {self._page.players: panel.players(views), self._page.strips: panel.strips(views)}

    def _controls(self, *, busy: bool) -> Change:
        page = self._page
        buttons = {button: gr.update(interactive=not busy) for button in (page.retry, page.undo)}
        return {page.question: gr.update(submit_btn=not busy, stop_btn=busy), **buttons}


def _redraw_pause(turns: Sequence[Turn]) -> float:
    """Returns how many seconds the page is left alone after a change, while an answer grows."""
    return _REDRAW_SECONDS + _REDRAW_SECONDS_PER_CHARACTER * sum(len(turn.text) for turn in turns)


def end_session(session: ChatSession | None) -> None:
    """Ends a session whose page was closed or not used for long."""
    if session:
        session.clear()


def messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Returns the conversation in the form gradio's Chatbot takes."""
    shown = []
    for turn in turns:
        if turn.question is not None:
            shown.append({"role": "user", "content": turn.question})
        text = turn.text or (_SAID_NOTHING if turn.remembered else "")
        if text:
            shown.append({"role": "assistant", "content": f"⚠️ {_plain(text)}" if turn.failed else text})
    return shown


def _plain(text: str) -> str:
    """Text for Markdown that stands there as it is: names of files are in it."""
    return _MARKUP.sub(lambda sign: f"&#{ord(sign[0])};", text)


def _turn(
    session: ChatSession, files: Sequence[BroughtFile], question: str, settings: Sequence[Any]
) -> Iterator[Event]:
    try:
        options, sampling = controls.look_and_sampling(settings)
    except ConfigError as error:
        yield session.refuse(question, str(error))
        return
    yield from session.ask_about(files, question, options, **sampling)
