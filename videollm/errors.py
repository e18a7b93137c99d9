"""What can go wrong because of a file, a setting or a request, as classes a caller can catch.

    VideoLLMError                  base; its text is one line, meant for a person
    ├── UnreadableVideoError       the file is missing, broken, has no picture, or took too long to decode
    ├── UnsupportedModelError      the name or directory is not a model this library can load
    ├── CheckpointError            weights are missing, unexpected or of the wrong shape
    ├── ConfigError                a setting is unknown, out of range or contradicts another
    ├── DataError                  a record or data file is malformed
    ├── OutputError                results cannot be written: the disk is full, no permission, another holds the place
    ├── ContextOverflowError       the prompt does not fit the language model's context
    └── CancelledError             the caller asked for the work to stop

Programming mistakes stay what they are (``TypeError``, ``AssertionError``); these classes are for everything that a
user, a file or a config can cause. The shell prints their text and exits with 2, the page shows it in the chat.
"""

from __future__ import annotations


class VideoLLMError(Exception):
    """Base of all errors a caller may want to handle. ``str(error)`` is one line for a person."""


class UnreadableVideoError(VideoLLMError):
    """The file cannot be read as a video or image."""


class UnsupportedModelError(VideoLLMError):
    """The model name or directory is not one that can be loaded."""


class CheckpointError(VideoLLMError):
    """A checkpoint's weights do not fit the model they claim to be."""


class ConfigError(VideoLLMError):
    """A setting is unknown, out of range or contradicts another."""


class DataError(VideoLLMError):
    """A record or data file is malformed."""


class OutputError(VideoLLMError):
    """Results cannot be written where they should go."""


class ContextOverflowError(VideoLLMError):
    """The prompt does not fit the language model's context even without the older text turns."""


class CancelledError(VideoLLMError):
    """The caller asked for the work to stop."""
