"""Opening a file with FFmpeg (through PyAV), its picture track, and the errors that this can end in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from ..errors import UnreadableVideoError

# Formats that hold what they show. Not those that name other files or URLs (playlists, lists of files, session
# descriptions, numbered images, subtitles beside their index), nor those that draw text, nor what nobody has any more.
_FORMATS = (
    # Films, by their containers' usual names, and streams without a container.
    "3gp,asf,av1,avi,avs2,avs3,cavsvideo,dhav,dirac,dnxhd,dv,evc,flic,flv,gxf,h261,h263,h264,hevc,ivf,live_flv,m4v,"
    "matroska,mjpeg,mjpeg_2000,mov,mp4,mpeg,mpegts,mpegvideo,mpjpeg,mxf,nut,nuv,obu,ogg,rm,swf,ty,vc1,vc1test,vvc,"
    "webm,wtv,yuv4mpegpipe,"
    # Animations, and the still images that are not left to Pillow.
    "apng,gif,jpegxl_anim,bmp_pipe,dds_pipe,dpx_pipe,exr_pipe,gif_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,"
    "jpegxl_pipe,jpegxs_pipe,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,pgm_pipe,pgmyuv_pipe,phm_pipe,png_pipe,ppm_pipe,"
    "psd_pipe,qoi_pipe,sgi_pipe,sunrast_pipe,tiff_pipe,webp_pipe,"
    # Sound, to say of such a file that it has no picture.
    "aac,ac3,aiff,amr,ape,caf,eac3,flac,mp3,w64,wav,wv"
)
# FFmpeg counts padding too, and what is a little too large had better be refused by us, who can name its size.
_MARGIN = 2
_FFMPEG_MOST_PIXELS = 2**31 - 1


@contextmanager
def open_video(
    path: Path, max_pixels: int, options: dict[str, str] | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens a file and its picture track, with the packets of all other tracks switched off.

    Args:
        path: The file.
        max_pixels: Pixels of one stored picture that are allowed.
        options: Options of FFmpeg's demuxer.

    Raises:
        UnreadableVideoError: FFmpeg cannot make sense of the file, or it has no picture.
    """
    decoder_options = {"max_pixels": str(min(_MARGIN * max_pixels, _FFMPEG_MOST_PIXELS))}
    try:
        container = av.open(
            # "file:" keeps FFmpeg from reading a protocol into a name, the lists from following a file's references.
            f"file:{path}",
            options={
                "protocol_whitelist": "file",
                "format_whitelist": _FORMATS,
                **decoder_options,
                **(options or {}),
            },
            metadata_errors="replace",  # a title in an old code page is no reason to refuse the film
        )
    except (av.error.FFmpegError, ValueError, UnicodeError) as error:
        raise UnreadableVideoError(
            f"{path}: not a video or image that can be read ({reason_of(error)})"
        ) from None
    with container:
        track = _picture_track(container, path)
        track.codec_context.options = decoder_options
        yield container, track


def reason_of(error: BaseException) -> str:
    """Returns FFmpeg's own short words for an error, without the numbers and file names around it."""
    return str(getattr(error, "strerror", None) or error)


def _picture_track(container: InputContainer, path: Path) -> VideoStream:
    # The cover of a song is a video track of one picture: to a person that file has no picture.
    tracks = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if not tracks:
        if container.streams.audio:
            raise UnreadableVideoError(
                f"{path}: the file has sound but no picture; choose a video or an image"
            )
        raise UnreadableVideoError(f"{path}: the file has no picture track; choose a video or an image")
    track = container.streams.best("video")
    if track not in tracks:
        track = tracks[0]
    if track.codec_context is None:
        raise UnreadableVideoError(
            f"{path}: its video codec is unknown to FFmpeg; re-encode it, to H.264 for example"
        )
    for other in container.streams:
        if other is not track:
            other.discard = Discard.all
    return track
