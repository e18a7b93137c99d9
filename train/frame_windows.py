"""Short runs of rendered frames with what their patches show: the data of the ViT's pretraining."""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from videollm.model.preprocessing import prepare_frames, shrink_frames
from videollm.model.settings import ImageSettings, VideoSettings
from videollm.synthetic.crowds import crowd
from videollm.synthetic.files import degrade
from videollm.synthetic.language.descriptions import frame_caption
from videollm.synthetic.nameless import named_only
from videollm.synthetic.reading import plan_clip
from videollm.synthetic.rendering import render_frames, shot_index
from videollm.synthetic.sampling import sample_clip, world_fingerprint
from videollm.synthetic.scenes import CAMERAS, Clip
from videollm.synthetic.truth import events

from .caption_words import encode_caption
from .patch_labels import patch_labels
from .patch_motion import patch_motions
from .rounds import Rounds
from .settings import VisionPretraining
from .task import Batch
from .window_store import Window, WindowStore

# Settings that the windows depend on, the shape's aside.
_DECISIVE = (
    "seed", "world", "video", "window_frames", "event_share", "crowded_share", "crowd", "unnamed_share", "moving_share",
    "degrade_share",
)  # fmt: skip


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
        # Only what is learnt has objects without a name: tests ask for what the world has.
        self._unnamed_share = settings.unnamed_share if split == "train" else 0.0
        self._rounds = Rounds(settings.distinct_windows, settings.seed)
        self._kept: WindowStore | None = None
        if settings.windows is not None and split == "train":
            self._kept = WindowStore(settings.windows, self._record())

    def __getitem__(self, index: int) -> list[Batch]:
        count = self._settings.batch_size
        windows = [self._draw(index * count + position) for position in range(count)]
        batch: Batch = {
            "frames": torch.cat([prepare_frames(window.frames_THW3, self._image) for window in windows]),
            "lengths": [len(window.captions) for window in windows],
            "classes": torch.cat([window.classes_TPK.long() for window in windows]),
            "centres": torch.cat([window.centres_TP for window in windows]),
            "motions": torch.cat([window.motions_TPM for window in windows]),
            "captions": [ids for window in windows for ids in window.captions],
        }
        # In one part: the contrastive loss compares all of a batch.
        return [batch | {"supervised": len(batch["classes"])}]

    def _draw(self, sample: int) -> Window:
        """Returns the ``sample``-th window of training: a new one, or all that are kept in turn, shuffled each time."""
        if self._kept is None:
            return self._make(sample)
        return self._kept.load(self._rounds[sample], self._make)

    def _make(self, number: int) -> Window:
        seed = (self._settings.seed << 40) + number
        rng = np.random.default_rng((seed, 1))
        clip = sample_clip(seed, self._split, **self._wishes(rng))
        times = self._times(clip, rng)
        if rng.random() < self._settings.crowded_share:
            shots = {shot_index(clip, time) for time in times}
            clip = crowd(clip, rng, self._settings.crowd, shots, unnamed_share=self._unnamed_share)
        frames_THW3 = render_frames(clip, times)
        if rng.random() < self._settings.degrade_share:
            frames_THW3 = degrade(frames_THW3, rng)
        shape = self._settings.shape
        labels = patch_labels(clip, times, shape.image_size, shape.grid)
        return Window(
            shrink_frames(frames_THW3, self._image.size),
            labels.classes_TPK.to(torch.int8),
            labels.centres_TP,
            patch_motions(clip, times, shape.image_size, shape.grid),
            [encode_caption(frame_caption(named_only(clip), time, placed=True)) for time in times],
        )

    def _record(self) -> dict[str, Any]:
        """What the windows depend on."""
        settings = self._settings.model_dump(mode="json")
        kept = {name: settings[name] for name in _DECISIVE}
        shape = {name: settings["shape"][name] for name in ("image_size", "patch_size")}
        return kept | shape | {"clips": world_fingerprint()}

    def _wishes(self, rng: np.random.Generator) -> dict[str, Any]:
        """What is wished of a clip besides what the settings fix."""
        settings = self._settings
        wishes: dict[str, Any] = {}
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
