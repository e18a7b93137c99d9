"""What a person can do on the page: plain generators of changes, one for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from videollm.errors import ConfigError, VideoLLMError
from videollm.media import ReadOptions

from ..service.events import BroughtFile, Event

# Gradio reads the hints of handlers to know where the request goes: they must be known when the program runs.
from ..service.session import ChatSession
from ..store.errors import NotFoundError
from ..web.owners import owner_of
from . import controls, panel, signals, talk
from .brought import PageFiles
from .display import Change, Display
from .signals import Listed, Wanted
from .widgets import Widgets

if TYPE_CHECKING:
    from ..service.models import Models
    from ..service.shelf import Shelf

# A file that takes longer to look at is looked at when it is asked for.
_PATIENCE_S = 8.0
_NOT_THERE = "This file is not on the server any more: bring it again."


class Handlers:
    """What the page calls. Every handler takes the request and the session first.

    A session that has expired (``None``) or is another owner's makes way for a new one: whoever names the page of
    somebody else to Gradio is given that page's state.

    Args:
        models: What answers; the first does where nobody chooses.
        shelf: Where conversations are begun and opened.
        files: The files that pages show.
        widgets: The components that changes are addressed to.
    """

    def __init__(self, models: Models, shelf: Shelf, files: PageFiles, widgets: Widgets) -> None:
        self._models = models
        self._shelf = shelf
        self._files = files
        self._page = widgets
        self._display = Display(widgets, names_model=len(models) > 1)

    def open(self, request: gr.Request) -> ChatSession:
        """Opens a session for a page that has just been loaded."""
        return self.session(request, None)

    def turn_to(
        self, request: gr.Request, session: ChatSession | None, wanted: str | None
    ) -> Iterator[Change]:
        """Shows another conversation: an empty one, or a kept one, whose media are read again."""
        session, wish = self.session(request, session), Wanted.read(wanted)
        left = session.ids
        if wish.is_new:
            session.begin()
        elif wish.id is None:
            yield {self._page.session: session}
            return
        else:
            try:
                session.open(wish.id)
            except NotFoundError as error:
                session.begin()
                gr.Warning(str(error), title="Conversation")
        self._files.remove(session.owner, left)  # unless something is kept that is about them
        files, _ = self._files.find(session, session.ids)
        # Said with every change: of changes in a row the page may hear the last one only.
        listed = signals.listing(self._files.facts(session.owner, session.ids))
        yield self._display.everything(session, listed, self._models.first.defaults)
        reading = session.set_media(files, session.options, patience_s=_PATIENCE_S)
        yield from self._show(session, reading, words=listed)

    def load(
        self, request: gr.Request, session: ChatSession | None, listed: str | None, *look: Any
    ) -> Iterator[Change]:
        """Reads the files that are now in the list, and removes those that were taken from it."""
        session, told = self.session(request, session), Listed.read(listed)
        files, missing = self._files.find(session, told.ids)
        if session.holds(files) and not missing:  # only the list has caught up with what the page was told
            yield {self._page.session: session}
        else:
            reading = session.set_media(files, self._look(session, look), patience_s=_PATIENCE_S)
            yield from self._show(session, reading, missing)
        self._files.remove(session.owner, told.removed)

    def look_now(
        self, request: gr.Request, session: ChatSession | None, listed: str | None, *look: Any
    ) -> Iterator[Change]:
        """Reads a file that was held back for the time that it takes."""
        session = self.session(request, session)
        files, missing = self._files.find(session, Listed.read(listed).ids)
        yield from self._show(session, session.set_media(files, self._look(session, look)), missing)

    def ask(
        self,
        request: gr.Request,
        session: ChatSession | None,
        listed: str | None,
        question: str,
        *settings: Any,
    ) -> Iterator[Change]:
        """Answers a question that was typed, about the files in the list."""
        session = self.session(request, session)
        if not question.strip():
            yield {self._page.session: session}
            return
        files, missing = self._files.find(session, _asked_about(session, Listed.read(listed)))
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
        session = self.session(request, session)
        yield from self.ask(request, session, listed, session.undo() or "", *settings)

    def edit(
        self,
        event: gr.EditData,
        request: gr.Request,
        session: ChatSession | None,
        listed: str | None,
        *settings: Any,
    ) -> Iterator[Change]:
        """Asks an earlier question otherwise: its answer and all that came after it are taken back."""
        session, question = self.session(request, session), talk.typed(str(event.value))
        position = talk.turn_of(session.turns, _index(event))
        if not question.strip() or session.rewind(position) is None:
            yield {self._page.chat: talk.messages(session.turns), self._page.session: session}
            return
        yield from self.ask(request, session, listed, question, *settings)

    def undo(self, request: gr.Request, session: ChatSession | None) -> Change:
        """Takes the last question and its answer back; the question may be edited and asked anew."""
        session = self.session(request, session)
        question = session.undo()
        change = {
            **self._display.talk(session),
            **self._display.tell(session),
            self._page.usage: "",
            self._page.session: session,
        }
        return change if question is None else {**change, self._page.question: question}

    def clear(self, request: gr.Request, session: ChatSession | None, listed: str | None) -> Change:
        """Forgets everything: uploads, frames, conversation and what the model kept of them."""
        session, told = self.session(request, session), Listed.read(listed)
        held = [*session.ids, *(file.id for file in session.files)]
        session.forget()
        self._files.remove(session.owner, [*held, *told.ids, *told.removed])
        empty = {self._page.files: "", self._page.receipt: "", self._page.question: ""}
        defaults = self._models.first.defaults
        nothing = self._display.everything(session, signals.listing([]), defaults)
        return {**nothing, **empty, **self._display.controls(busy=False)}

    def choose(self, request: gr.Request, session: ChatSession | None, model: str) -> Change:
        """Has another model answer from the next question on."""
        session, service = self.session(request, session), self._models[model]
        session.choose(service.eyes)
        page, defaults = self._page, service.defaults
        most_tokens, most_words = defaults.most_visual_tokens, defaults.most_new_tokens
        return {
            page.session: session,
            page.about: panel.about(service.description),
            page.look.max_visual_tokens: gr.update(maximum=most_tokens, value=defaults.max_visual_tokens),
            page.sampling.max_new_tokens: gr.update(maximum=most_words, value=defaults.max_new_tokens),
        }

    def stop(self, request: gr.Request, session: ChatSession | None) -> None:
        """Ends the running work after the token or the file it is at."""
        self.session(request, session).stop()

    def receipt(self, request: gr.Request, session: ChatSession | None, *look: Any) -> Change:
        """Says what the next answer would look at, before anything is computed."""
        session = self.session(request, session)
        try:
            options = controls.look(look)
            change: Change = {self._page.receipt: panel.receipt(session.receipt(options))}
            if session.held_with(options) is not None:
                change |= self._display.media(session)
            return change
        except VideoLLMError as error:
            return {self._page.receipt: panel.problem(str(error))}

    def session(self, request: gr.Request, session: ChatSession | None) -> ChatSession:
        """Returns the session, if it is that of whoever asks, else a new one."""
        assert request.request is not None, "a handler is called by a request"
        owner = owner_of(request.request.scope)
        if session is not None and session.owner == owner:
            return session
        return self._models.first.open(owner, self._shelf)

    def _look(self, session: ChatSession, look: Sequence[Any]) -> ReadOptions:
        if session.ids:  # these files join a conversation
            return session.options
        try:
            return controls.look(look)
        except ConfigError:  # it stands below the settings, and will be said again with the next answer
            return ReadOptions()

    def _show(
        self,
        session: ChatSession,
        events: Iterable[Event],
        missing: Sequence[str] = (),
        words: Mapping[str, Any] | None = None,
    ) -> Iterator[Change]:
        """Shows work; files that are not there or cannot be read leave the list and the server."""
        leaving = dict.fromkeys(missing, _NOT_THERE)
        yield from self._display.work(session, events, leaving, words)
        self._files.remove(session.owner, leaving)


def _asked_about(session: ChatSession, told: Listed) -> Sequence[str]:
    """The files that a question is about: those in the list, and such as another window has added behind them."""
    held, listed = session.ids, list(told.ids)
    is_behind = held[: len(listed)] == listed and not told.removed.intersection(held)
    return held if is_behind else listed


def _index(event: gr.EditData) -> int:
    """Which message was edited."""
    return event.index if isinstance(event.index, int) else event.index[0]


def end_session(session: ChatSession | None) -> None:
    """Ends a session whose page was closed or not used for long; what it kept stays."""
    if session:
        session.begin()


def _turn(
    session: ChatSession, files: Sequence[BroughtFile], question: str, settings: Sequence[Any]
) -> Iterator[Event]:
    try:
        options, sampling = controls.look_and_sampling(settings)
    except ConfigError as error:
        yield session.refuse(question, str(error))
        return
    yield from session.ask_about(files, question, options, **sampling)
