"""What a person who asks the store for something may be told."""

from __future__ import annotations

from videollm.errors import VideoLLMError


class NotFoundError(VideoLLMError):
    """There is nothing of this id, or it belongs to another owner: which of the two is not told."""


class LimitError(VideoLLMError):
    """As many are kept as may be; something has to go before another can come."""
