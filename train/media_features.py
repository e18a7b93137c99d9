"""Cached features of people's media: what the frozen ViT and the parameter-free merging make of a file, kept on disk.

One safetensors file for each medium, under its content and window, with its resolved frame plan; so files may be moved,
renamed and added, and each is decoded and encoded once for all runs that share the directory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from videollm.data.records import MediaFile
from videollm.errors import ConfigError, UnreadableVideoError
from videollm.media import Frames, ReadOptions, content_hash, processor_of, read_frames
from videollm.model.modeling import VideoLLM
from videollm.model.segments import MergedSegments
from videollm.values import FramePlan

from .claims import claim
from .features import encoder_fingerprint, merging_settings

_RECORD = "media.json"
_PLAN = "plan"
# Frames wait in memory for the encoder: as few as keep it busy.
_AHEAD = 2


class MediaFeatures:
    """Features of media files on disk.

    Args:
        directory: Where they are kept.
        model: The model whose ViT and merging make them.

    Raises:
        DataError: ``directory`` holds features of another encoder, or merged in another way.
    """

    def __init__(self, directory: Path, model: VideoLLM) -> None:
        self._directory, self._model = directory, model
        record = {
            "encoder": encoder_fingerprint(model),
            "merging": merging_settings(model),
            "memory_layers": model.config.compressor.memory_layers,
            "video": dataclasses.asdict(model.config.video),
        }
        claim(directory, _RECORD, record, "features of another encoder, or merged in another way")
        self._paths: dict[MediaFile, Path] = {}
        self._plans: dict[MediaFile, FramePlan] = {}

    def make(
        self, media: Iterable[MediaFile], progress: Callable[[int, int], None] = lambda done, of: None
    ) -> dict[MediaFile, str]:
        """Makes what is missing.

        Args:
            media: Files and their windows.
            progress: Called with how many are there, and of how many.

        Returns:
            Why those that cannot be read cannot; all others can be loaded.
        """
        wanted = list(dict.fromkeys(media))
        reasons: dict[MediaFile, str] = {}
        # Reading happens in worker processes; the threads only wait for them.
        with _eyes_at_work(self._model), ThreadPoolExecutor(_AHEAD) as pool:
            waiting = deque(pool.submit(self._read, medium) for medium in wanted[:_AHEAD])
            for done, medium in enumerate(wanted, start=1):
                frames = waiting.popleft().result()
                waiting.extend(pool.submit(self._read, after) for after in wanted[done + _AHEAD - 1 :][:1])
                if isinstance(frames, str):
                    reasons[medium] = frames
                elif frames is not None:
                    self._encode(medium, frames)
                progress(done, len(wanted))
        return reasons

    def plan(self, medium: MediaFile) -> FramePlan:
        """Returns the resolved plan of a medium whose features are there."""
        if medium not in self._plans:
            with safe_open(self._path(medium), framework="pt") as file:
                self._plans[medium] = FramePlan.from_json(file.metadata()[_PLAN])
        return self._plans[medium]

    def load(self, medium: MediaFile) -> tuple[MergedSegments, FramePlan]:
        """Returns the merged segments of a medium, features in float32, and its resolved plan."""
        with safe_open(self._path(medium), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        full = {name: part.float() if part.dtype == torch.float16 else part for name, part in tensors.items()}
        return MergedSegments.from_tensors(full), self.plan(medium)

    def _path(self, medium: MediaFile) -> Path:
        if medium not in self._paths:
            told = f"{content_hash(medium.path)} {medium.start_s} {medium.end_s}"
            name = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
            self._paths[medium] = self._directory / name[:2] / f"{name}.safetensors"
        return self._paths[medium]

    def _read(self, medium: MediaFile) -> Frames | str | None:
        """The frames of a medium whose features are missing, or why there are none."""
        try:
            if self._path(medium).exists():
                return None
            options = ReadOptions(medium.start_s, medium.end_s)
            video, image = self._model.config.video, self._model.config.image
            return read_frames(medium.path, video, image, options)
        except (UnreadableVideoError, ConfigError) as error:
            return str(error)

    def _encode(self, medium: MediaFile, frames: Frames) -> None:
        prepared = processor_of(self._model).prepare(frames.frames_THW3, frames.plan)
        merged = self._model.merge_video(prepared, frames.plan)
        path = self._path(medium)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".partial-{os.getpid()}")
        save_file(merged.to_tensors(torch.float16), partial, metadata={_PLAN: frames.plan.to_json()})
        partial.rename(path)


@contextmanager
def _eyes_at_work(model: VideoLLM) -> Iterator[None]:
    """Has the visual parts on the process's GPU for a while, if it has one.

    Afterwards they are back: workers of the loader arrange tokens on the CPU, and the loop places the whole model.
    """
    parts: tuple[nn.Module, ...] = (model.vision, model.compressor)
    place, back = PartialState(cpu=not torch.cuda.is_available()).device, model.device
    try:
        for part in parts:
            part.to(place)
        yield
    finally:
        for part in parts:
            part.to(back)
