"""How the server says no: a status and one line, as JSON in OpenAI's shape on ``/v1``, as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from videollm.errors import VideoLLMError

# The names OpenAI's API gives to kinds of errors; what is not named here is the request's fault or the server's.
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# "Policy violation" of RFC 6455, section 7.4.1: what a WebSocket is told that is not let in.
_POLICY_VIOLATION = 1008


class RequestError(VideoLLMError):
    """A request that is not served.

    Args:
        status: The HTTP status.
        message: One line for a person: what was wrong, what was expected.
        code: A word for programs, as ``"too_large"``.
        param: Which field of the request was wrong.
        headers: Headers of the answer, as ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def is_api(path: str) -> bool:
    """Whether a path belongs to the API, whose clients expect JSON."""
    return path == "/v1" or path.startswith("/v1/")


def error_response(path: str, error: RequestError) -> Response:
    """Returns the answer to a request that is not served.

    Args:
        path: The path that was asked for; it decides the shape.
        error: What was wrong.
    """
    if not is_api(path):
        return PlainTextResponse(f"{error}\n", error.status, error.headers)
    return JSONResponse(error_object(error), error.status, error.headers)


def error_object(error: RequestError) -> dict[str, Any]:
    """Returns what was wrong in OpenAI's shape."""
    told = {"message": str(error), "type": _type(error.status), "param": error.param, "code": error.code}
    return {"error": told}


def _type(status: int) -> str:
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


async def refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request, or closes a WebSocket before it is open."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": str(error)[:100]})
        return
    await error_response(scope["path"], error)(scope, receive, send)


def add_error_handlers(app: Starlette) -> None:
    """Makes an application answer all its errors in these shapes; what nobody foresaw tells nothing of the inside."""
    app.add_exception_handler(RequestError, _answer_request_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(Exception, _answer_unforeseen)


async def _answer_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_response(request.scope["path"], error)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = RequestError(error.status_code, str(error.detail), headers=error.headers)
    return error_response(request.scope["path"], known)


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = next(iter(error.errors()), {})
    param = ".".join(str(part) for part in first.get("loc", ())[1:]) or None
    wrong = f"{param or 'the request'}: {first.get('msg', 'is not valid')}"
    return error_response(request.scope["path"], RequestError(400, wrong, code="invalid", param=param))


async def _answer_unforeseen(request: Request, error: Exception) -> Response:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    said = RequestError(status, "the server failed at this request; its log says why", code="internal")
    return error_response(request.scope["path"], said)
