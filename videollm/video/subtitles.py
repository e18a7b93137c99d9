"""What is said in a video, as its subtitles tell: from a file beside it or from a track inside it.

FFmpeg reads tracks and ``.ass`` files. ``.srt`` and ``.vtt`` files are parsed here, because it silently loses much of
what players show: ``.srt`` times without hours, ``.vtt`` times with a comma or texts behind a blank line, a ``.vtt`` in
UTF-16, all that is not UTF-8. It also reads ``0:00:03.5`` as 3.005 s.
"""

from __future__ import annotations

import codecs
import html
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from ..errors import UnreadableVideoError
from .animations import is_animated_webp
from .images import probe_image
from .limits import DecodeLimits
from .opening import open_video
from .paths import readable_path
from .survey import survey_file
from .worker import run_in_worker

_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
_TEXT_CODECS = frozenset({"subrip", "webvtt", "mov_text", "ass", "text"})
_MOST_BYTES = 64 << 20  # of a subtitle file; the text of a long film takes a few hundred KiB
_LONGEST_ROLL = 200  # words that a rolling caption may repeat

_LABEL = re.compile(r"(\.[a-z]{2,3}([-_][a-z0-9]+)*)?")  # nothing, ".en" or ".pt-br", but not ".part2"
# File names say "de", containers "ger" or "deu".
_LANGUAGES = (
    "ar ara,bg bul,bn ben,ca cat,cs ces cze,da dan,de deu ger,el ell gre,en eng,es spa,et est,fa fas per,fi fin,"
    "fr fra fre,he heb,hi hin,hr hrv,hu hun,id ind,it ita,ja jpn,ko kor,lt lit,lv lav,ms msa may,nb nob,nl nld dut,"
    "no nor,pl pol,pt por,ro ron rum,ru rus,sk slk slo,sl slv,sr srp,sv swe,ta tam,te tel,th tha,tr tur,uk ukr,"
    "ur urd,vi vie,zh zho chi"
)
_SHORT_CODES = {code: group.split()[0] for group in _LANGUAGES.split(",") for code in group.split()}

