"""Still pictures, through Pillow: it knows the orientation tags, palettes and colour models that images come in."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from ..errors import UnreadableVideoError
from ..values import VideoInfo
from .pictures import fit_within, over_black

# First bytes of the formats that Pillow is asked about; for every video would be slow.
_MAGIC = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG",
    b"GIF8",
    b"BM",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"\0\0\1\0",  # icons
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"P5",  # portable maps
    b"P6",
    b"8BPS",
)
_MAGIC_BRANDS = (b"ftypavif", b"ftypmif1")
# Its other plug-ins are not asked: some start programs (EPS), some guess at anything.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "ICO", "JPEG2000", "PSD", "WEBP", "AVIF")
# Of formats that can move, moving files are left to FFmpeg, which gives their frames true times. These only have pages,
# layers or several views of one moment; the first is the image.
_NEVER_MOVING = frozenset({"MPO", "PSD", "TIFF"})
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    # Not documented, but what its readers stumble into on broken files.
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises on files that are broken or meant to break it, beside ``MemoryError``."""


def probe_image(path: Path, max_pixels: int) -> VideoInfo | None:
    """Describes a still image; ``None`` when the file is something else (a video, an animation)."""
    if not _has_image_magic(path):
        return None
    Image.MAX_IMAGE_PIXELS = max_pixels  # for the pictures inside of others, which Pillow alone sees (icons)
    try:
        image = Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError:
        raise UnreadableVideoError(_too_large(path, max_pixels)) from None
    except FAULTS:
        return None
    with image:
        if _is_animated(image) and image.format not in _NEVER_MOVING:
            return None
        width, height = image.size
        if width * height > max_pixels:
            raise UnreadableVideoError(_too_large(path, max_pixels))
        if _orientation(image) >= 5:
            width, height = height, width
        codec, mode = (image.format or "image").lower(), image.mode
    return VideoInfo(
        path, "image", 0.0, width, height, 0.0, 1, codec, codec, mode, 0, 1.0, False, False, None
    )


def _has_image_magic(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(12)
    return head.startswith(_MAGIC) or head[8:] == b"WEBP" or head[4:] in _MAGIC_BRANDS


def _is_animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except FAULTS:  # looking for the second picture broke off
        return False


def _orientation(image: Image.Image) -> int:
    """Returns how the camera was held, as EXIF numbers it: 1 for upright, and where the notes cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in _TURNS else 1
    except FAULTS:
        return 1


def read_image(path: Path, max_side: int | None) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Decodes a still image to displayed RGB, transparent parts over black.

    Returns:
        The picture (H, W, 3) and signs of damage.

    Raises:
        UnreadableVideoError: It cannot be decoded.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            damage = _load(image)
            turn = _TURNS.get(_orientation(image))
            return displayed(image if turn is None else image.transpose(turn), max_side), damage
    except FAULTS as error:
        raise UnreadableVideoError(
            f"{path}: the image cannot be decoded ({first_line(error)}); save it again"
        ) from None


def displayed(image: Image.Image, max_side: int | None) -> npt.NDArray[np.uint8]:
    """Returns an upright picture as RGB (H, W, 3), transparent parts over black, no side longer than ``max_side``."""
    has_alpha = image.has_transparency_data
    if image.mode.startswith(("I", "F")):
        image = _to_eight_bits(image)
    picture = image.convert("RGBA" if has_alpha else "RGB")
    size = fit_within(*picture.size, max_side)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    pixels = np.array(picture)
    return over_black(pixels) if has_alpha else pixels


def first_line(error: BaseException) -> str:
    """Returns what an error says, as far as it fits into one line."""
    return str(error).strip().partition("\n")[0][:200]


def _load(image: Image.Image) -> tuple[str, ...]:
    try:
        image.load()
        return ()
    except (OSError, ValueError, SyntaxError) as error:
        if "truncated" not in str(error):
            raise
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    return ("the image file is cut short",)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if values.max(initial=0) > 255 else 255.0
    return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))


def _too_large(path: Path, max_pixels: int) -> str:
    return f"{path}: the image is larger than the {max_pixels} pixels allowed; shrink it or allow more"
