"""``/conversations``: an owner's conversations are listed, renamed, deleted and taken along as files."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..store.export import to_json, to_markdown
from ..web.errors import RequestError, error_object
from ..web.names import clean_name
from ..web.owners import owner_of
from ..web.storage import in_thread

if TYPE_CHECKING:
    from ..store.conversations import Conversations
    from ..store.values import Conversation, ConversationSummary

Release = Callable[[str, Iterable[str]], None]

_PATH = "/conversations"
_MOST_TITLE_CHARACTERS = 500
# File systems take 255 bytes; a suffix has to fit, and "(1)" where there is such a file already.
_MOST_NAME_BYTES = 200
# What some file system does not take in a name, or takes for a part of a path.
_NOT_IN_NAMES = re.compile(r'["*/:<>?\\|]+')
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ._-]+")
_UNNAMED = "conversation"
# What JSON can name and no text can hold.
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Format:
    suffix: str
    mime: str
    write: Callable[[Conversation], str]


_FORMATS = {
    "markdown": _Format(".md", "text/markdown", to_markdown),
    "json": _Format(".json", "application/json", to_json),
}


def conversation_router(conversations: Conversations, release: Release) -> APIRouter:
    """Returns the routes of ``/conversations``, for the page; their errors are JSON in OpenAI's shape.

    ``GET`` and ``DELETE /conversations``, ``PATCH`` and ``DELETE /conversations/{id}``, and
    ``GET /conversations/{id}/export?format=markdown|json``.

    Args:
        conversations: Where they are kept.
        release: Removes those of an owner's uploads that nothing needs any more.
    """
    routes = _Conversations(conversations, release)
    router = APIRouter(include_in_schema=False, route_class=_PrivateRoute)
    router.add_api_route(_PATH, routes.list_all, methods=["GET"])
    router.add_api_route(_PATH, routes.delete_all, methods=["DELETE"])
    router.add_api_route(_PATH + "/{id}", routes.rename, methods=["PATCH"])
    router.add_api_route(_PATH + "/{id}", routes.delete, methods=["DELETE"])
    router.add_api_route(_PATH + "/{id}/export", routes.export, methods=["GET"])
    return router


class _PrivateRoute(APIRoute):
    """A route whose answers nobody keeps, and which says no in JSON wherever it stands."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns what answers a request."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await handle(request)
            except RequestError as error:
                response = JSONResponse(error_object(error), error.status, error.headers)
            response.headers["Cache-Control"] = "no-store"
            return response

        return answer


class _Conversations:
    def __init__(self, conversations: Conversations, release: Release) -> None:
        self._conversations = conversations
        self._release = release

    async def list_all(self, request: Request) -> Response:
        """Lists the owner's conversations, the one that changed last first."""
        found = await in_thread(self._conversations.list, owner_of(request.scope))
        return JSONResponse({"conversations": [_shown(summary) for summary in found]})

    async def delete_all(self, request: Request) -> Response:
        """Removes all of the owner's conversations, and the files that only they are about."""
        owner = owner_of(request.scope)

        def delete_all() -> int:
            uploads = self._conversations.uploads_of(owner)
            count = self._conversations.delete_all(owner)
            self._release(owner, uploads)
            return count

        return JSONResponse({"deleted": await in_thread(delete_all)})

    async def rename(self, request: Request, id: str) -> Response:
        """Gives a conversation a title; an empty one gives back the one that it had by itself."""
        title = _title(await request.body())
        return JSONResponse(
            _shown(await in_thread(self._conversations.rename, owner_of(request.scope), id, title))
        )

    async def delete(self, request: Request, id: str) -> Response:
        """Removes a conversation, and the files that only it is about."""
        owner = owner_of(request.scope)

        def delete() -> None:
            media = self._conversations.get(owner, id).media
            self._conversations.delete(owner, id)
            self._release(owner, [medium.upload for medium in media if medium.upload is not None])

        await in_thread(delete)
        return Response(status_code=204)

    async def export(self, request: Request, id: str) -> Response:
        """Hands out a conversation as a file."""
        format = _FORMATS.get(name := request.query_params.get("format", "markdown"))
        if format is None:
            message = f"format: expected {' or '.join(_FORMATS)}, got {name[:40]!r}"
            raise RequestError(422, message, code="invalid", param="format")
        conversation = await in_thread(self._conversations.get, owner_of(request.scope), id)
        headers = {"Content-Disposition": _attachment(conversation.title, format.suffix)}
        text = await in_thread(format.write, conversation)
        return Response(text, headers=headers, media_type=format.mime)


def _title(body: bytes) -> str:
    """The title in the body of a request."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    title = told.get("title") if isinstance(told, dict) else None
    if not isinstance(title, str):
        raise _bad_title('expected a JSON object {"title": "…"}')
    if len(title) > _MOST_TITLE_CHARACTERS:
        raise _bad_title(f"expected at most {_MOST_TITLE_CHARACTERS} characters, got {len(title)}")
    if _HALF_CHARACTER.search(title):
        raise _bad_title("half a character cannot be kept: send valid Unicode")
    return title


def _bad_title(wrong: str) -> RequestError:
    return RequestError(422, f"title: {wrong}", code="invalid", param="title")


def _shown(summary: ConversationSummary) -> dict[str, Any]:
    return {
        "id": summary.id,
        "title": summary.title,
        "updated_s": summary.updated_s,
        "turns": summary.turns,
    }


def _attachment(title: str, suffix: str) -> str:
    """A header ``Content-Disposition`` for a file named by a title, for old and new readers (RFC 6266, appendix D)."""
    name = _cut(clean_name(_NOT_IN_NAMES.sub(" ", title).strip() or _UNNAMED))
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = " ".join(_NOT_PLAIN.sub(" ", letters).split()).strip(". ") or _UNNAMED
    return f"attachment; filename=\"{plain}{suffix}\"; filename*=UTF-8''{quote(name + suffix, safe='')}"


def _cut(name: str) -> str:
    """A name of no more bytes than file systems take."""
    return name.encode()[:_MOST_NAME_BYTES].decode(errors="ignore").rstrip(". ")
