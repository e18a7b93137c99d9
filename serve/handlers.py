"""From what a session reports to what changes on the page: plain generators, one for each thing a person can do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import typer

from videollm.commands.options import parse_seconds
from videollm.errors import ConfigError, VideoLLMError
from videollm.media import ReadOptions

from . import panel
from .conversation import Turn
from .events import Done, Event, Failed, Reading, TextPiece, VideoReady
from .service import ChatService
from .session import ChatSession
from .widgets import LookControls, SamplingControls, Widgets

# A browser redraws the conversation for every change; more often than this nobody can see, and a long answer takes it
# so long that nothing else on the page would be heard: the pause grows with the characters that it draws.
_REDRAW_SECONDS = 0.04
_REDRAW_SECONDS_PER_CHARACTER = 2e-5
_SAID_NOTHING = "*(The model ended its answer before a word.)*"

Change = dict[Any, Any]


class Handlers:
    """What the page calls. Every handler takes the session first; ``None`` (expired) opens a new one.

    Args:
        service: What answers.
        widgets: The components that changes are addressed to.
    """

    def __init__(self, service: ChatService, widgets: Widgets) -> None:
        self._service = service
        self._page = widgets

    def open(self) -> ChatSession:
        """Opens a session for a page that has just been loaded."""
        return self._service.open()

    def load(self, session: ChatSession | None, files: Sequence[str] | None, *look: Any) -> Iterator[Change]:
        """Reads the files that are now in the drop zone."""
        session = session or self._service.open()
        paths = _paths(files)
        if session.holds(paths):  # a change that this page has made itself
            yield {self._page.session: session}
            return
        try:
            options = _look(look)
        except (
            ConfigError
        ):  # it stands below the settings already, and will be said again with the next answer
            options = ReadOptions()
        yield from self._show(session, session.set_media(paths, options))

    def ask(
        self, session: ChatSession | None, files: Sequence[str] | None, question: str, *settings: Any
    ) -> Iterator[Change]:
        """Answers a question that was typed, about the files in the drop zone."""
        session = session or self._service.open()
        if not question.strip():
            yield {self._page.session: session}
            return
        yield from self._show(session, _turn(session, files, question.strip(), settings))

    def suggest(
        self, event: gr.SelectData, session: ChatSession | None, files: Sequence[str] | None, *settings: Any
    ) -> Iterator[Change]:
        """Asks a suggested question."""
        yield from self.ask(session, files, event.value["text"], *settings)

    def retry(
        self, session: ChatSession | None, files: Sequence[str] | None, *settings: Any
    ) -> Iterator[Change]:
        """Asks the last question again, with the settings as they are now."""
        question = session.undo() if session else None
        yield from self.ask(session, files, question or "", *settings)

    def undo(self, session: ChatSession | None) -> Change:
        """Takes the last question and its answer back; the question may be edited and asked anew."""
        session = session or self._service.open()
        question = session.undo()
        change = {self._page.chat: messages(session.turns), self._page.usage: "", self._page.session: session}
        return change if question is None else {**change, self._page.question: question}

    def clear(self, session: ChatSession | None) -> Change:
        """Forgets everything: media, frames, conversation and what the model kept of them."""
        session = session or self._service.open()
        session.clear()
        page = self._page
        empty = {page.files: None, page.players: "", page.strips: "", page.receipt: "", page.question: ""}
        return {**empty, page.usage: "", page.chat: [], page.session: session, **self._controls(busy=False)}

    def stop(self, session: ChatSession | None) -> None:
        """Ends the running work after the token or the file it is at."""
        if session:
            session.stop()

    def receipt(self, session: ChatSession | None, *look: Any) -> str:
        """Says what the next answer would look at, before anything is computed."""
        try:
            return panel.receipt(session.receipt(_look(look))) if session else ""
        except VideoLLMError as error:
            return panel.problem(str(error))

    def _show(self, session: ChatSession, events: Iterable[Event]) -> Iterator[Change]:
        """Turns a session's events into changes of the page, with the controls set for the while."""
        page, drawn, unreadable, usage = self._page, 0.0, False, ""
        yield {page.session: session, page.usage: "", **self._controls(busy=True)}
        for event in events:
            unreadable |= isinstance(event, Failed) and event.path is not None
            if isinstance(event, TextPiece) and time.monotonic() - drawn < _redraw_pause(session.turns):
                continue
            drawn = time.monotonic()
            change = self._change(session, event)
            usage = change.get(page.usage, usage)
            yield change
        # The usage once more: whoever pressed stop as the answer ended was told that it is being stopped.
        last = {
            page.session: session,
            page.usage: usage,
            page.chat: messages(session.turns),
            **self._controls(busy=False),
        }
        if not session.views:
            last |= {page.receipt: "", **self._media(session)}
        if unreadable:  # the drop zone lists what the model sees, and nothing else
            last[page.files] = [str(view.path) for view in session.views] or None
        yield last

    def _change(self, session: ChatSession, event: Event) -> Change:
        page = self._page
        match event:
            case Reading(path):
                return {page.strips: panel.reading(path), page.chat: messages(session.turns)}
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
            shown.append({"role": "assistant", "content": f"⚠️ {text}" if turn.failed else text})
    return shown


def _turn(
    session: ChatSession, files: Sequence[str] | None, question: str, settings: Sequence[Any]
) -> Iterator[Event]:
    looks = len(LookControls._fields)
    try:
        options, sampling = _look(settings[:looks]), _sampling(settings[looks:])
    except ConfigError as error:
        yield session.refuse(question, str(error))
        return
    yield from session.ask_about(_paths(files), question, options, **sampling)


def _paths(files: Sequence[str] | None) -> list[Path]:
    return [Path(file) for file in files or ()]


def _look(values: Sequence[Any]) -> ReadOptions:
    settings = dict(zip(LookControls._fields, values, strict=True))
    whole = {name: _whole(settings[name]) for name in ("max_visual_tokens", "max_frames")}
    seconds = {name: _seconds(settings[name]) for name in ("start_s", "end_s")}
    return ReadOptions(**settings | whole | seconds)


def _seconds(text: str | None) -> float | None:
    if not (text and text.strip()):
        return None
    try:
        return parse_seconds(text)
    except typer.BadParameter as error:
        raise ConfigError(error.message) from None


def _sampling(values: Sequence[Any]) -> dict[str, Any]:
    settings = dict(zip(SamplingControls._fields, values, strict=True))
    return settings | {"max_new_tokens": _whole(settings["max_new_tokens"]), "seed": _seed(settings["seed"])}


def _seed(text: str | None) -> int | None:
    if not (text and text.strip()):
        return None
    if not text.strip().isdecimal():
        raise ConfigError(
            f"the seed must be a whole number from 0, got {text.strip()!r}; leave it empty for a new one each time"
        )
    return int(text)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
