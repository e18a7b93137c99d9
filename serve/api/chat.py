"""``/v1/chat/completions`` and ``/v1/models``, as OpenAI's clients ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from videollm.model.generation import default_settings
from videollm.values import GenerationSettings

from ..events import Done, Event, TextPiece, Waiting
from ..web.owners import owner_of
from .answers import Completion
from .media import MediaSources
from .refusals import check_model
from .running import Run, Runs
from .schemas import ChatRequest
from .streaming import comment_line, data_line, stream_of
from .translating import translate

if TYPE_CHECKING:
    from ..service import ChatService


def chat_router(service: ChatService, sources: MediaSources, runs: Runs) -> APIRouter:
    """Returns the routes ``POST /v1/chat/completions``, ``GET /v1/models`` and ``GET /v1/models/{model}``."""
    chat = _Chat(service, sources, runs)
    router = APIRouter()
    router.add_api_route("/v1/chat/completions", chat.complete, methods=["POST"], response_model=None)
    router.add_api_route("/v1/models", chat.models, methods=["GET"], response_model=None)
    router.add_api_route("/v1/models/{model}", chat.model, methods=["GET"], response_model=None)
    return router


@dataclass(frozen=True, slots=True)
class _Chat:
    service: ChatService
    sources: MediaSources
    runs: Runs

    async def models(self) -> dict[str, Any]:
        """Lists the models that answer."""
        return {"object": "list", "data": [self._about()]}

    async def model(self, model: str) -> dict[str, Any]:
        """Shows a model that answers."""
        check_model(model, self.service.name)
        return self._about()

    async def complete(self, request: Request, wish: ChatRequest) -> Response:
        """Answers the last message of a conversation about videos and images."""
        check_model(wish.model, self.service.name)
        settings, talk = self._settings(wish), translate(wish.messages)
        owner, completion = owner_of(request.scope), Completion(self.service.name)
        async with AsyncExitStack() as stack:
            media = await stack.enter_async_context(self.sources.files(owner, talk.media, wish.videollm))
            run = self.runs.begin(self.service.question(owner, talk.messages, media, settings))
            stack.callback(run.stop)
            if not wish.stream:
                last = await run.last(request.receive)
                assert isinstance(last, Done), "a question ends with its answer or an error"
                return JSONResponse(completion.whole(last.answer))
            tells_cost = wish.stream_options is not None and wish.stream_options.include_usage
            return stream_of(_chunks(run, completion, tells_cost), stack.pop_all())

    def _about(self) -> dict[str, Any]:
        service = self.service
        return {
            "id": service.name,
            "object": "model",
            "created": service.began_s,
            "owned_by": "videollm",
            "description": service.card,
        }

    def _settings(self, wish: ChatRequest) -> GenerationSettings:
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
        usual = default_settings(self.service.model)
        return replace(usual, **{name: value for name, value in said.items() if value is not None})


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
                yield data_line(completion.end(answer))
                if tells_cost:
                    yield data_line(completion.cost(answer))
