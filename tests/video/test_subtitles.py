"""What is said in a video is read from the file or track that has it, at the video's own seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from videollm.errors import UnreadableVideoError
from videollm.video import DecodeLimits
from videollm.video.subtitles import Cue, read_subtitles, spoken

TWO_CUES = (Cue(0.25, 0.75, "Guten Tag, wie geht's?"), Cue(1.0, 1.5, "Gut."))
ASS_HEAD = (
    "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def clock(second: float) -> str:
    milliseconds = round(second * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"


def as_srt(cues: tuple[Cue, ...]) -> str:
    blocks = (
        f"{n}\n{clock(c.start_s)} --> {clock(c.end_s)}\n{c.text}\n" for n, c in enumerate(cues, start=1)
    )
    return "\n".join(blocks)


def texts(cues: tuple[Cue, ...]) -> list[str]:
    return [cue.text for cue in cues]


def read_text(folder: Path, name: str, content: str | bytes) -> tuple[Cue, ...]:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_subtitles(folder / "clip.mp4", file=file)


def complaint_about(file: Path, **limits: float) -> str:
    with pytest.raises(UnreadableVideoError) as caught:
        read_subtitles("clip.mp4", file=file, limits=DecodeLimits(**limits))
    assert "\n" not in str(caught.value)
    assert file.name in str(caught.value)
    return str(caught.value)


@pytest.fixture
def with_tracks(tmp_path: Path) -> Callable[..., Path]:
    """Copies a clip and gives it tracks of subtitles, each of a language."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg")

    def write(clip: Path, codec: str, tracks: dict[str, tuple[Cue, ...]], *options: str) -> Path:
        path = tmp_path / f"{codec}{clip.suffix}"
        inputs, languages = ["-i", str(clip)], []
        for number, (language, cues) in enumerate(tracks.items()):
            file = tmp_path / f"track{number}.srt"
            file.write_text(as_srt(cues))
            inputs += ["-i", str(file)]
            languages += ["-map", str(number + 1), f"-metadata:s:s:{number}", f"language={language}"]
        command = ["ffmpeg", "-v", "error", *inputs, "-map", "0:v", *languages, "-c:v", "copy", "-c:s", codec]
        subprocess.run([*command, *options, str(path)], check=True, stdin=subprocess.DEVNULL)
        return path

    return write


@pytest.mark.parametrize(
    ("suffix", "video_codec", "codec"),
    [
        ("mkv", "libx264", "subrip"),
        ("mkv", "libx264", "ass"),
        ("mp4", "libx264", "mov_text"),
        ("webm", "libvpx-vp9", "webvtt"),
    ],
)
def test_a_track_in_the_video_is_read(
    suffix: str,
    video_codec: str,
    codec: str,
    make_clip: Callable[..., Path],
    with_tracks: Callable[..., Path],
) -> None:
    path = with_tracks(make_clip(suffix, video_codec), codec, {"ger": TWO_CUES})
    assert read_subtitles(path) == TWO_CUES


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_track_of_the_wanted_language_is_preferred(
    suffix: str, make_clip: Callable[..., Path], with_tracks: Callable[..., Path]
) -> None:
    tracks = {"eng": (Cue(0.0, 1.0, "Good day."),), "ger": TWO_CUES}
    path = with_tracks(make_clip(suffix), "mov_text" if suffix == "mp4" else "subrip", tracks)
    assert texts(read_subtitles(path)) == ["Good day."]
    assert texts(read_subtitles(path, language="fi")) == ["Good day."]
    for german in ("de", "de-AT", "deu", "ger"):
        assert read_subtitles(path, language=german) == TWO_CUES


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_seconds_count_from_the_first_picture(
    suffix: str, make_clip: Callable[..., Path], with_tracks: Callable[..., Path]
) -> None:
    codec = "mov_text" if suffix == "mp4" else "subrip"
    path = with_tracks(make_clip(suffix), codec, {"ger": TWO_CUES}, "-output_ts_offset", "5")
    assert read_subtitles(path) == TWO_CUES


def test_what_is_said_before_the_first_picture_is_left_out(
    make_clip: Callable[..., Path], with_tracks: Callable[..., Path], tmp_path: Path
) -> None:
    late = tmp_path / "late.mkv"
    source = with_tracks(make_clip("mkv"), "subrip", {"ger": (Cue(0.1, 0.2, "a"), *TWO_CUES)})
    command = ["ffmpeg", "-v", "error", "-itsoffset", "0.5", "-i", source, "-i", source]
    subprocess.run([*command, "-map", "0:v", "-map", "1:s", "-c", "copy", late], check=True)
    # A packet of the picture may only start on a frame's tick.
    assert read_subtitles(late) == (Cue(0.0, 0.25, TWO_CUES[0].text), Cue(0.5, 1.0, "Gut."))


