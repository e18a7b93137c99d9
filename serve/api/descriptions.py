"""``/v1/descriptions``: what happens in a video from when to when, as JSON, subtitles, Markdown or a stream."""

from __future__ import annotations

import dataclasses
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from videollm.describe.outputs import write_files
from videollm.describe.rows import Row, Source
from videollm.describe.settings import DescribeOptions
from videollm.errors import ConfigError, ContextOverflowError, VideoLLMError
from videollm.values import Description, Event

from ..service.describing import Described, Describing, TextReady, WindowRead
from ..service.events import Waiting
from ..web.errors import RequestError
from ..web.owners import owner_of
from ..web.storage import in_thread
from .answers import seconds_of, usage_of
from .media import MediaSources
from .refusals import as_request_error, find_service, medium_at_fault
from .running import Run, Runs
from .schemas import DescriptionRequest, Extension, Look
from .streaming import comment_line, data_line, stream_of
from .translating import WishedMedium
from .validation import JsonRoute

if TYPE_CHECKING:
    from ..service.models import Models
    from ..service.programs import ProgramMedium
    from ..service.service import ChatService

DESCRIPTIONS_PATH = "/v1/descriptions"
#: Content types of the formats that are texts.
TEXT_TYPES = {"srt": "application/x-subrip", "vtt": "text/vtt", "md": "text/markdown"}

_NOTHING_SAID = {"srt": "", "vtt": "WEBVTT\n", "md": ""}


def descriptions_router(models: Models, sources: MediaSources, runs: Runs) -> APIRouter:
    """Returns the route ``POST /v1/descriptions``."""
    router = APIRouter(route_class=JsonRoute)
    descriptions = _Descriptions(models, sources, runs)
    router.add_api_route(DESCRIPTIONS_PATH, descriptions.describe, methods=["POST"], response_model=None)
    return router


@dataclass(frozen=True, slots=True)
class _Descriptions:
    served: Models
    sources: MediaSources
    runs: Runs

    async def describe(self, request: Request, wish: DescriptionRequest) -> Response:
        """Describes a video: what happens from when to when, and all of it in a few sentences."""
        service = find_service(self.served, wish.model)
        if wish.stream and wish.format != "json":
            raise RequestError(
                400, f"a stream is JSON, got the format {wish.format!r}", code="invalid", param="format"
            )
        options, owner, reply = _options(service, wish), owner_of(request.scope), _Reply(service.name)
        wished = WishedMedium(wish.video, Look(start_s=wish.start_s, end_s=wish.end_s), "video", place="")
        async with AsyncExitStack() as stack:
            (medium,) = await stack.enter_async_context(self.sources.files(owner, [wished], Extension()))
            work = service.describe(owner, medium, replace(options, reading=medium.options))
            blame = partial(_field_at_fault, wish, (wished, medium))
            run = self.runs.begin(work, blame, only_last=not wish.stream)
            stack.callback(run.stop)
            if wish.stream:
                return stream_of(_lines(run, reply), stack.pop_all())
            last = await run.last(request.receive)
            assert isinstance(last, Described), "a description ends with itself or an error"
            if wish.format == "json":
                return JSONResponse(reply.whole(last.description))
            text = await in_thread(_text, wish, medium, last.description)
            return Response(text, media_type=f"{TEXT_TYPES[wish.format]}; charset=utf-8")


@dataclass(frozen=True, slots=True)
class _Reply:
    """One description on its way."""

    model: str
    id: str = field(default_factory=lambda: f"desc-{secrets.token_urlsafe(16)}")
    created_s: int = field(default_factory=lambda: int(time.time()))

    def whole(self, description: Description) -> dict[str, Any]:
        """Returns the ``description`` object."""
        return {
            **self._head("description"),
            "summary": description.summary,
            "events": [dataclasses.asdict(event) for event in description.events],
            "usage": usage_of(description.usage),
            "notices": list(description.notices),
            "frames": description.usage.frames,
            "seconds": seconds_of(description.usage),
        }

    def event(self, event: Event) -> dict[str, Any]:
        """Returns the ``description.event`` object of a text."""
        return {**self._head("description.event"), "event": dataclasses.asdict(event)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created_s, "model": self.model}


async def _lines(run: Run[Describing], reply: _Reply) -> AsyncIterator[str]:
    """The server-sent events of a description: its texts, then all of it."""
    async for event in run:
        match event:
            case Waiting(place):
                yield comment_line(f"{place} before this")
            case WindowRead(_, end_s):
                yield comment_line(f"read up to {end_s:.1f} s")
            case TextReady(text):
                yield data_line(reply.event(text))
            case Described(description):
                yield data_line(reply.whole(description))


def _field_at_fault(
    wish: DescriptionRequest, medium: tuple[WishedMedium, ProgramMedium], error: VideoLLMError
) -> str | None:
    # What is asked about all of a video holds the texts about its parts: long ones may leave no room.
    if isinstance(error, ContextOverflowError):
        return None if wish.max_tokens is None else "max_tokens"
    return medium_at_fault(error, [medium])


def _options(service: ChatService, wish: DescriptionRequest) -> DescribeOptions:
    """How a video is described, checked against what the model can do, before the video is fetched."""
    config = service.model.config
    try:
        options = DescribeOptions(
            detail=wish.detail, every_s=wish.every_s, style=wish.style, max_new_tokens=wish.max_tokens
        )
        options.window_s(config.video)
    except ConfigError as error:
        raise as_request_error(error, "every_s") from error
    try:
        options.question(config.describe)
    except ConfigError as error:
        raise as_request_error(error, "style") from error
    return options


def _text(wish: DescriptionRequest, medium: ProgramMedium, description: Description) -> str:
    """The very text that a job of ``videollm describe`` writes."""
    row = Row(
        Source(Path(medium.name), wish.start_s, wish.end_s, "description"),
        content="",
        fingerprint="",
        plan={"start_s": description.events[0].start_s, "end_s": description.events[-1].end_s},
        summary=description.summary,
        events=description.events,
        notices=description.notices,
    )
    with tempfile.TemporaryDirectory() as out:
        write_files(row, (wish.format,), Path(out))
        written = Path(out) / wish.format / f"description.{wish.format}"
        return written.read_text("utf-8") if written.exists() else _NOTHING_SAID[wish.format]
