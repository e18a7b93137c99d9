"""``/v1/chat/completions`` and ``/v1/models``, as OpenAI's clients ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from videollm.errors import CancelledError, ContextOverflowError, VideoLLMError
from videollm.model.generation import default_settings
from videollm.values import GenerationSettings

from ..service.engine import CLOSING
from ..service.events import Done, Event, TextPiece, Waiting
from ..web.owners import owner_of
from .answers import Completion
from .media import MediaSources
from .refusals import as_request_error, find_service, medium_at_fault
from .running import Run, Runs
from .schemas import ChatRequest
from .streaming import comment_line, data_line, stream_of
from .translating import WishedMedium, translate
from .validation import JsonRoute

if TYPE_CHECKING:
    from videollm.values import Answer

    from ..service.models import Models
    from ..service.programs import ProgramMedium
    from ..service.service import ChatService


def chat_router(models: Models, sources: MediaSources, runs: Runs) -> APIRouter:
    """Returns the routes ``POST /v1/chat/completions``, ``GET /v1/models`` and ``GET /v1/models/{model}``."""
    chat = _Chat(models, sources, runs)
    router = APIRouter(route_class=JsonRoute)
    router.add_api_route("/v1/chat/completions", chat.complete, methods=["POST"], response_model=None)
    router.add_api_route("/v1/models", chat.models, methods=["GET"], response_model=None)
    router.add_api_route("/v1/models/{model}", chat.model, methods=["GET"], response_model=None)
    return router


@dataclass(frozen=True, slots=True)
class _Chat:
    served: Models
    sources: MediaSources
    runs: Runs

    async def models(self) -> dict[str, Any]:
        """Lists the models that answer."""
        return {"object": "list", "data": [_about(service) for service in self.served]}

    async def model(self, model: str) -> dict[str, Any]:
        """Shows a model that answers."""
        return _about(find_service(self.served, model))

    async def complete(self, request: Request, wish: ChatRequest) -> Response:
        """Answers the last message of a conversation about videos and images."""
        service = find_service(self.served, wish.model)
        settings, talk = _settings(service, wish), translate(wish.messages)
        owner, completion = owner_of(request.scope), Completion(service.name)
        async with AsyncExitStack() as stack:
            media = await stack.enter_async_context(self.sources.files(owner, talk.media, wish.videollm))
            blame = partial(_field_at_fault, tuple(zip(talk.media, media, strict=True)))
            question = service.question(owner, talk.messages, media, settings)
            run = self.runs.begin(question, blame, only_last=not wish.stream)
            stack.callback(run.stop)
            if not wish.stream:
                last = await run.last(request.receive)
                assert isinstance(last, Done), "a question ends with its answer or an error"
                return JSONResponse(completion.whole(_unbroken(last.answer)))
            tells_cost = wish.stream_options is not None and wish.stream_options.include_usage
            return stream_of(_chunks(run, completion, tells_cost), stack.pop_all())


def _about(service: ChatService) -> dict[str, Any]:
    return {
        "id": service.name,
        "object": "model",
        "created": service.began_s,
        "owned_by": "videollm",
        "description": service.card,
    }


def _settings(service: ChatService, wish: ChatRequest) -> GenerationSettings:
    """How the answer is drawn: as the checkpoint says, but for what the request does."""
    length = wish.max_completion_tokens or wish.max_tokens
    said: dict[str, Any] = {
        "max_new_tokens": length,
        "temperature": wish.temperature,
        "top_p": wish.top_p,
        "seed": wish.seed,
        "stop": (wish.stop,) if isinstance(wish.stop, str) else tuple(wish.stop or ()),
        "repetition_penalty": wish.videollm.repetition_penalty,
    }
    usual = default_settings(service.model)
    return replace(usual, **{name: value for name, value in said.items() if value is not None})


def _field_at_fault(media: Sequence[tuple[WishedMedium, ProgramMedium]], error: VideoLLMError) -> str | None:
    return "messages" if isinstance(error, ContextOverflowError) else medium_at_fault(error, media)


def _unbroken(answer: Answer) -> Answer:
    """Returns an answer that came to its end.

    Raises:
        RequestError: It was cut off (503): by the server's end, for who left it alone hears of nothing.
    """
    if answer.finish_reason == "cancelled":
        raise as_request_error(CancelledError(f"{CLOSING}: it cut this answer off"))
    return answer


async def _chunks(run: Run[Event], completion: Completion, tells_cost: bool) -> AsyncIterator[str]:
    """The server-sent events of an answer."""
    yield data_line(completion.begin())
    async for event in run:
        match event:
            case TextPiece(text):
                yield data_line(completion.piece(text))
            case Waiting(place):
                yield comment_line(f"{place} before this")
            case Done(answer):
                yield data_line(completion.end(_unbroken(answer)))
                if tells_cost:
                    yield data_line(completion.cost(answer))
