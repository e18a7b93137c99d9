"""The example clips of the page: scenes of the pocket world that training never saw, rendered on this machine once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from videollm.clock import format_time
from videollm.synthetic.files import write_clip
from videollm.synthetic.rendering import render_frame
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip

# Seeds of the test split, picked for variety.
EXAMPLE_SEEDS = (61, 56, 13, 3)
_POSTER_HEIGHT = 180


@dataclass(frozen=True, slots=True)
class ExampleClip:
    """A clip that loads on a click.

    Attributes:
        path: The video file.
        poster: A still of it.
        title: What to call it, without giving its content away.
    """

    path: Path
    poster: Path
    title: str


def prepare_examples(
    directory: Path | None = None, seeds: Sequence[int] = EXAMPLE_SEEDS
) -> tuple[ExampleClip, ...]:
    """Returns the example clips, rendering those that are not there yet.

    Args:
        directory: Where they are kept; by default the user's cache directory.
        seeds: Seeds of the test split.
    """
    directory = directory or data_directory() / "examples"
    directory.mkdir(parents=True, exist_ok=True)
    return tuple(_prepare(directory, seed) for seed in seeds)


def data_directory() -> Path:
    """Returns the directory of what this program can make again: ``$VIDEOLLM_CACHE``, or the user's cache directory."""
    if own := os.environ.get("VIDEOLLM_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "videollm"


def _prepare(directory: Path, seed: int) -> ExampleClip:
    clip = sample_clip(seed, "test")
    example = ExampleClip(
        directory / f"scene-{seed}.mp4", directory / f"scene-{seed}.png", format_time(clip.duration_s)
    )
    if not example.path.exists():
        _render(clip, example)
    return example


def _render(clip: Clip, example: ExampleClip) -> None:
    """Writes the poster, then the clip; each under another name first, so that a half-written file is never found."""
    width = round(_POSTER_HEIGHT * clip.width / clip.height)
    still = render_frame(clip, clip.shots[0].end_s / 2, height=_POSTER_HEIGHT, width=width)
    poster = example.poster.with_suffix(".part.png")
    Image.fromarray(still).save(poster)
    poster.replace(example.poster)
    video = example.path.with_suffix(".part.mp4")
    write_clip(clip, video)
    video.replace(example.path)
