"""What a file is, judged by its first bytes alone: a fixed list of videos and images, or nothing.

A name or a declared type is only what somebody says. The type found here is also the one under which the file is
handed out again, so that a file which is two things at once (a GIF that is a page as well) is never run as the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

#: How many bytes :func:`mime_of` wants to see.
HEAD_BYTES = 4096

_PREFIXES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"FLV\x01", "video/x-flv"),
    (b"OggS\x00", "video/ogg"),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video/x-ms-asf"),
)
# Brands of ISO base media files (ISO/IEC 14496-12, section 4.3; registered at mp4ra.org).
_BRANDS: dict[bytes, str] = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"mif1", b"msf1"), "image/heif"),
    **dict.fromkeys((b"M4V ", b"M4VH", b"M4VP"), "video/x-m4v"),
    **dict.fromkeys(
        (b"isom", b"avc1", b"mp41", b"mp42", b"mp71", b"dash", b"MSNV", b"f4v ", b"F4V "), "video/mp4"
    ),
    **{b"iso%x" % version: "video/mp4" for version in range(2, 13)},
    **dict.fromkeys((b"NDSC", b"NDSH", b"NDSM", b"NDSP", b"NDSS", b"XAVC", b"piff", b"cmfc"), "video/mp4"),
    b"qt  ": "video/quicktime",
    **{b"3gp%d" % version: "video/3gpp" for version in range(1, 10)},
    **dict.fromkeys((b"3ge6", b"3ge7", b"3gg6", b"3gr6", b"3gs6", b"3gs7"), "video/3gpp"),
    **dict.fromkeys((b"3g2a", b"3g2b", b"3g2c"), "video/3gpp2"),
}
# An image's general brand may stand before the one that says how it is coded.
_GENERAL_BRANDS = frozenset({b"mif1", b"msf1"})
# Sound alone: nothing to look at, though some of these also claim a brand of videos.
_SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
# First atoms of QuickTime files from before "ftyp".
_OLD_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_DOCTYPES = {b"webm": "video/webm", b"matroska": "video/x-matroska"}
_BITMAP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_EBML_ID, _DOCTYPE_ID = 0x1A45DFA3, 0x4282


def mime_of(head: bytes) -> str | None:
    """Returns the MIME type of a video or image, or nothing if it is neither.

    Args:
        head: The file's first :data:`HEAD_BYTES` bytes, or all of it if it is shorter.
    """
    for prefix, mime in _PREFIXES:
        if head.startswith(prefix):
            return mime
    return next(filter(None, (judge(head) for judge in _JUDGES)), None)


def medium_of(mime: str) -> str:
    """Returns ``"video"`` or ``"image"``."""
    return mime.partition("/")[0]


def _iso_media(head: bytes) -> str | None:
    size = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or size < 16:
        return None
    major, compatible = head[8:12], [head[at : at + 4] for at in range(16, min(size, len(head)), 4)]
    if major in _SOUND_BRANDS:
        return None
    brands = [major, *compatible]
    particular = (
        [brand for brand in brands if brand not in _GENERAL_BRANDS] if major in _GENERAL_BRANDS else []
    )
    return next((_BRANDS[brand] for brand in (*particular, *brands) if brand in _BRANDS), None)


def _old_quicktime(head: bytes) -> str | None:
    size = int.from_bytes(head[:4], "big")
    return "video/quicktime" if head[4:8] in _OLD_QUICKTIME_ATOMS and (size >= 8 or size == 1) else None


def _riff(head: bytes) -> str | None:
    if head[:4] != b"RIFF":
        return None
    return {b"AVI ": "video/x-msvideo", b"WEBP": "image/webp"}.get(head[8:12])


def _matroska(head: bytes) -> str | None:
    """Reads the document type of an EBML header (RFC 8794, section 11.2)."""
    for identity, content in _ebml_elements(head):
        if identity != _EBML_ID:
            return None
        types = (value for child, value in _ebml_elements(content) if child == _DOCTYPE_ID)
        return _DOCTYPES.get(next(types, b"").rstrip(b"\x00"))
    return None


def _ebml_elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields identity and content of the elements in some bytes, the last one perhaps cut."""
    at = 0
    while at < len(data):
        identity_bytes = 9 - data[at].bit_length()
        identity = int.from_bytes(data[at : at + identity_bytes], "big")
        at += identity_bytes
        if at >= len(data) or not data[at]:
            return
        size_bytes = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
        at += size_bytes
        yield identity, data[at : at + size]
        at += size


def _mpeg_program_stream(head: bytes) -> str | None:
    """A pack header of MPEG-1 or MPEG-2, known by the bits after the start code (ISO/IEC 13818-1, section 2.5.3)."""
    if head[:4] != b"\x00\x00\x01\xba" or len(head) < 12:
        return None
    return "video/mpeg" if head[4] >> 6 == 0b01 or head[4] >> 4 == 0b0010 else None


def _mpeg_transport_stream(head: bytes) -> str | None:
    """A sync byte in each of several packets of 188 bytes, or of 192 with a time before each (as cameras write)."""
    for first, packet_bytes in ((0, 188), (4, 192)):
        syncs = head[first::packet_bytes]
        if len(syncs) >= 3 and set(syncs) == {0x47}:
            return "video/mp2t"
    return None


def _bitmap(head: bytes) -> str | None:
    fits = head[:2] == b"BM" and head[6:10] == bytes(4)
    return "image/bmp" if fits and int.from_bytes(head[14:18], "little") in _BITMAP_HEADER_SIZES else None


_JUDGES: tuple[Callable[[bytes], str | None], ...] = (
    _iso_media,
    _old_quicktime,
    _riff,
    _matroska,
    _mpeg_program_stream,
    _mpeg_transport_stream,
    _bitmap,
)
#: Every type a file can be found to be.
MIME_TYPES = frozenset(
    {
        *(mime for _, mime in _PREFIXES),
        *_BRANDS.values(),
        *_DOCTYPES.values(),
        "video/x-msvideo",
        "image/webp",
        "video/mpeg",
        "video/mp2t",
        "image/bmp",
    }
)