@pytest.mark.parametrize("others", [(), ("srt",)])
def test_subtitles_that_are_pictures_are_passed_over(others: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "disc.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        tracks = [container.add_stream(codec) for codec in ("dvdsub", *others)]
        for track in tracks[1:]:
            track.codec_context.subtitle_header = ASS_HEAD.encode()
        for number in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        for track in tracks:
            packet = av.Packet(b"Hello")
            packet.stream, packet.time_base = track, Fraction(1, 1000)
            packet.pts = packet.dts = 200
            packet.duration = 300
            container.mux(packet)
    assert read_subtitles(path) == ((Cue(0.2, 0.5, "Hello"),) if others else ())


def test_what_was_said_before_a_cut_in_the_file_still_holds(
    make_clip: Callable[..., Path], with_tracks: Callable[..., Path]
) -> None:
    path = with_tracks(make_clip("mkv"), "subrip", {"ger": TWO_CUES}, "-cluster_time_limit", "200")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"Gut.") + 2])
    assert read_subtitles(path) == TWO_CUES[:1]


def test_a_video_or_an_image_without_subtitles_has_none(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    image = tmp_path / "image.png"
    Image.new("RGB", (8, 8)).save(image)
    assert read_subtitles(image) == ()
    assert read_subtitles(make_clip("mp4")) == ()


def test_a_video_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideoError, match=r"missing\.mp4: there is no such file"):
        read_subtitles(tmp_path / "missing.mp4")


def test_a_file_beside_the_video_comes_before_its_tracks(
    make_clip: Callable[..., Path], with_tracks: Callable[..., Path]
) -> None:
    path = with_tracks(make_clip("mkv"), "subrip", {"ger": TWO_CUES})
    for language in ("de", "en", "pt-BR", "zh"):
        path.with_suffix(f".{language}.srt").write_text(as_srt((Cue(0.0, 1.0, language),)))
    assert texts(read_subtitles(path)) == ["de"]  # the first in order of names
    path.with_suffix(".vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nno language\n")
    assert texts(read_subtitles(path)) == ["no language"]
    assert texts(read_subtitles(path, language="fi")) == ["no language"]
    assert texts(read_subtitles(path, language="eng")) == ["en"]
    assert texts(read_subtitles(path, language="pt")) == ["pt-BR"]
    assert read_subtitles(path, file=path.parent / "track0.srt", language="en") == TWO_CUES


