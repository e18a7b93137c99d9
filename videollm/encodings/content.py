"""What a medium is known by, wherever it lies: a hash of its content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..video.paths import readable_path

if TYPE_CHECKING:
    from PIL.Image import Image

#: A video or image file, or a picture in memory: a Pillow image or uint8 RGB of shape (H, W, 3).
Source: TypeAlias = "str | os.PathLike[str] | Image | npt.NDArray[np.uint8]"

_HASHES: dict[Path, tuple[tuple[int, int, int], str]] = {}


def content_hash(source: Source) -> str:
    """Returns a hash of a medium's content: a file's bytes, streamed, or a picture's pixels.

    A file that has the same size, time of change and inode as when it was hashed last is not read again.

    Raises:
        UnreadableVideoError: The file cannot be opened.
        DataError: A picture has the wrong shape or type.
    """
    if not isinstance(source, str | os.PathLike):
        pixels = pixels_of(source)
        return hashlib.blake2b(pixels.tobytes() + repr(pixels.shape).encode()).hexdigest()
    path = readable_path(source)
    found = path.stat()
    state = (found.st_size, found.st_mtime_ns, found.st_ino)
    known = _HASHES.get(path)
    if known is None or known[0] != state:
        with path.open("rb") as file:
            known = (state, hashlib.file_digest(file, "blake2b").hexdigest())
        _HASHES[path] = known
    return known[1]


def pixels_of(picture: Image | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Returns a picture's pixels, uint8 RGB of shape (H, W, 3).

    Raises:
        DataError: The picture has the wrong shape or type.
    """
    pixels = np.array(picture if isinstance(picture, np.ndarray) else picture.convert("RGB"))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise DataError(
            f"a picture must be uint8 RGB of shape (H, W, 3), got {pixels.dtype} of shape {pixels.shape}"
        )
    return pixels
