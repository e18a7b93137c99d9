"""Short runs of rendered frames with what their patches show: the data of the ViT's pretraining."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from videollm.model.preprocessing import prepare_frames
from videollm.model.settings import ImageSettings, VideoSettings
from videollm.synthetic.files import degrade
from videollm.synthetic.language.descriptions import frame_caption
from videollm.synthetic.reading import plan_clip
from videollm.synthetic.rendering import render_frames
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import CAMERAS, Clip
from videollm.synthetic.truth import events

from .caption_words import encode_caption
from .config import VisionPretraining
from .patch_labels import Labels, patch_labels
from .patch_motion import patch_motions
from .task import Batch


@dataclass(frozen=True, slots=True)
class _Window:
    """A run of frames of one clip, what their patches show, and the ids of their captions."""

    frames_T3HW: torch.Tensor
    labels: Labels
    motions_TPM: torch.Tensor
    captions: list[list[int]]


class FrameWindows(Dataset[list[Batch]]):
    """Micro batches of windows of planned frames; item ``i`` depends on the settings and ``i`` alone.

    Args:
        settings: The stage's settings.
        video: How clips are read, and so how far frames are apart.
        split: Split of the clips.
    """

    def __init__(self, settings: VisionPretraining, video: VideoSettings, split: str) -> None:
        self._settings, self._video, self._split = settings, video, split
        self._image = ImageSettings(size=settings.shape.image_size)
        self._clips: dict[int, Clip] = {}  # those of the last batch

    def __getitem__(self, index: int) -> list[Batch]:
        count = self._settings.batch_size
        drawn, window = divmod(index, self._settings.windows_per_clip)
        first = (self._settings.seed << 40) + drawn * count
        windows = [self._window(first + number, window) for number in range(count)]
        batch: Batch = {
            "frames": torch.cat([window.frames_T3HW for window in windows]),
            "lengths": [len(window.captions) for window in windows],
            "classes": torch.cat([window.labels.classes_TPK for window in windows]),
            "centres": torch.cat([window.labels.centres_TP for window in windows]),
            "motions": torch.cat([window.motions_TPM for window in windows]),
            "captions": [ids for window in windows for ids in window.captions],
        }
        # In one part: the contrastive loss compares all of a batch.
        return [batch | {"supervised": len(batch["classes"])}]

    def _window(self, seed: int, number: int) -> _Window:
        """Returns a window of the clip of a seed; the same clip is asked for again in the next batch."""
        clip = self._clip(seed)
        rng = np.random.default_rng((seed, 1, number))
        times = self._times(clip, rng)
        frames_THW3 = render_frames(clip, times)
        if rng.random() < self._settings.degrade_share:
            frames_THW3 = degrade(frames_THW3, rng)
        shape = self._settings.shape
        labels = patch_labels(clip, times, shape.image_size, shape.grid)
        motions = patch_motions(clip, times, shape.image_size, shape.grid)
        captions = [encode_caption(frame_caption(clip, time, placed=True)) for time in times]
        return _Window(prepare_frames(frames_THW3, self._image), labels, motions, captions)

    def _clip(self, seed: int) -> Clip:
        if seed not in self._clips:
            if len(self._clips) >= self._settings.batch_size:
                self._clips.clear()
            wishes = self._wishes(np.random.default_rng((seed, 1)))
            self._clips[seed] = sample_clip(seed, self._split, **wishes)
        return self._clips[seed]

    def _wishes(self, rng: np.random.Generator) -> dict[str, Any]:
        """What is wished of a clip besides what the settings fix."""
        settings = self._settings
        wishes: dict[str, Any] = {}
        if rng.random() < settings.crowded_share:
            wishes["objects"] = settings.crowd
        if rng.random() < settings.moving_share:
            wishes["camera"] = str(rng.choice(CAMERAS[1:]))
        return wishes | settings.world.wishes

    def _times(self, clip: Clip, rng: np.random.Generator) -> list[float]:
        """Times of neighbouring planned frames; all of them where the clip has fewer than a window."""
        times = plan_clip(clip, self._video).times_s
        count = min(self._settings.window_frames, len(times))
        latest = len(times) - count
        first = int(rng.integers(latest + 1))
        found = events(clip)
        if found and rng.random() < self._settings.event_share:
            event = found[int(rng.integers(len(found)))]
            within = bisect.bisect_left(times, rng.uniform(event.start_s, event.end_s))
            first = min(max(within - int(rng.integers(count)), 0), latest)
        return list(times[first : first + count])
