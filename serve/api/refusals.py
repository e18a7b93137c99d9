"""What the library refuses, as answers of the API."""

from __future__ import annotations

from collections.abc import Sequence
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
    from ..service.programs import ProgramMedium
    from ..service.service import ChatService
    from .translating import WishedMedium

_STATUS: dict[type[VideoLLMError], tuple[int, str]] = {
    BusyError: (429, "busy"),
    CancelledError: (503, "closing"),
    ContextOverflowError: (400, "context_length_exceeded"),
    UnreadableVideoError: (422, "unreadable_video"),
    ConfigError: (400, "invalid"),
    DataError: (400, "invalid"),
}


def as_request_error(error: VideoLLMError, param: str | None = None) -> RequestError:
    """Returns what a client is told of an error.

    Args:
        error: The error.
        param: Which field of the request it is about, if one is known.
    """
    if isinstance(error, RequestError):
        return error
    status, code = _STATUS.get(type(error), (500, "internal"))
    return RequestError(status, str(error), code=code, param=param)


def medium_at_fault(error: VideoLLMError, media: Sequence[tuple[WishedMedium, ProgramMedium]]) -> str | None:
    """Returns the field of the medium that an error is about; ``None`` if it is about none of them.

    Args:
        error: What came of the work on the media.
        media: What the request names, and the files that were found for it.
    """
    if not isinstance(error, ConfigError | UnreadableVideoError):
        return None
    # Told to people with the names that they gave, which several files may have; before that with the file's own.
    told = str(error.__cause__ or error)
    about = [one for one in media if len(media) == 1 or one[1].path.name in told]
    if not about:
        return None
    if isinstance(error, UnreadableVideoError) or "window starts" not in told:
        return about[0][0].param
    wished, _ = max(about, key=lambda one: one[1].options.start_s or 0.0)  # the window that starts too late
    return wished.field("start_s")


def find_service(models: Models, wished: str) -> ChatService:
    """Returns what answers with the model that a request names.

    Raises:
        RequestError: It is none that is served (404).
    """
    try:
        return models[wished]
    except UnsupportedModelError as error:
        raise RequestError(404, str(error), code="model_not_found", param="model") from None