_TIME = r"(?:(\d{1,4})\s*:\s*)?(\d{1,2})\s*:\s*(\d{1,2})(?:\s*[.,]\s*(\d{1,9}))?"
_TIMES = re.compile(rf"{_TIME}\s*-\s*-?\s*>\s*{_TIME}")  # translation programs turn "-->" into "->"
_ASIDE = re.compile(r"(?:\A|(?<=\n\n))(?:NOTE|STYLE|REGION)(?!\S).*(?:\n(?!.*-->).+)*")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")
_ENTITY = re.compile(r"&#?\w{1,31};")
_OVERRIDE = re.compile(r"\{([^{}]*)\}([^{]*)")
_DRAWING = re.compile(r"\\p[1-9]")  # the "text" behind it is the outline of a shape
_ASS_BREAK = re.compile(r"\\[Nnh]")


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle.

    Attributes:
        start_s: When it appears, in seconds from the first picture that is shown.
        end_s: When it goes, later than ``start_s``.
        text: What it says, without markup, in one line.
    """

    start_s: float
    end_s: float
    text: str


def read_subtitles(
    path: str | os.PathLike[str],
    *,
    file: str | os.PathLike[str] | None = None,
    language: str | None = None,
    limits: DecodeLimits = DecodeLimits(),
) -> tuple[Cue, ...]:
    """Reads the subtitles of a video, in a worker process.

    They come from the first of these that is there: ``file``; a file beside the video with its name (``clip.srt``,
    ``clip.en.vtt``), one without a language before the others; the first track of text in the video. Subtitles that are
    pictures (of DVDs and Blu-rays) are passed over. Cues that are broken or say nothing are left out.

    Args:
        path: The video; it is not opened when ``file`` is given.
        file: A ``.srt``, ``.vtt``, ``.ass`` or ``.ssa`` file.
        language: Preferred among the files beside the video or among its tracks, ``"de"`` or ``"pt-BR"`` for example.
        limits: What reading it may cost.

    Returns:
        The cues in order of their start; none if the video has no subtitles.

    Raises:
        UnreadableVideoError: One line that names the file, says what is wrong with it and what to do.
    """
    if file is not None:
        source: Path | None = Path(file).expanduser().absolute()
    else:
        video = readable_path(path)
        source = file_beside(video, language)
    if source is not None:
        cues, _ = run_in_worker(_read_text_file, source, limits=limits, subject=str(source))
    else:
        cues, _ = run_in_worker(_read_track, video, language, limits, limits=limits, subject=str(video))
    assert isinstance(cues, tuple)
    return cues


def spoken(cues: Iterable[Cue], start_s: float, end_s: float) -> str:
    """Returns what is said in a window of time, a line for each cue that overlaps it.

    Rolling captions begin with what the one before ended with: words that stand right before are not said again.

    Args:
        cues: In order.
        start_s: Begin of the window in seconds.
        end_s: Its end.
    """
    lines: list[str] = []
    said: list[str] = []
    for cue in cues:
        if cue.start_s < end_s and cue.end_s > start_s:
            words = cue.text.split()
            most = min(len(said), len(words), _LONGEST_ROLL)
            known = next((count for count in range(most, 0, -1) if said[-count:] == words[:count]), 0)
            lines.append(" ".join(words[known:]))
            said += words[known:]
    return "\n".join(filter(None, lines))


def file_beside(video: Path, language: str | None = None) -> Path | None:
    """Returns the file beside a video that :func:`read_subtitles` reads; ``None`` if there is none."""
    wanted = (language or "").lower()
    found = []
    try:
        for file in video.parent.iterdir():
            label = _label(file, video)
            if label is not None and file.is_file():
                rank = (label != wanted, _short_code(label) != _short_code(wanted), label != "", file.name)
                found.append((rank, file))
    except OSError:
        return None  # a folder whose files may be opened but not listed
    return min(found)[1] if found else None


def _label(file: Path, video: Path) -> str | None:
    """Returns the language in the name of a subtitle file, perhaps empty; ``None`` if it is not one of this video."""
    if file.suffix.lower() not in _SUFFIXES or not file.stem.startswith(video.stem):
        return None
    rest = file.stem[len(video.stem) :].lower()
    return rest[1:] if _LABEL.fullmatch(rest) else None


def _short_code(language: str) -> str:
    code = re.split("[-_]", language.lower())[0]
    return _SHORT_CODES.get(code, code)


def _read_track(video: Path, language: str | None, limits: DecodeLimits) -> tuple[Cue, ...]:
    """Runs in a worker process."""
    if probe_image(video, limits.max_pixels) is not None or is_animated_webp(video):
        return ()
    with open_video(video, limits.max_pixels) as (container, picture):
        tracks = [track for track in container.streams.subtitles if _is_text(track)]
        if not tracks:
            return ()
        wanted = _short_code(language or "")
        track = min(tracks, key=lambda track: bool(wanted) and _short_code(track.language or "") != wanted)
        picture.discard, track.discard = Discard.all, Discard.default
        timeline = survey_file(video, limits.max_pixels).timeline
        return _in_order(_decoded(container, track, float(timeline.pts[0] * timeline.tick_s)))


def _is_text(track: SubtitleStream) -> bool:
    context = track.codec_context  # none where FFmpeg does not know the codec
    return context is not None and context.codec.canonical_name in _TEXT_CODECS


def _decoded(container: InputContainer, track: SubtitleStream, origin_s: float) -> Iterator[Cue]:
    try:
        for packet in container.demux(track):
            if packet.size and packet.pts is not None:
                start_s = float(packet.pts * packet.time_base) - origin_s
                end_s = start_s + float((packet.duration or 0) * packet.time_base)
                yield Cue(max(round(start_s, 3), 0.0), round(end_s, 3), _packet_text(packet))
    except av.error.FFmpegError:
        return  # the file is damaged from here on, which probing it tells; what was said before still holds


def _packet_text(packet: Packet[SubtitleStream]) -> str:
    try:
        rects = packet.decode()
    except av.error.FFmpegError:  # not UTF-8
        return ""
    return " ".join(_ass_text(rect.ass) for rect in rects if isinstance(rect, AssSubtitle))


def _ass_text(event: bytes) -> str:
    """Returns what is seen of an event of FFmpeg's decoders, which all give their text in the format ASS."""
    text = event.decode(errors="replace").split(",", 8)[-1]
    text = _OVERRIDE.sub(lambda part: "" if _DRAWING.search(part[1]) else part[2], text)
    return _plain(_ASS_BREAK.sub(" ", text).replace("\\{", "{"))


