"""What a file is, its content decides; what it is called is text and nothing else."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from videollm_serve.web.kinds import HEAD_BYTES, MIME_TYPES, medium_of, mime_of
from videollm_serve.web.names import clean_name

VIDEOS = [
    ("mp4", "mpeg4", "video/mp4"),
    ("ipod", "mpeg4", "video/x-m4v"),
    ("mov", "mpeg4", "video/quicktime"),
    ("3gp", "mpeg4", "video/3gpp"),
    ("3g2", "mpeg4", "video/3gpp2"),
    ("matroska", "mpeg4", "video/x-matroska"),
    ("webm", "libvpx", "video/webm"),
    ("avi", "mpeg4", "video/x-msvideo"),
    ("mpegts", "mpeg2video", "video/mp2t"),
    ("mpeg", "mpeg1video", "video/mpeg"),
    ("vob", "mpeg2video", "video/mpeg"),
    ("flv", "flv", "video/x-flv"),
    ("ogg", "libvpx", "video/ogg"),
    ("asf", "wmv2", "video/x-ms-asf"),
]
IMAGES = [
    ("PNG", "image/png"),
    ("GIF", "image/gif"),
    ("JPEG", "image/jpeg"),
    ("WEBP", "image/webp"),
    ("BMP", "image/bmp"),
    ("TIFF", "image/tiff"),
    ("AVIF", "image/avif"),
]
STRANGERS = [
    b"",
    b"\x00",
    b"<!doctype html><script>alert(1)</script>",
    b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n",
    b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    b"%PDF-1.7\n",
    b"PK\x03\x04" + bytes(100),
    b"\x7fELF" + bytes(100),
    b"RIFF\x00\x00\x00\x00WAVEfmt ",
    b"ID3\x04" + bytes(100),
    b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00M4A mp42isom\x00\x00\x00\x00",
    b"\x00\x00\x00\x14ftypxxxx\x00\x00\x00\x00yyyy",
    b"\x00\x00\x00\x04ftypisom",
    b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\x01",
    b"\x1a\x45\xdf\xa3\x88\x42\x82\x85other",
    b"BM, is how this letter begins, and it is no picture",
    b"G" * 100,
    b"\x00\x00\x01\xba" + bytes(20),
]


def _video(path: Path, container: str, codec: str) -> bytes:
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 176, 144, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((144, 176, 3), np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.parametrize(("container", "codec", "mime"), VIDEOS)
def test_videos_are_known_by_their_content(tmp_path: Path, container: str, codec: str, mime: str) -> None:
    content = _video(tmp_path / "video", container, codec)
    assert mime_of(content[:HEAD_BYTES]) == mime
    assert medium_of(mime) == "video"
    assert mime in MIME_TYPES


@pytest.mark.parametrize(("form", "mime"), IMAGES)
def test_images_are_known_by_their_content(form: str, mime: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, form)
    assert mime_of(file.getvalue()[:HEAD_BYTES]) == mime
    assert medium_of(mime) == "image"
    assert mime in MIME_TYPES


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "image/heic"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf", "image/avif"),
        (b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1", "image/heif"),
        (b"\x00\x00\x00\x20ftypGoPr\x00\x00\x00\x00mp41isomavc1xxxx", "video/mp4"),
        (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "video/quicktime"),
        (b"\x00\x00\x00\x01mdat" + (1 << 33).to_bytes(8, "big"), "video/quicktime"),
        ((b"\x00\x00\x00\x00\x47" + bytes(187)) * 5, "video/mp2t"),
    ],
)
def test_headers_that_cameras_write_are_known(head: bytes, mime: str) -> None:
    assert mime_of(head) == mime


@pytest.mark.parametrize("content", STRANGERS)
def test_other_files_are_not_taken_for_videos_or_images(content: bytes) -> None:
    assert mime_of(content) is None


@given(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from([b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x18ftyp", b"RIFF", b"BM"]).flatmap(
            lambda start: st.binary(max_size=100).map(lambda rest: start + rest)
        ),
    )
)
def test_any_bytes_are_of_a_listed_kind_or_of_none(head: bytes) -> None:
    assert mime_of(head) in {*MIME_TYPES, None}


@given(st.text(alphabet=st.characters(max_codepoint=127, exclude_categories=["Cc"]), max_size=300))
def test_what_begins_like_markup_is_never_taken(text: str) -> None:
    assert mime_of(b"<" + text.encode()) is None


def test_no_listed_type_can_be_run_by_a_browser() -> None:
    assert all(mime.startswith(("video/", "image/")) for mime in MIME_TYPES)
    assert not any(word in mime for mime in MIME_TYPES for word in ("svg", "xml", "html", "script"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("holiday.mp4", "holiday.mp4"),
        ("Überfahrt 🚢.mp4", "Überfahrt 🚢.mp4"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\clip.avi", "clip.avi"),
        ("C:\\Users\\me\\clip.avi", "clip.avi"),
        ("a\x00b\r\nSet-Cookie: x.mp4", "a b Set-Cookie: x.mp4"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("<script>alert(1)</script>.mp4", "script>.mp4"),
        ("<img src=x onerror=alert(1)>.mp4", "<img src=x onerror=alert(1)>.mp4"),
        ("..", "untitled"),
        (".", "untitled"),
        ("", "untitled"),
        ("   ", "untitled"),
        ("clips/", "untitled"),
        ("\ud800.mp4", "mp4"),
    ],
)
def test_names_are_text_without_paths_or_control_characters(name: str, shown: str) -> None:
    assert clean_name(name) == shown


def test_long_names_are_cut_before_their_suffix() -> None:
    cut = clean_name("x" * 1000 + ".mp4")
    assert cut.endswith("x.mp4")
    assert len(cut) == 120
    assert len(clean_name("x" * 1000 + "." + "y" * 1000)) <= 120


@given(st.text(alphabet=st.characters(), max_size=400))
def test_whatever_it_was_called_a_name_can_be_shown_and_sent(name: str) -> None:
    cleaned = clean_name(name)
    assert 0 < len(cleaned) <= 120
    assert cleaned.encode()
    assert not set("/\\") & set(cleaned)
    assert cleaned not in (".", "..")
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in cleaned)
    assert clean_name(cleaned) == cleaned
