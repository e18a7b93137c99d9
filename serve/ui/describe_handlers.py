"""From what a description tells to what changes in its tab: one method for each thing a person can do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from videollm.errors import CancelledError, ConfigError, VideoLLMError
from videollm.media import ReadOptions

from ..service.programs import ProgramMedium
from ..store.errors import NotFoundError
from ..web.owners import owner_of
from . import describe_panel as panel
from .describe_sheets import EVERY, Sheet, Wish
from .describe_state import DescribeState
from .describe_widgets import DescribeTab
from .signals import Listed

if TYPE_CHECKING:
    from ..service.describing import DescriptionRun
    from ..service.models import Models
    from ..store.store import Store
    from ..store.values import Upload

_logger = logging.getLogger(__name__)
# Each keeps a thread for as long as it takes.
_AT_ONCE = 12
_STUMBLED = "Something went wrong inside the program; its log on the server says what. You can try again."
_BUSY = "the server describes as many videos as it can: try again in a few minutes"

Change = dict[Any, Any]


class DescribeHandlers:
    """What the tab calls. Every handler takes the request, the tab's state and the page's list of files first.

    A state that has expired (``None``) or is another owner's makes way for a new one: whoever names the page of
    somebody else to Gradio is given that page's state.

    Args:
        models: What describes.
        store: What people brought, and the descriptions that were made of it before.
        tab: The components that changes are addressed to.
    """

    def __init__(self, models: Models, store: Store, tab: DescribeTab) -> None:
        self._models = models
        self._uploads = store.uploads
        self._kept = store.descriptions
        self._tab = tab
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def follow(self, request: gr.Request, state: DescribeState | None, listed: str | None) -> Change:
        """Follows the page's list of files."""
        state = self._state(request, state, listed)
        self._list(state, listed)
        return self._show(state)

    def choose(
        self, request: gr.Request, state: DescribeState | None, listed: str | None, upload: str | None
    ) -> Change:
        """Shows another file, with what it was described as before."""
        state = self._state(request, state, listed)
        state.choose(upload)
        self._recall(state)
        return self._show(state)

    def wish(
        self,
        request: gr.Request,
        state: DescribeState | None,
        listed: str | None,
        density: str,
        every_s: float | None,
        model: str,
    ) -> Change:
        """Shows what the file was described as before with these settings, if it was."""
        state = self._state(request, state, listed)
        shown, state.problem = state.shown, ""
        if shown is None or shown.state != "running":
            with suppress(ConfigError):  # still being typed; it is said when it is asked for
                self._recall(state, Wish.of(model, density, every_s))
        return {**self._show(state), self._tab.every_s: gr.update(visible=density == EVERY)}

    def describe(
        self,
        request: gr.Request,
        state: DescribeState | None,
        listed: str | None,
        density: str,
        every_s: float | None,
        model: str,
    ) -> Iterator[Change]:
        """Describes the file that is shown."""
        state = self._state(request, state, listed)
        upload = state.chosen
        if upload is not None and not state.is_running:
            try:
                wish = Wish.of(model, density, every_s)
                run = self._run(upload, wish)
            except VideoLLMError as error:
                state.problem = str(error)
            else:
                yield from self._describe(state, Sheet(upload.id, upload.name, wish), run)
        yield self._show(state)

    def stop(self, request: gr.Request, state: DescribeState | None, listed: str | None) -> Change:
        """Ends the description that is being made; what has come of it stays."""
        state = self._state(request, state, listed)
        state.stop()
        return self._show(state)

    def _state(self, request: gr.Request, state: DescribeState | None, listed: str | None) -> DescribeState:
        """The state, if it is that of whoever asks, else a new one."""
        assert request.request is not None, "a handler is called by a request"
        owner = owner_of(request.request.scope)
        if state is not None and state.owner == owner:
            return state
        state = DescribeState(owner)
        self._list(state, listed)
        return state

    def _list(self, state: DescribeState, listed: str | None) -> None:
        state.list_files(Listed.read(listed).ids, self._uploads.list(state.owner))
        self._recall(state)

    def _recall(self, state: DescribeState, wish: Wish | None = None) -> None:
        """Takes over a description that was kept: the newest where none is shown, or the one of a wish."""
        upload = state.chosen
        if upload is None or (wish is None and state.shown is not None):
            return
        try:
            found = self._kept.list(state.owner, upload.id)
        except NotFoundError:
            return  # the file has expired, and its descriptions with it
        except VideoLLMError as error:
            state.problem = str(error)
            return
        for one in found:
            if wish is None or Wish.from_json(one.wish) == wish:
                state.put(Sheet.from_json(upload.id, upload.name, one.wish, one.description))
                return

    def _run(self, upload: Upload, wish: Wish) -> DescriptionRun:
        path = self._uploads.path(upload.owner, upload.id)
        medium = ProgramMedium(path, ReadOptions(), upload.name)
        return self._models[wish.model].describe(upload.owner, medium, wish.options())

    def _describe(self, state: DescribeState, sheet: Sheet, run: DescriptionRun) -> Iterator[Change]:
        """Turns what a description tells into changes; it ends with it, or when nobody listens any more."""
        if not self._places.acquire(blocking=False):
            state.problem = _BUSY
            return
        try:
            if state.begin(sheet, run):
                yield from self._tell(state, sheet, run)
        finally:
            self._places.release()

    def _tell(self, state: DescribeState, sheet: Sheet, run: DescriptionRun) -> Iterator[Change]:
        try:
            yield self._show(state)
            for event in run:
                sheet = sheet.after(event)
                if sheet.state == "done":
                    sheet = self._keep(state.owner, sheet)
                state.put(sheet)
                yield {**self._found(state), self._tab.state: state}
        except CancelledError:
            sheet = sheet.ended("stopped")
        except VideoLLMError as error:
            sheet = sheet.ended("failed", str(error))
        except Exception:
            _logger.exception("while describing")
            sheet = sheet.ended("failed", _STUMBLED)
        finally:
            run.stop()  # without effect at its end; somebody who left has not let it come so far
            state.end(sheet.ended("stopped") if sheet.state == "running" else sheet)

    def _keep(self, owner: str, sheet: Sheet) -> Sheet:
        """Keeps a complete description for the next time; says so where that is not possible."""
        try:
            self._kept.put(owner, sheet.upload, sheet.wish.to_json(), sheet.to_json())
        except VideoLLMError as error:
            return replace(sheet, notices=(*sheet.notices, f"this description is not kept: {error}"))
        return sheet

    def _show(self, state: DescribeState) -> Change:
        tab, chosen = self._tab, state.chosen
        choices = [(upload.name, upload.id) for upload in state.videos]
        return {
            tab.state: state,
            tab.video: gr.update(
                choices=choices, value=None if chosen is None else chosen.id, visible=len(choices) > 1
            ),
            tab.start: gr.update(interactive=chosen is not None and not state.is_running),
            tab.stop: gr.update(visible=state.is_running),
            **self._found(state),
        }

    def _found(self, state: DescribeState) -> Change:
        shown = state.shown
        found = "" if shown is None else panel.description(shown, state.number_of(shown.upload))
        return {self._tab.progress: _progress(state), self._tab.description: found}


def _progress(state: DescribeState) -> str:
    if state.problem:
        return panel.problem(state.problem)
    sheet = state.running or state.shown
    if sheet is not None:
        return panel.progress(sheet, stopping=state.is_stopping)
    return panel.hint("" if state.videos else panel.NOTHING_TO_DESCRIBE)