def _read_text_file(file: Path) -> tuple[Cue, ...]:
    """Runs in a worker process."""
    text = _text_of(file)
    cues = _in_order(_parsed_ass(text) if file.suffix.lower() in (".ass", ".ssa") else _parsed(text))
    if not cues and text.strip() not in ("", "WEBVTT"):
        raise UnreadableVideoError(
            f"{file}: no subtitle can be read from it; name a .srt, .vtt or .ass file that holds some"
        )
    return cues


def _text_of(file: Path) -> str:
    try:
        if not file.is_file():  # opening a pipe would block for ever
            raise UnreadableVideoError(f"{file}: there is no such subtitle file; check the path")
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableVideoError(
            f"{file}: the subtitle file cannot be opened ({error.strerror}); check its path and mode"
        ) from None
    if len(data) > _MOST_BYTES:
        raise UnreadableVideoError(f"{file}: larger than the {_MOST_BYTES >> 20} MiB that subtitles may have")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        # Not final: a file that was cut amid a character is still UTF-8.
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data)
    except UnicodeDecodeError:
        # WebVTT is UTF-8 by its standard, the other formats are as old as the code pages.
        encoding = "utf-8-sig" if file.suffix.lower() == ".vtt" else "cp1252"
        return data.decode(encoding, errors="replace")


def _parsed_ass(text: str) -> Iterator[Cue]:
    with av.open(io.BytesIO(text.encode()), "r", format="ass") as container:
        yield from _decoded(container, container.streams.subtitles[0], 0.0)


def _parsed(text: str) -> Iterator[Cue]:
    """Yields the cues of a ``.srt`` or ``.vtt``: a line with times and what follows, up to the next cue's label."""
    lines = _ASIDE.sub("", "\n".join(line.strip() for line in text.splitlines())).split("\n")
    heads = [number for number, line in enumerate(lines) if "-->" in line or _TIMES.match(line)]
    for head, end in pairwise([*heads, len(lines)]):
        times = _TIMES.match(lines[head])
        if times:
            body = lines[head + 1 : end] if end == len(lines) else _without_label(lines[head + 1 : end])
            yield Cue(_seconds(*times.groups()[:4]), _seconds(*times.groups()[4:]), _plain(" ".join(body)))


def _without_label(body: list[str]) -> list[str]:
    """Drops the number or name of the next cue from the lines between the times of two cues."""
    filled = [number for number, line in enumerate(body) if line]
    if not filled:
        return body
    last = filled[-1]
    # A text may look like a label in one way ("1984"), and a label may lack one: the blank before it, say.
    signs = (last == len(body) - 1, last > 0 and not body[last - 1], body[last].isdecimal())
    return body[:last] if sum(signs) >= 2 else body


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return (whole * 1000 + int((fraction or "").ljust(3, "0")[:3])) / 1000


def _plain(text: str) -> str:
    """Removes the markup of ``.srt`` and ``.vtt``, of which FFmpeg's decoders leave some too."""
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), _TAG.sub("", text))
    return " ".join(text.split())


def _in_order(cues: Iterable[Cue]) -> tuple[Cue, ...]:
    sound = (cue for cue in cues if cue.text and cue.start_s < cue.end_s)
    return tuple(sorted(sound, key=lambda cue: cue.start_s))
