"""Checks that need no decoder: is there a file that can be opened, and is it perhaps plain text?"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UnreadableVideoError

_SNIFFED_BYTES = 8192
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


def readable_path(path: str | os.PathLike[str]) -> Path:
    """Returns the absolute path of a file that exists, is not empty, may be opened and is not plain text.

    Text is refused here because FFmpeg would follow playlists (which name other files) and draw text files as pictures.

    Raises:
        UnreadableVideoError: One line that names the file and says what is wrong with it.
    """
    file = Path(path).expanduser().absolute()
    try:
        if file.is_dir():
            raise UnreadableVideoError(f"{file}: this is a directory; name a video or image file inside it")
        if file.exists() and not file.is_file():  # opening a pipe or a device could block for ever
            raise UnreadableVideoError(f"{file}: this is not a regular file; save its data to a file first")
        with file.open("rb") as stream:
            head = stream.read(_SNIFFED_BYTES)
    except FileNotFoundError:
        raise UnreadableVideoError(f"{file}: there is no such file; check the path") from None
    except PermissionError:
        raise UnreadableVideoError(f"{file}: no permission to read it; change its mode or owner") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableVideoError(f"{file}: it cannot be opened ({reason}); check the path") from None
    if not head:
        raise UnreadableVideoError(f"{file}: the file is empty (0 bytes); copy or download it again")
    if _is_text(head):
        raise UnreadableVideoError(
            f"{file}: its content is plain text, not a video or image; choose another file"
        )
    return file


def _is_text(head: bytes) -> bool:
    if any(byte < 32 and byte not in _TEXT_CONTROLS for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A multi-byte character may be cut by the end of what was sniffed; anything earlier is not text.
        return error.start >= len(head) - 3
    return True
