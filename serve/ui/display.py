"""From a session's state and events to changes of the page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..service.events import Done, Event, Failed, Held, Reading, TextPiece, VideoReady, Waiting
from . import controls, panel, signals, talk
from .widgets import Widgets

if TYPE_CHECKING:
    from ..service.service import Defaults
    from ..service.session import ChatSession
    from ..store.values import Turn

# A browser redraws the conversation for every change; more often than this nobody can see, and a long answer takes it
# so long that nothing else on the page would be heard: the pause grows with the characters that it draws.
_REDRAW_SECONDS = 0.04
_REDRAW_SECONDS_PER_CHARACTER = 2e-5
_NOTHING: Mapping[str, str] = MappingProxyType({})

Change = dict[Any, Any]


class Display:
    """Says how the components of the page show a session.

    Args:
        widgets: The components.
        names_model: Whether the page says of each answer whose it is.
    """

    def __init__(self, widgets: Widgets, *, names_model: bool) -> None:
        self._page, self._names_model = widgets, names_model

    def work(
        self,
        session: ChatSession,
        events: Iterable[Event],
        leaving: dict[str, str],
        words: Mapping[str, Any] | None = None,
    ) -> Iterator[Change]:
        """Shows work while it goes on, with the controls set for the while.

        Args:
            session: Whose work it is.
            events: What it tells.
            leaving: Files that leave the page's list, with the line about each that is not said elsewhere; those that
                turn out to be unreadable are added.
            words: What the page is told besides; see :mod:`.signals`.
        """
        page, drawn, usage, busy = self._page, 0.0, "", self.controls(busy=True)
        yield {
            page.session: session,
            page.usage: "",
            **busy,
            **self.tell(session, leaving, words or {}),
        }
        for event in events:
            if isinstance(event, Failed) and event.file is not None:  # the chat says why
                leaving[event.file.id] = ""
            if isinstance(event, TextPiece) and time.monotonic() - drawn < _redraw_pause(session.turns):
                continue
            drawn = time.monotonic()
            change = self._change(session, event)
            usage = change.get(page.usage, usage)
            # Once more with the first event: earlier work of this page, as it ended, said that nothing goes on.
            yield {**busy, **change}
            busy = {}
        if session.problem:
            usage += panel.problem(session.problem)
        # The usage once more: whoever pressed stop as the answer ended was told that it is being stopped.
        last = {
            page.session: session,
            page.usage: usage,
            **self.talk(session),
            **self.controls(busy=False),
            **self.tell(session, leaving, words or {}),
        }
        if not session.views or session.held:
            last |= {page.receipt: "", **self.media(session)}
        yield last

    def everything(self, session: ChatSession, words: Mapping[str, Any], defaults: Defaults) -> Change:
        """Returns all that a page shows of a session while nothing is going on.

        Args:
            session: The session.
            words: What the page is told besides which conversation it shows.
            defaults: What controls show where the session says nothing.
        """
        page = self._page
        return {
            page.session: session,
            page.usage: "",
            **self.talk(session),
            **self.media(session),
            **self.tell(session, words=words),
            **dict(zip(page.look, controls.of_look(session.options, defaults), strict=True)),
        }

    def talk(self, session: ChatSession) -> Change:
        """Returns the conversation, and what its answers rest on."""
        turns = session.turns
        shown = talk.messages(turns, session.pending)
        return {self._page.chat: shown, self._page.provenance: talk.provenance(turns)}

    def media(self, session: ChatSession) -> Change:
        """Returns players and strips, and what was not read yet."""
        views = session.views
        return {
            self._page.players: panel.players(views) + panel.gone(session.gone),
            self._page.strips: panel.strips(views) + (panel.held(session.held) if session.held else ""),
            self._page.look_now: gr.update(visible=session.held is not None),
        }

    def controls(self, *, busy: bool) -> Change:
        """Returns the controls as they are while something is going on, or nothing is."""
        page = self._page
        buttons = {button: gr.update(interactive=not busy) for button in (page.retry, page.undo)}
        return {page.question: gr.update(submit_btn=not busy, stop_btn=busy), **buttons}

    def _change(self, session: ChatSession, event: Event) -> Change:
        page = self._page
        match event:
            case Waiting(place):
                return {page.usage: panel.waiting(place)}
            case Held():
                return self.media(session)
            case Reading(name):
                return {page.strips: panel.reading(name), **self.talk(session)}
            case VideoReady():
                return self.media(session)
            case Done(answer):
                model = session.model if self._names_model else None
                return {page.usage: panel.usage(answer, model), **self.talk(session)}
            case Failed():
                return {page.usage: "", **self.talk(session), **self.media(session)}
            case TextPiece():
                return {page.chat: talk.messages(session.turns)}

    def tell(
        self, session: ChatSession, leaving: Mapping[str, str] = _NOTHING, words: Mapping[str, Any] = _NOTHING
    ) -> Change:
        """Tells the page which conversation it shows.

        Args:
            session: What it shows.
            leaving: Files that leave its list, with the line about each that is not said elsewhere.
            words: What it is told besides; see :mod:`.signals`.
        """
        open = {"conversation": session.conversation_id, "revision": session.revision}
        return {self._page.told: signals.tell(open, signals.leaving(leaving), words)}


def _redraw_pause(turns: Sequence[Turn]) -> float:
    """Returns how many seconds the page is left alone after a change, while an answer grows."""
    return _REDRAW_SECONDS + _REDRAW_SECONDS_PER_CHARACTER * sum(len(turn.text) for turn in turns)
