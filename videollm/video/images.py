"""Still pictures, through Pillow: it knows the orientation tags, palettes and colour models that images come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ..errors import UnreadableVideoError
from ..values import VideoInfo
from .pictures import fit_within, over_black

# First bytes of the formats that Pillow knows; asking it about every video would load all its plug-ins.
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
# Moving pictures in an image's clothes are left to FFmpeg, which gives their frames true times.
_LEFT_TO_FFMPEG = frozenset({"MPO"})


def probe_image(path: Path, max_pixels: int) -> VideoInfo | None:
    """Describes a still image; ``None`` when the file is something else (a video, an animation)."""
    if not _has_image_magic(path):
        return None
    try:
        image = Image.open(path)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None
    except Image.DecompressionBombError:
        raise UnreadableVideoError(_too_large(path, max_pixels)) from None
    with image:
        if getattr(image, "is_animated", False) and image.format not in _LEFT_TO_FFMPEG:
            return None
        width, height = image.size
        if width * height > max_pixels:
            raise UnreadableVideoError(_too_large(path, max_pixels))
        turned = image.getexif().get(0x0112, 1) >= 5
        codec, mode = (image.format or "image").lower(), image.mode
    if turned:
        width, height = height, width
    return VideoInfo(
        path, "image", 0.0, width, height, 0.0, 1, codec, codec, mode, 0, 1.0, False, False, None
    )


def _has_image_magic(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(12)
    return head.startswith(_MAGIC) or head[8:] == b"WEBP" or head[4:] in _MAGIC_BRANDS


def read_image(path: Path, max_side: int | None) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Decodes a still image to displayed RGB, transparent parts over black.

    Returns:
        The picture (H, W, 3) and signs of damage.
    """
    with Image.open(path) as image:
        damage = _load(path, image)
        return displayed(ImageOps.exif_transpose(image), max_side), damage


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


def _load(path: Path, image: Image.Image) -> tuple[str, ...]:
    try:
        image.load()
        return ()
    except (OSError, ValueError, SyntaxError) as error:
        if "truncated" not in str(error):
            raise UnreadableVideoError(
                f"{path}: the image cannot be decoded ({error}); save it again"
            ) from None
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableVideoError(f"{path}: the image cannot be decoded ({error}); save it again") from None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    return ("the image file is cut short",)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if values.max(initial=0) > 255 else 255.0
    return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))


def _too_large(path: Path, max_pixels: int) -> str:
    return f"{path}: the image is larger than the {max_pixels} pixels allowed; shrink it or allow more"
