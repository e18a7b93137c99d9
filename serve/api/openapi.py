"""The document that says what the API takes and gives (OpenAPI 3.1): what types say, and what they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from videollm import __version__

from ..web.errors import is_api
from ..web.kinds import MIME_TYPES
from ..web.uploads import UPLOAD_PATH
from . import replies
from .descriptions import DESCRIPTIONS_PATH, TEXT_TYPES

OPENAPI_PATH = "/v1/openapi.json"
_JSON, _TEXT, _EVENTS = "application/json", "text/plain", "text/event-stream"
_REFERENCE = "#/components/schemas/{model}"
# What FastAPI says of bodies that are not valid; here that is a 400 in OpenAI's shape.
_UNUSED = ("HTTPValidationError", "ValidationError")

# What the door may answer to any request, and to one with a body.
_DOOR = (400, 401, 403, 421, 500)
_BODY = (408, 413, 429)

_BINARY = {"type": "string", "format": "binary"}
_UPLOAD = {
    "parameters": [
        {
            "name": "name",
            "in": "query",
            "description": "What the file is called, where the body is the file itself.",
            "schema": {"type": "string"},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}
            },
            "application/octet-stream": {"schema": _BINARY},
        },
    },
}


@dataclass(frozen=True, slots=True)
class Access:
    """What is asked of everybody.

    Attributes:
        keys: Whether there are keys of the API.
        login_cookie: Name of the cookie that says that the password is known; ``None`` without a password.
    """

    keys: bool = False
    login_cookie: str | None = None

    def schemes(self) -> dict[str, Any]:
        """Returns the security schemes."""
        found: dict[str, Any] = {}
        if self.keys:
            found["key"] = {"type": "http", "scheme": "bearer", "description": "A key of the API."}
        if self.login_cookie is not None:
            told = "Set by the form at `/login`, beside the cookie of its owner."
            found["login"] = {
                "type": "apiKey",
                "in": "cookie",
                "name": self.login_cookie,
                "description": told,
            }
        return found

    def of(self, path: str) -> list[dict[str, list[str]]]:
        """Returns which of the schemes let a request in; none where nothing is asked for."""
        is_open = path == "/healthz" or (path.startswith("/media/") and self.login_cookie is None)
        return [] if is_open else [{name: []} for name in self.schemes()]


@dataclass(frozen=True, slots=True)
class _Operation:
    """What types do not say of a route.

    Attributes:
        summary: What it does, in a few words.
        replies: The types of its answers by status and content type; ``None`` for a text or a file.
        errors: Statuses of its own refusals, besides the door's.
        more: Further fields of the operation.
        streamed: The types of the objects that it streams, if it does.
    """

    summary: str
    replies: Mapping[int, Mapping[str, type[BaseModel] | None]]
    errors: tuple[int, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    streamed: tuple[type[BaseModel], ...] = ()


_FILE = dict.fromkeys(sorted(MIME_TYPES))
_MEDIA_PATH = "/media/{id}"
_MEDIA = {
    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
}
_OPERATIONS = {
    ("post", "/v1/chat/completions"): _Operation(
        "Ask about videos and images",
        {
            200: {
                _JSON: replies.ChatCompletion,
            }
        },
        (404, *_BODY, 415, 422, 503, 507),
        streamed=(replies.ChatCompletionChunk, replies.Error),
    ),
    ("post", DESCRIPTIONS_PATH): _Operation(
        "Describe a video",
        {200: {_JSON: replies.Description, **dict.fromkeys(TEXT_TYPES.values())}},
        (404, *_BODY, 415, 422, 503, 507),
        streamed=(replies.DescriptionEvent, replies.Description, replies.Error),
    ),
    ("get", "/v1/models"): _Operation("List models", {200: {_JSON: replies.ModelList}}),
    ("get", "/v1/models/{model}"): _Operation("Show a model", {200: {_JSON: replies.Model}}, (404,)),
    ("post", UPLOAD_PATH): _Operation(
        "Bring a file", {201: {_JSON: replies.Video}}, (*_BODY, 415, 507), _UPLOAD
    ),
    ("get", UPLOAD_PATH): _Operation("List files", {200: {_JSON: replies.VideoList}}, (507,)),
    ("get", UPLOAD_PATH + "/{id}"): _Operation("Show a file", {200: {_JSON: replies.Video}}, (404, 507)),
    ("delete", UPLOAD_PATH + "/{id}"): _Operation(
        "Remove a file", {200: {_JSON: replies.VideoDeleted}}, (404, 507)
    ),
    ("get", _MEDIA_PATH): _Operation(
        "Get a file, whole or in part", {200: _FILE, 206: _FILE, 304: {}}, (404, 416, 507), _MEDIA
    ),
    ("head", _MEDIA_PATH): _Operation(
        "What a file would be sent with", {200: _FILE, 206: _FILE, 304: {}}, (404, 416, 507), _MEDIA
    ),
    ("get", "/metrics"): _Operation("What the server does, for Prometheus", {200: {_TEXT: None}}, (503, 507)),
    ("get", "/healthz"): _Operation("Whether the server answers", {200: {_JSON: replies.Health}}),
}


def document_of(routes: Sequence[BaseRoute], access: Access) -> dict[str, Any]:
    """Returns the document of an application's routes.

    Args:
        routes: The routes; those that are known here.
        access: What is asked of everybody.
    """
    found = get_openapi(
        title="VideoLLM",
        version=__version__,
        description="Answers about videos, as OpenAI's clients ask for them, and descriptions of videos with times.",
        # FastAPI cannot tell apart the two methods of one function.
        routes=[route for route in routes if getattr(route, "path", None) != _MEDIA_PATH],
    )
    schemas = {name: schema for name, schema in found["components"]["schemas"].items() if name not in _UNUSED}
    answers = _schemas_of_answers()
    assert not schemas.keys() & answers.keys(), "a request and an answer have types of one name"
    found["components"] = {"schemas": {**schemas, **answers}, "securitySchemes": access.schemes()}
    found["paths"] = {
        path: {
            method: _described(method, path, operation, access)
            for method, operation in operations.items()
            if (method, path) in _OPERATIONS
        }
        for path, operations in {**found["paths"], _MEDIA_PATH: {"get": {}, "head": {}}}.items()
    }
    return found


def _schemas_of_answers() -> dict[str, Any]:
    types: set[type[BaseModel]] = {replies.Error}
    for operation in _OPERATIONS.values():
        types.update(operation.streamed)
        types.update(one for kinds in operation.replies.values() for one in kinds.values() if one is not None)
    named = sorted(types, key=lambda one: one.__name__)
    _, found = models_json_schema([(one, "serialization") for one in named], ref_template=_REFERENCE)
    definitions: dict[str, Any] = found["$defs"]
    return definitions


def _described(method: str, path: str, found: dict[str, Any], access: Access) -> dict[str, Any]:
    """An operation as FastAPI found it, with what is known here."""
    known = _OPERATIONS[method, path]
    answers = {str(status): _answer(status, types) for status, types in known.replies.items()}
    if known.streamed:
        answers["200"]["content"][_EVENTS] = {"schema": _event(known.streamed)}
    refusals = {str(status): _refusal(status, path) for status in {*_DOOR, *known.errors}}
    if access.login_cookie is not None and not is_api(path):
        answers["303"] = {"description": "To a browser: the password is needed."}
    responses = {**answers, **dict(sorted(refusals.items()))}
    operation = f"{method}{path}".replace("/", "_").translate({ord("{"): None, ord("}"): None})
    told = {"summary": known.summary, "operationId": operation, "security": access.of(path)}
    return {**found, **told, **known.more, "responses": responses}


def _answer(status: int, types: Mapping[str, type[BaseModel] | None]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if types:
        answer["content"] = {kind: {"schema": _schema(kind, type)} for kind, type in types.items()}
    return answer


def _schema(kind: str, type: type[BaseModel] | None) -> dict[str, Any]:
    if type is not None:
        return {"$ref": _REFERENCE.format(model=type.__name__)}
    return {"type": "string"} if kind.startswith("text/") else _BINARY


def _event(types: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """Each event of a stream: before OpenAPI 3.2 there is no word for items, readers take the schema for theirs."""
    known = [{"$ref": _REFERENCE.format(model=one.__name__)} for one in types]
    piece = {"type": "string", "contentMediaType": _JSON, "contentSchema": {"anyOf": known}}
    data = {"anyOf": [{"const": "[DONE]", "description": "The last event."}, piece]}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _refusal(status: int, path: str) -> dict[str, Any]:
    types = {_JSON: replies.Error} if is_api(path) else {_TEXT: None}
    return _answer(status, types)
