"""Server-sent events as OpenAI's API sends them: a line of JSON each, errors too, and ``[DONE]`` at the end."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import Response, StreamingResponse

from videollm.errors import VideoLLMError

from ..web.errors import RequestError, error_object
from .refusals import as_request_error

_logger = logging.getLogger(__name__)
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def data_line(found: dict[str, Any]) -> str:
    """Returns an event with an object."""
    return f"data: {json.dumps(found, ensure_ascii=False)}\n\n"


def comment_line(text: str) -> str:
    """Returns a line for people, which programs pass over; it keeps the connection alive."""
    return f": {text}\n\n"


def stream_of(lines: AsyncIterator[str], stack: AsyncExitStack) -> Response:
    """Returns the answer that sends events as they come.

    Args:
        lines: The events; an error of theirs becomes the last of them.
        stack: What is left once nothing more is sent, whoever ended it.
    """
    return StreamingResponse(_guarded(lines, stack), media_type="text/event-stream", headers=_HEADERS)


async def _guarded(lines: AsyncIterator[str], stack: AsyncExitStack) -> AsyncIterator[str]:
    async with stack:
        try:
            async for line in lines:
                yield line
        except VideoLLMError as error:
            yield data_line(error_object(as_request_error(error)))
        except Exception:
            _logger.exception("while answering")
            failed = RequestError(500, "the server failed at this question", code="internal")
            yield data_line(error_object(failed))
        yield "data: [DONE]\n\n"