def test_a_file_of_another_video_is_not_taken(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    clip = shutil.copy(make_clip("mp4"), tmp_path / "clip.mp4")
    for name in ("clip2.srt", "clip.part2.srt", "other.srt", "clip.txt", "clip-en.srt"):
        (tmp_path / name).write_text(as_srt(TWO_CUES))
    (tmp_path / "clip.srt").mkdir()
    assert read_subtitles(clip) == ()


def test_a_broken_file_beside_the_video_is_not_hidden(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    clip = shutil.copy(make_clip("mp4"), tmp_path / "clip.mp4")
    (tmp_path / "clip.en.SRT").write_text("Hello?\n")
    with pytest.raises(UnreadableVideoError, match=r"clip\.en\.SRT: no subtitle can be read"):
        read_subtitles(clip)


def test_a_file_that_cannot_be_read_gives_one_line(tmp_path: Path) -> None:
    assert "no such subtitle file" in complaint_about(tmp_path / "missing.srt")
    assert "no such subtitle file" in complaint_about(tmp_path)
    pipe = tmp_path / "pipe.srt"
    os.mkfifo(pipe)
    assert "no such subtitle file" in complaint_about(pipe)
    huge = tmp_path / "huge.srt"
    with huge.open("wb") as stream:
        stream.truncate(65 << 20)
    assert "64 MiB" in complaint_about(huge)
    long = tmp_path / "long.srt"
    long.write_text(as_srt(TWO_CUES) * 100_000)
    assert "longer than 0.01 s" in complaint_about(long, seconds=0.01)


@pytest.mark.parametrize("name", ["bad.srt", "bad.vtt", "bad.ass"])
@pytest.mark.parametrize("content", [b"no times\n", bytes(range(256)) * 50, b"1\n00:xx --> 00:02\nHello\n"])
def test_a_file_without_a_single_cue_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert "no subtitle can be read" in complaint_about(tmp_path / name)


@pytest.mark.parametrize(("name", "content"), [("a.srt", ""), ("a.srt", "\n\n"), ("a.vtt", "WEBVTT\n\n")])
def test_a_file_in_which_nothing_is_said_is_no_error(name: str, content: str, tmp_path: Path) -> None:
    assert read_text(tmp_path, name, content) == ()


@pytest.mark.parametrize(
    "content",
    [
        "1\n00:00:01,000 --> 00:00:02,500\nHello\nyou\n\n2\n00:00:03,000 --> 00:00:04,000\n1984\n",
        "1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\nyou\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\n1984\r\n",
        "1\r00:00:01,000 --> 00:00:02,500\rHello\ryou\r\r2\r00:00:03,000 --> 00:00:04,000\r1984",
        "00:00:01.000 --> 00:00:02.500\nHello\nyou\n\n00:00:03.000 --> 00:00:04.000\n1984\n",
        "1\n0:0:1 --> 0:0:2.5\nHello you\n2\n00:03,0 --> 00:04,00\n1984\n",
        "\n\n\n1\n\n00:00:01,000-->00:00:02,500 X1:100 Y1:100\n\nHello\n\nyou\n\n\n2 \n\n"
        "  00:00:03,000  -->  00:00:04,000\n\n1984\n\n",
        "1\n00: 00: 01, 000 -> 00: 00: 02, 500\nHello you\n\n2\n00: 00: 03, 000 -> 00: 00: 04, 000\n1984\n",
        "2\n00:00:03,000 --> 00:00:04,000\n1984\n\n1\n00:00:01,000 --> 00:00:02,500\nHello you\n",
        "7\n00:00:01,000 --> 00:00:01,000\nno time\n\n8\n00:00:01,000 --> 00:00:02,500\nHello you\n\n"
        "9\n99:99 --> x\nbad\n\n10\n00:00:03,000 --> 00:00:04,000\n1984\n\n11\n00:09:00,000 --> 00:08:00,000\nx\n",
    ],
)
def test_srt_is_read_as_tolerantly_as_players_do(content: str, tmp_path: Path) -> None:
    assert read_text(tmp_path, "a.srt", content) == (Cue(1.0, 2.5, "Hello you"), Cue(3.0, 4.0, "1984"))


@pytest.mark.parametrize(
    "content",
    [
        "WEBVTT\n\n00:01.000 --> 00:02.500\nHello you\n\n01:00:00.000 --> 01:00:04.000\nend\n",
        "WEBVTT - Title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:a\n\nNOTE one\nand two\n\n"
        "first words\n00:01.000 --> 00:02.500 align:start position:0%\nHello\nyou\n\nNOTE\nnot shown\n\n"
        "last\n01:00:00.000 --> 01:00:04.000\nend\n\nNOTE the end\n",
        "WEBVTT\n00:01,000 --> 00:02,500\n\nHello you\n\n\n01:00:00,000 --> 01:00:04,000\nend",
        "WEBVTT\n\n \t\nNOTE\n00:01.000 --> 00:02.500\nHello you\n01:00:00.000 --> 01:00:04.000\nend",
        "00:01.000 --> 00:02.500\nHello you\n\n01:00:00.000 --> 01:00:04.000\nend\n",
    ],
)
def test_vtt_is_read_as_tolerantly_as_players_do(content: str, tmp_path: Path) -> None:
    cues = (Cue(1.0, 2.5, "Hello you"), Cue(3600.0, 3604.0, "end"))
    for text in (content, content.replace("\n", "\r\n")):
        assert read_text(tmp_path, "a.vtt", text) == cues
        assert read_text(tmp_path, "a.vtt", ("\ufeff" + text).encode("utf-16-le")) == cues


def test_ass_is_read_without_its_overrides_comments_and_drawings(tmp_path: Path) -> None:
    content = ASS_HEAD + (
        "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\an8\\p1}m 0 0 l 9 9{\\p0}\n"
        "Comment: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,not shown\n"
        "Dialogue: broken\n"
        "Dialogue: 0,0:00:02.00,0:00:02.50,Default,Bob,0,0,0,,{\\i1}yes{\\i0},\\hno{a remark}\\Nor \\n{\\pos(1,2)}so\n"
        "Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,Grüße\n"
    )
    cues = (Cue(1.0, 2.5, "Grüße"), Cue(2.0, 2.5, "yes, no or so"))
    assert read_text(tmp_path, "a.ass", content.replace("\n", "\r\n")) == cues
    assert read_text(tmp_path, "a.ssa", content.encode("cp1252")) == cues


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<i>Hello</i> <font color='red'>you</font>", "Hello you"),
        ("{\\an8}{\\pos(1,2)}up", "up"),
        ("<c.yellow.bg_blue>so</c><00:01.500><c> far</c>", "so far"),
        ("<v Bob Smith>hi", "hi"),
        ("a &amp; b&nbsp;&lt;i&gt; &#39;c&#x27;", "a & b <i> 'c'"),
        ("3 < 4 > 2, <3 and {braces}", "3 < 4 > 2, <3 and {braces}"),
        ("AT&T & R&D; &#99999999999999999999999999;", "AT&T & R&D; \ufffd"),
        ("&#" + "9" * 5000 + ";", "&#" + "9" * 5000 + ";"),
    ],
)
def test_markup_is_removed(markup: str, text: str, tmp_path: Path) -> None:
    for name in ("a.srt", "a.vtt"):
        assert texts(read_text(tmp_path, name, f"00:00:01.000 --> 00:00:02.000\n{markup}\n")) == [text]


