"""Bodies that are not what a route takes: one line about the field that is wrong, as its sender wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from ..web.errors import RequestError, error_response

# Fields whose value says which of several types an object is; pydantic puts that value into its paths.
_TAGS = ("type", "role")


def add_validation_handler(app: Starlette) -> None:
    """Makes an application say what is wrong with a request in OpenAI's shape."""
    app.add_exception_handler(RequestValidationError, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_response(request.scope["path"], _refusal(error.errors(), error.body))


def _refusal(faults: Sequence[Any], body: Any) -> RequestError:
    """What a client is told: of several faults the one that lies deepest, for others follow from it."""
    told = [(_path(fault, body), fault) for fault in faults]
    path, fault = max(told, key=lambda one: len(one[0]))
    param = ".".join(map(str, path)) or None
    message = " ".join(str(fault["msg"]).split())
    if param is None and not isinstance(body, dict):
        message = f"expected a JSON object with Content-Type: application/json ({message})"
    return RequestError(400, f"{param or 'the request'}: {message}", code="invalid", param=param)


def _path(fault: dict[str, Any], body: Any) -> list[str | int]:
    """Where a fault lies in the body; pydantic's path names the alternatives of unions too, which are no fields."""
    place, *parts = fault["loc"]
    if place != "body":
        return list(parts)
    path: list[str | int] = []
    value, is_new = body, False
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if is_new and isinstance(value, dict) and part in [value.get(tag) for tag in _TAGS]:
            is_new = False  # the tag of one of several types
        elif _holds(value, part):
            value = value[part]
            path.append(part)
            is_new = isinstance(part, int)
        elif is_last and isinstance(value, dict) and fault["type"] == "missing":
            path.append(part)
    return path


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
