"""Files made to do harm: none makes the reader open another file or the network, none keeps it from the next one."""

from __future__ import annotations

import ctypes
import io
import os
import platform
import random
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from videollm.errors import UnreadableVideoError
from videollm.video import DecodedFrames, DecodeLimits, decode_frames, plan_frames, probe
from videollm.video.subtitles import read_subtitles
from videollm.video.worker import run_in_worker

TIGHT = DecodeLimits(seconds=60, memory_bytes=1 << 30)
_IN_OPEN = 0x20


class Watch:
    """Tells whether a file has been opened by whatever process, as the kernel reports it."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _IN_OPEN) > 0

    def was_opened(self) -> bool:
        try:
            return bool(os.read(self._descriptor, 65536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def canary(make_clip: Callable[..., Path], tmp_path: Path) -> Path:
    """A film that no other file may have opened."""
    path = tmp_path / "canary.ts"
    path.write_bytes(make_clip("ts", seconds=0.5).read_bytes())
    return path


@pytest.fixture
def watch(canary: Path) -> Iterator[Watch]:
    watch = Watch(canary)
    yield watch
    watch.close()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine, and what it has been asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def receive() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    asked.append(connection.recv(100))
                    if asked[-1] == b"bye":
                        asked.pop()
                        return

        thread = threading.Thread(target=receive)
        thread.start()
        port = listener.getsockname()[1]
        yield port, asked
        with socket.create_connection(("127.0.0.1", port)) as last:
            last.sendall(b"bye")
        thread.join()


def read(path: Path, limits: DecodeLimits = TIGHT, **settings: object) -> DecodedFrames:
    plan = plan_frames(probe(path, limits=limits), fps=1000, max_frames=8)
    return decode_frames(path, plan, max_side=64, limits=limits, **settings)


def frames_or_complaint(path: Path, limits: DecodeLimits = TIGHT) -> DecodedFrames | str:
    try:
        return read(path, limits)
    except UnreadableVideoError as error:
        return str(error)


def complaint_about(path: Path, limits: DecodeLimits = TIGHT) -> str:
    complaint = frames_or_complaint(path, limits)
    assert isinstance(complaint, str)
    assert "\n" not in complaint
    assert path.name in complaint
    return complaint


@pytest.fixture
def good(make_clip: Callable[..., Path], numbers: Callable[..., list[int]]) -> Callable[[], None]:
    """Reads a sound file, which must always succeed."""
    clip = make_clip("mp4", seconds=0.5)
    return lambda: numbers(read(clip).frames_THW3) == [0, 1, 3, 4, 5, 6, 8, 9] or pytest.fail("wrong frames")


# Files that name others


def _alias(path: Path) -> bytes:
    """A record of where a QuickTime film keeps its pictures: in another file, by its absolute path."""
    place = os.fsencode(path)
    name = os.fsencode(path.name)
    record = (
        bytes(10) + b"\x05disk1".ljust(28, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    )
    record += bytes(16) + struct.pack(">hh", 1, 1) + bytes(16)
    record += struct.pack(">hh", 2, len(place)) + place + bytes(len(place) % 2) + struct.pack(">hh", -1, 0)
    return struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record


def _with_outer_pictures(film: bytes, path: Path) -> bytes:
    """Makes a film whose index stands behind its pictures look for them in another file."""
    entry = struct.pack(">I4sI", 12, b"url ", 1)
    alias = _alias(path)
    assert film.count(entry) == 1
    at = film.index(entry)
    data = bytearray(film.replace(entry, alias))
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = film.rindex(box, 0, at) - 4
        (size,) = struct.unpack_from(">I", data, start)
        struct.pack_into(">I", data, start, size + len(alias) - len(entry))
    return bytes(data)


_M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{place}\n#EXT-X-ENDLIST\n"
_MPD = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="a" bandwidth="1"><BaseURL>{place}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>"
)
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=control:{place}\r\n"
)
_SVG = (
    '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "{place}">]><svg xmlns="http://www.w3.org/2000/svg" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9"><image xlink:href="{place}"/>&x;</svg>'
)
# Each with a name that fits. They hold bytes that text does not have: else they are refused before a decoder sees them.
REFERRING = {
    "playlist": ("list.m3u8", _M3U8),
    "playlist in a film's clothes": ("list.mp4", _M3U8),
    "list of playlists": ("master.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{place}\n"),
    "key of a playlist": (
        "key.m3u8",
        '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{place}"\n#EXTINF:5,\n{place}\n',
    ),
    "script": ("script.ffconcat", "ffconcat version 1.0\nfile '{place}'\n"),
    "script in a film's clothes": ("script.mp4", "ffconcat version 1.0\nfile '{place}'\n"),
    "manifest": ("manifest.mpd", _MPD),
    "session": ("session.sdp", _SDP),
    "drawing": ("drawing.svg", _SVG),
    "drawing in a photo's clothes": ("drawing.png", _SVG),
    "shortcut": ("film.asx", '<ASX version="3.0"><ENTRY><REF HREF="{place}"/></ENTRY></ASX>'),
    "reference": ("film.mov", "[Reference]\nRef1={place}\n"),
    "stream": ("film.rtsp", "RTSPtext{place}"),
    "metadata": ("film.ffmeta", ";FFMETADATA1\ntitle={place}\n"),
    "index of subtitles": ("canary.idx", "# VobSub index file, v7\nsize: 9x9\nid: en, index: 0\n"),
    "print": ("print.eps", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({place}) (r) file\n"),
}


@pytest.mark.parametrize("name", REFERRING)
def test_a_file_that_names_another_does_not_get_it_opened(
    name: str, canary: Path, watch: Watch, server: tuple[int, list[bytes]], good: Callable[[], None]
) -> None:
    port, asked = server
    (canary.parent / "canary.sub").symlink_to(canary)  # what an index of subtitles expects beside it
    file, content = REFERRING[name]
    path = canary.with_name(file)
    for place in (
        canary.name,
        str(canary),
        f"file:{canary}",
        f"http://127.0.0.1:{port}/a.ts",
        f"tcp://127.0.0.1:{port}",
    ):
        path.write_bytes(content.replace("{place}", place).encode() + b"#\0\1\2\n")
        complaint_about(path)
    with pytest.raises(UnreadableVideoError):
        read_subtitles(path)
    assert not watch.was_opened()
    assert asked == []
    good()


@pytest.mark.parametrize("name", ["playlist", "script"])
def test_without_our_lists_these_files_would_be_followed(name: str, canary: Path, watch: Watch) -> None:
    """Shows that the files above are what they claim to be, and that the watch sees it."""
    file, content = REFERRING[name]
    path = canary.with_name(file)
    path.write_text(content.replace("{place}", canary.name))
    subprocess.run([sys.executable, "-c", "import av, sys\nav.open(sys.argv[1])", path], check=True)
    assert watch.was_opened()


def test_a_film_whose_pictures_lie_in_another_file_does_not_get_it_opened(
    canary: Path, watch: Watch, make_clip: Callable[..., Path]
) -> None:
    film, path = make_clip("mov", "mpeg4", seconds=0.5), canary.with_name("film.mov")
    path.write_bytes(_with_outer_pictures(film.read_bytes(), canary))
    for backend in ("pyav", "decord"):
        with pytest.raises(UnreadableVideoError):
            read(path, backend=backend)
    assert not watch.was_opened()


@pytest.mark.parametrize(
    ("name", "sibling", "content"),
    [
        ("shot%d.jpg", "shot0.jpg", bytes(range(256)) * 40),
        ("shot%03d.png", "shot001.png", bytes(range(256)) * 40),
        ("shot*.jpg", "shot1.jpg", bytes(range(256)) * 40),
        ("film.MLV", "film.M00", b"MLVI" + struct.pack("<I", 52) + b"v2.0\0".ljust(44, b"\0") + bytes(4000)),
    ],
)
def test_files_beside_one_are_not_opened_with_it(
    name: str, sibling: str, content: bytes, canary: Path, watch: Watch
) -> None:
    canary.rename(canary.with_name(sibling))
    path = canary.with_name(name)
    path.write_bytes(content)
    complaint_about(path)
    assert not watch.was_opened()


confined = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="this kernel takes no filter of ours",
)


@confined
def test_a_worker_cannot_reach_the_network_or_start_programs(
    server: tuple[int, list[bytes]], tmp_path: Path, good: Callable[[], None]
) -> None:
    port, asked = server
    for task, arguments in (
        (socket.create_connection, (("127.0.0.1", port),)),
        (socket.socket, (socket.AF_UNIX,)),
        (subprocess.check_call, (["touch", str(tmp_path / "started")],)),
    ):
        with pytest.raises(RuntimeError, match="PermissionError"):
            run_in_worker(task, *arguments, limits=TIGHT, subject="clip.mp4")
    assert run_in_worker(os.system, f"touch {tmp_path}/started", limits=TIGHT, subject="clip.mp4")[0] != 0
    assert asked == []
    assert not (tmp_path / "started").exists()
    good()


# Files that are larger inside than outside

_SMALL = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8))


def _saved(folder: Path, suffix: str, **settings: object) -> bytes:
    path = folder / f"small.{suffix}"
    _SMALL.save(path, **settings)
    return path.read_bytes()


def _png(folder: Path, side: int, *chunks: tuple[bytes, bytes]) -> bytes:
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(side + 1) * min(side, 9))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _gif(width: int, height: int, frames: int) -> bytes:
    dot = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    frame = b"\x21\xf9\x04\x00\x01\x00\x00\x00" + dot
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + b"\0\0\0\xff\xff\xff"
        + frame * frames
        + b"\x3b"
    )


def _patched(data: bytes, behind: bytes, layout: str, *values: int, skip: int = 0) -> bytes:
    """Overwrites numbers that stand ``skip`` bytes behind a mark, wherever it is."""
    changed, at = bytearray(data), data.index(behind)
    while at >= 0:
        struct.pack_into(layout, changed, at + len(behind) + skip, *values)
        at = data.find(behind, at + 1)
    return bytes(changed)


def _webp_canvas(folder: Path, side: int) -> bytes:
    canvas = (side - 1).to_bytes(3, "little") * 2
    data = _saved(folder, "webp", save_all=True, append_images=[_SMALL.rotate(180)], duration=100)
    assert data[12:16] == b"VP8X"
    return data[:24] + canvas + data[30:]


def _jpeg(side: int, data: bytes) -> bytes:
    return _patched(data, b"\xff\xc0\x00\x11\x08", ">HH", side, side)


def _tiff(folder: Path, side: int) -> bytes:
    data = _saved(folder, "tiff")
    for tag in (256, 257):  # width and height, each one number of 16 or 32 bits
        at = next(
            at
            for at in range(8, len(data))
            if data[at : at + 2] == struct.pack("<H", tag) and data[at + 3] == 0
        )
        data = data[: at + 2] + struct.pack("<HII", 4, 1, side) + data[at + 12 :]
    return data


BOMBS: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "PNG": ("png", lambda folder: _png(folder, 60_000)),
    "GIF": ("gif", lambda folder: _gif(60_000, 60_000, 1)),
    "moving GIF": ("gif", lambda folder: _gif(60_000, 60_000, 9)),
    "JPEG": ("jpg", lambda folder: _jpeg(60_000, _saved(folder, "jpg"))),
    "BMP": (
        "bmp",
        lambda folder: _saved(folder, "bmp")[:18] + struct.pack("<ii", 60_000, 60_000) + bytes(90),
    ),
    "TIFF": ("tiff", lambda folder: _tiff(folder, 60_000)),
    "portable map": ("ppm", lambda folder: b"P6 60000 60000 255\n" + bytes(9000)),
    "moving WebP": ("webp", lambda folder: _webp_canvas(folder, 60_000)),
    "still WebP": (
        "webp",
        lambda folder: b"RIFF\x20\0\0\0WEBPVP8L\x14\0\0\0\x2f\xff\xff\xff\x0f" + bytes(20),
    ),
    "JPEG 2000": (
        "jp2",
        lambda folder: _patched(
            _patched(_saved(folder, "jp2"), b"ihdr", ">II", 60_000, 60_000),
            b"\xff\x51",
            ">II",
            60_000,
            60_000,
            skip=4,
        ),
    ),
    "Y4M": ("y4m", lambda folder: b"YUV4MPEG2 W30000 H30000 F25:1 Ip C420jpeg\nFRAME\n" + bytes(90_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_that_claims_to_be_huge_is_refused(
    name: str, tmp_path: Path, good: Callable[[], None]
) -> None:
    suffix, make = BOMBS[name]
    path = tmp_path / f"bomb.{suffix}"
    path.write_bytes(make(tmp_path))
    assert "crashed" not in complaint_about(path)
    good()


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "mjpeg"), ("mov", "mjpeg"), ("mkv", "mjpeg")])
def test_a_film_that_claims_huge_pictures_is_refused(
    suffix: str, codec: str, make_clip: Callable[..., Path], tmp_path: Path, good: Callable[[], None]
) -> None:
    film = make_clip(suffix, codec, seconds=0.5, pixel_format="yuvj420p").read_bytes()
    path = tmp_path / f"bomb.{suffix}"
    path.write_bytes(_jpeg(30_000, film))
    assert "crashed" not in complaint_about(path)
    good()


def test_a_film_whose_pictures_grow_beyond_the_limit_gives_those_before(tmp_path: Path) -> None:
    path = tmp_path / "growing.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(8):
            written = io.BytesIO()
            _SMALL.resize((64, 48) if number < 5 else (2000, 1500)).save(written, "JPEG")
            packet = av.Packet(written.getvalue())
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number, number, True
            container.mux(packet)
    assert read(path).plan.frame_count == 8
    got = read(path, DecodeLimits(max_pixels=100_000))
    assert got.plan.times_s == pytest.approx([number / 25 for number in range(5)])
    assert got.damage


def test_an_image_whose_box_lies_about_its_size_is_refused_or_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bomb.avif"
    path.write_bytes(_patched(_saved(tmp_path, "avif"), b"ispe", ">II", 60_000, 60_000, skip=4))
    got = frames_or_complaint(path)
    assert isinstance(got, str) or got.frames_THW3.shape == (1, 48, 64, 3)


def test_notes_that_unpack_to_a_hundred_megabytes_do_no_harm(
    tmp_path: Path, good: Callable[[], None]
) -> None:
    packed = zlib.compress(bytes(100_000_000), 1)
    for kind, head in ((b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")):
        path = tmp_path / f"{kind.decode()}.png"
        path.write_bytes(_png(tmp_path, 9, (kind, head + packed)))
        got = frames_or_complaint(path, DecodeLimits(memory_bytes=300_000_000))
        assert "crashed" not in got if isinstance(got, str) else got.frames_THW3.shape == (1, 9, 9, 3)
        good()


def test_a_file_that_takes_for_ever_is_stopped(tmp_path: Path, good: Callable[[], None]) -> None:
    path = tmp_path / "slow.gif"
    path.write_bytes(_gif(9_500, 9_500, 900))  # 360 MB to copy for each of its frames
    info = probe(path)
    plan = plan_frames(info, fps=1000, max_frames=900)
    with pytest.raises(UnreadableVideoError, match="longer than 1 s"):
        decode_frames(path, plan, max_side=16, limits=DecodeLimits(seconds=1))
    good()


# Files with one thing wrong


def test_a_length_that_is_no_time_is_passed_over(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    film, path = make_clip("mkv", seconds=0.5).read_bytes(), tmp_path / "film.mkv"
    assert film.count(b"00:00:00.") == 1
    path.write_bytes(film.replace(b"00:00:00.", b"aa:bb:cc."))
    assert read(path).plan.frame_count == 8


def test_a_title_in_an_old_code_page_is_no_reason_to_refuse_a_film(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    film, path = make_clip("avi", "mpeg4", seconds=0.5).read_bytes(), tmp_path / "film.avi"
    at = film.index(b"ISFT")  # the program that wrote it, another such note
    path.write_bytes(film[: at + 8] + "Größe".encode("latin-1") + film[at + 13 :])
    assert read(path).plan.frame_count == 8


@pytest.mark.parametrize(
    ("orientation", "shape"), [(1, (30, 50)), (3, (30, 50)), (6, (50, 30)), (8, (50, 30))]
)
def test_a_moving_picture_with_a_cameras_notes_is_turned(
    orientation: int, shape: tuple[int, int], tmp_path: Path
) -> None:
    pixels = np.zeros((30, 50, 3), np.uint8)
    pixels[:15, :, 0] = pixels[15:, :, 2] = 200
    notes = Image.Exif()
    notes[0x0112] = orientation
    still, moving = tmp_path / "still.png", tmp_path / "moving.png"
    image = Image.fromarray(pixels)
    image.save(still, exif=notes)
    image.save(moving, exif=notes, save_all=True, append_images=[Image.new("RGB", (50, 30))], duration=100)
    got = read(moving).frames_THW3
    assert got.shape == (2, *shape, 3)
    assert np.abs(got[0].astype(int) - read(still).frames_THW3[0]).max() <= 2


def test_a_scan_of_several_pages_is_an_image_of_its_first(tmp_path: Path) -> None:
    path = tmp_path / "pages.tiff"
    _SMALL.save(path, save_all=True, append_images=[_SMALL.rotate(180)])
    assert probe(path).kind == "image"
    assert (read(path).frames_THW3 == np.asarray(_SMALL)[None]).all()


# Files with anything wrong

SEEDS = [
    *(
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("mkv", "libx264"),
        ("ts", "libx264"),
        ("flv", "libx264"),
        ("h264", "libx264"),
    ),
    *(
        ("webm", "libvpx"),
        ("ivf", "libvpx"),
        ("avi", "mpeg4"),
        ("3gp", "mpeg4"),
        ("nut", "mpeg4"),
        ("mxf", "mpeg2video"),
    ),
    *(
        ("mpg", "mpeg2video"),
        ("wmv", "wmv2"),
        ("avi", "mjpeg"),
        ("gif", "gif"),
        ("apng", "apng"),
        ("y4m", "rawvideo"),
    ),
]
FORMATS = {"mjpeg": "yuvj420p", "gif": "gray", "apng": "rgb24"}
IMAGES = ["png", "jpg", "webp", "gif", "bmp", "tiff", "avif", "ico", "jp2", "ppm"]
MOVING_IMAGES = ["webp", "png", "gif", "avif", "tiff"]


@pytest.fixture(scope="module")
def sound_files(
    make_clip: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[str, bytes]]:
    """One small file of each kind, which can be read."""
    folder = tmp_path_factory.mktemp("seeds")
    settings = {"seconds": 0.5, "width": 64, "height": 48, "gop": 6, "fps": 25}
    films = [
        make_clip(suffix, codec, pixel_format=FORMATS.get(codec, "yuv420p"), **settings)
        for suffix, codec in SEEDS
    ]
    files = [(film.suffix[1:], film.read_bytes()) for film in films]
    notes = Image.Exif()
    notes[0x0112], notes[0x010E] = 6, "notes"
    files += [
        (suffix, _saved(folder, suffix, **({} if suffix in ("ico", "jp2", "ppm") else {"exif": notes})))
        for suffix in IMAGES
    ]
    more = {"save_all": True, "append_images": [_SMALL.rotate(180)], "duration": 100}
    return files + [(suffix, _saved(folder, suffix, **more)) for suffix in MOVING_IMAGES]


def test_the_files_that_are_broken_below_are_sound_before(
    sound_files: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    for number, (suffix, data) in enumerate(sound_files):
        path = tmp_path / f"sound{number}.{suffix}"
        path.write_bytes(data)
        assert read(path).plan.frame_count >= 1


def _broken(data: bytes, source: random.Random) -> bytes:
    """Changes a file at a few places, often in its head: bytes, numbers, pieces cut out, doubled, moved, or its end."""
    changed, length = bytearray(data), len(data) if source.random() < 0.5 else min(len(data), 400)
    kind = source.randrange(6)
    for _ in range(source.randint(1, 6)):
        at, other, count = source.randrange(length), source.randrange(length), source.randint(1, 100)
        if kind == 0:
            changed[at : at + 1] = source.randbytes(1)
        elif kind == 1:
            changed[at : at + 4] = source.choice(
                [b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\x80\0\0\0"]
            )
        elif kind == 2:
            changed[at : at + count] = changed[other : other + count]
        elif kind == 3:
            changed[at:at] = changed[at : at + count] * source.randint(1, 5)
        elif kind == 4:
            changed[at : at + count // 10] = source.randbytes(count // 10)
        else:
            return bytes(changed[: at + 1])
    return bytes(changed)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_broken_there_are_frames_or_one_line_and_the_next_file_is_read(
    seed: int, sound_files: list[tuple[str, bytes]], tmp_path: Path, good: Callable[[], None]
) -> None:
    source = random.Random(seed)
    complaints = 0
    for number in range(100):
        suffix, data = source.choice(sound_files)
        path = tmp_path / f"broken{number}.{suffix}"
        path.write_bytes(_broken(data, source))
        got = frames_or_complaint(path)
        if isinstance(got, str):
            assert "\n" not in got
            assert path.name in got
            complaints += 1
        else:
            assert 1 <= len(got.frames_THW3) == got.plan.frame_count <= 8
        if number % 20 == 0:
            good()
    good()
    assert 10 < complaints < 90  # else they are hardly broken, or not even alike
