"""What the library refuses, as answers of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videollm.errors import (
    CancelledError,
    ConfigError,
    ContextOverflowError,
    DataError,
    UnreadableVideoError,
    UnsupportedModelError,
    VideoLLMError,
)

from ..service.engine_waiting import BusyError
from ..web.errors import RequestError

if TYPE_CHECKING:
    from ..service.models import Models
    from ..service.service import ChatService

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


def find_service(models: Models, wished: str) -> ChatService:
    """Returns what answers with the model that a request names.

    Raises:
        RequestError: It is none that is served (404).
    """
    try:
        return models[wished]
    except UnsupportedModelError as error:
        raise RequestError(404, str(error), code="model_not_found", param="model") from None
