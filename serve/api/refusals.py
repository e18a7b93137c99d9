"""What the library refuses, as answers of the API."""

from __future__ import annotations

from videollm.errors import (
    CancelledError,
    ConfigError,
    ContextOverflowError,
    DataError,
    UnreadableVideoError,
    VideoLLMError,
)

from ..engine_waiting import BusyError
from ..web.errors import RequestError

_STATUS: dict[type[VideoLLMError], tuple[int, str]] = {
    BusyError: (429, "busy"),
    CancelledError: (503, "closing"),
    ContextOverflowError: (400, "context_length_exceeded"),
    UnreadableVideoError: (422, "unreadable_video"),
    ConfigError: (400, "invalid"),
    DataError: (400, "invalid"),
}


def as_request_error(error: VideoLLMError) -> RequestError:
    """Returns what a client is told of an error."""
    if isinstance(error, RequestError):
        return error
    status, code = _STATUS.get(type(error), (500, "internal"))
    return RequestError(status, str(error), code=code)


def check_model(wished: str, served: str) -> None:
    """Compares the model that a request names with the one that is served.

    Raises:
        RequestError: It is another (404).
    """
    if wished != served:
        message = f"there is no model {wished!r} here: {served!r} is served"
        raise RequestError(404, message, code="model_not_found", param="model")
