"""Bodies that are not what a route takes: one line about the field that is wrong, as its sender wrote it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..web.errors import RequestError, error_response
from .wording import field_path, sentence, shown

_Fault: TypeAlias = Mapping[str, Any]
_Path: TypeAlias = tuple[str | int, ...]

# Fields whose value says which of several types an object is; pydantic puts that value into its paths.
_TAGS = ("type", "role")
_WANTED = "the request: expected a JSON object with Content-Type: application/json"
# Why JSON cannot be read though its signs are in place; the first kind that fits.
_UNREADABLE: tuple[tuple[type[Exception], str], ...] = (
    (UnicodeDecodeError, "text that is not UTF-8"),
    (RecursionError, "lists and objects too deep within one another"),
    (ValueError, "a number with too many digits"),
)


class JsonRoute(APIRoute):
    """A route that takes JSON, and says of a body that FastAPI cannot read why it cannot."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns what serves a request."""
        serve = super().get_route_handler()

        async def serve_or_say_why(request: Request) -> Response:
            try:
                return await serve(request)
            except HTTPException as error:
                for kind, got in _UNREADABLE:
                    if isinstance(error.__cause__, kind):
                        raise RequestError(400, f"{_WANTED}, got {got}", code="invalid") from error
                raise

        return serve_or_say_why


def add_validation_handler(app: Starlette) -> None:
    """Makes an application say what is wrong with a request in OpenAI's shape."""
    app.add_exception_handler(RequestValidationError, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if isinstance(error.body, dict):
        refusal = _wrong_field(error.errors(), error.body)
    else:
        refusal = _no_object(error.errors()[0], error.body, request.headers.get("content-type", ""))
    return error_response(request.scope["path"], refusal)


def _no_object(fault: _Fault, body: Any, content_type: str) -> RequestError:
    if fault["type"] == "json_invalid":
        got = f"text that is no JSON from character {fault['loc'][-1] + 1} on ({fault['ctx']['error']})"
    elif fault["type"] == "missing":
        got = "no body"
    elif isinstance(body, bytes):
        got = f"a body of type {shown(content_type)}" if content_type else "a body without a type"
    else:
        got = shown(body)
    return RequestError(400, f"{_WANTED}, got {got}", code="invalid")


def _wrong_field(faults: Sequence[_Fault], body: dict[str, Any]) -> RequestError:
    """What a client is told: the first fault that does not merely follow from another one further inside."""
    located = [(_path(fault, body), fault) for fault in faults]
    outer = {path[:length] for path, _ in located for length in range(len(path))}
    path = next(path for path, _ in located if path not in outer)
    told = _telling([fault for other, fault in located if other == path])
    param = field_path(path) or None
    message = f"{param or 'the request'}: {sentence(told, _value(told[0]))}"
    return RequestError(400, message, code="invalid", param=param)


def _telling(faults: Sequence[_Fault]) -> Sequence[_Fault]:
    """The faults of a field without those of types that it does not have: one of its types it may well have."""
    return [fault for fault in faults if not fault["type"].endswith("_type")] or faults


def _path(fault: _Fault, body: Any) -> _Path:
    """Where a fault lies in the body; pydantic's path names the alternatives of unions too, which are no fields."""
    _, *parts = fault["loc"]
    path: list[str | int] = []
    value, is_new = body, False
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if is_new and isinstance(value, dict) and part in [value.get(tag) for tag in _TAGS]:
            is_new = False  # the tag of one of several types
        elif _holds(value, part) and not (is_last and value[part] is not fault["input"]):
            value = value[part]
            path.append(part)
            is_new = isinstance(part, int)
        elif is_last and fault["type"] == "missing":
            path.append(part)
    return (*path, *_tag(fault))


def _tag(fault: _Fault) -> _Path:
    """The field that should have said of which type an object is."""
    discriminator = fault.get("ctx", {}).get("discriminator")
    return () if discriminator is None else (discriminator.strip("'"),)


def _value(fault: _Fault) -> Any:
    if fault["type"] == "union_tag_invalid":
        return fault["input"][_tag(fault)[0]]
    return fault["input"]


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