def test_a_cue_of_markup_alone_is_left_out(tmp_path: Path) -> None:
    content = "00:01.000 --> 00:02.000\n<i> </i>\n\n00:02.000 --> 00:03.000\nHello\n"
    assert texts(read_text(tmp_path, "a.vtt", content)) == ["Hello"]


def test_the_markup_of_a_track_is_removed(
    make_clip: Callable[..., Path], with_tracks: Callable[..., Path]
) -> None:
    cues = (Cue(0.0, 1.0, "{\\an8}<i>one</i> <c.red>two</c>\nthree &amp; four"),)
    for suffix, codec in (("mkv", "subrip"), ("mp4", "mov_text"), ("mkv", "ass")):
        path = with_tracks(make_clip(suffix), codec, {"eng": cues})
        assert texts(read_subtitles(path)) == ["one two three & four"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_file_is_read_in_its_encoding(encoding: str, tmp_path: Path) -> None:
    cues = (Cue(0.0, 1.0, "Schöne Grüße – für 5 €"),)
    assert read_text(tmp_path, "a.srt", as_srt(cues).encode(encoding)) == cues


def test_one_bad_byte_does_not_cost_the_other_characters(tmp_path: Path) -> None:
    cue = "00:00:01.000 --> 00:00:02.000\nGrüß"
    assert texts(read_text(tmp_path, "cut.srt", cue.encode()[:-1])) == ["Grü"]
    assert texts(read_text(tmp_path, "a.vtt", f"{cue} Gott ".encode() + b"\xff")) == ["Grüß Gott \ufffd"]


WORDS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="<>{}&"), min_size=1)
CUES = st.builds(
    lambda start, length, words: Cue(start / 1000, (start + length) / 1000, " ".join(words)),
    st.integers(0, 36_000_000),
    st.integers(1, 10_000),
    st.lists(WORDS, min_size=1, max_size=5),
)


@given(st.lists(CUES, min_size=1, max_size=8))
def test_cues_written_as_srt_are_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, cues: list[Cue]
) -> None:
    ordered = tuple(sorted(cues, key=lambda cue: cue.start_s))
    assert read_text(tmp_path_factory.getbasetemp(), "written.srt", as_srt(ordered)) == ordered


def test_the_text_of_a_window_is_that_of_the_cues_overlapping_it() -> None:
    cues = (Cue(0.0, 1.0, "a"), Cue(1.0, 3.0, "b"), Cue(2.0, 4.0, "c"), Cue(5.0, 6.0, "d"))
    assert spoken(cues, 1.0, 5.0) == "b\nc"
    assert spoken(cues, 0.5, 2.5) == "a\nb\nc"
    assert spoken(cues, 1.5, 1.5) == "b"
    assert spoken(cues, 4.0, 5.0) == ""
    assert spoken((), 0.0, 9.0) == ""


def test_lines_that_rolling_captions_repeat_are_said_once(tmp_path: Path) -> None:
    shown = [
        "we go",
        "we go",
        "we go up the hill",
        "up the hill",
        "up the hill and down",
        "and down",
        "we go",
    ]
    cues = tuple(Cue(second, second + 1.5, text) for second, text in enumerate(shown))
    assert spoken(cues, 0.0, 9.0) == "we go\nup the hill\nand down\nwe go"
    assert spoken(cues, 3.6, 9.0) == "up the hill\nand down\nwe go"


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), max_size=6))
def test_leaving_repetitions_out_loses_no_text(shown: list[list[str]]) -> None:
    """Each cue's words stand in the output where its own line ends."""
    cues = [Cue(number, number + 1, " ".join(words)) for number, words in enumerate(shown)]
    for count, words in enumerate(shown, start=1):
        assert spoken(cues[:count], 0, 99).split()[-len(words) :] == words
