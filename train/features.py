"""Cached features: what the frozen ViT and the parameter-free merging make of clips, kept on disk.

    videollm train features --config configs/pocket/align.yaml

Stages 1 and 2 never change the ViT, so each clip is rendered, encoded and merged once and read many times. The files
are safetensors, one a shard of clips; a shard appears under its name only when it is complete, so an interrupted run
goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import save_file

from videollm.checkpoints import load_model
from videollm.errors import DataError
from videollm.model.modeling import VideoLLM
from videollm.model.preprocessing import prepare_frames
from videollm.model.segments import MergedSegments
from videollm.model.settings import VideoSettings
from videollm.synthetic.crowds import crowd
from videollm.synthetic.files import degrade
from videollm.synthetic.nameless import unname
from videollm.synthetic.reading import plan_clip
from videollm.synthetic.rendering import render_frames
from videollm.synthetic.sampling import sample_clip, world_fingerprint
from videollm.synthetic.scenes import Clip
from videollm.values import EncodedVideo, FramePlan

from .claims import claim
from .settings import FeatureSettings
from .told import ToldEncoder

SHARD_CLIPS = 64
_RECORD = "features.json"
_MOST_OBJECTS = 3  # of a shot of the world
_LOSING_A_NAME = 0.4  # share of the objects of a clip that gets some without one
# Clips are written beside their features: to draw one anew takes longer than to ask questions about it.
_CLIPS = TypeAdapter(list[Clip])
#: Encoder of features that no encoder made.
TOLD = "told"
#: Kinds of compressor that keep every patch until they know the budget.
UNMERGED = ("none", "pool", "qformer")
_MERGING = ("merge_method", "merged_tokens", "merge_heads", "merge_share")


def write_features(model: VideoLLM, wanted: FeatureSettings, directory: Path, *, workers: int = 1) -> None:
    """Renders, encodes and merges the clips of ``wanted`` into ``directory``; shards that are there are kept.

    Args:
        model: The model whose ViT and merging make the features.
        wanted: Which clips. With several processes each loads the model anew, from ``wanted.model``.
        directory: Where the shards go.
        workers: Processes of each of them that render ahead.

    Raises:
        DataError: ``directory`` holds features of other clips or of another encoder.
    """
    video = dataclasses.asdict(model.config.video)
    record = {
        "clips": wanted.model_dump(mode="json", exclude={"processes"}),
        "encoder": TOLD if wanted.told else encoder_fingerprint(model),
        "merging": merging_settings(model),
        "memory_layers": model.config.compressor.memory_layers,
        "video": video,
        "world": world_fingerprint(),
    }
    claim(directory, _RECORD, record, "features of other clips or another encoder")
    missing = [shard for shard in range(_shards(wanted)) if not _shard_path(directory, shard).exists()]
    if wanted.processes == 1:
        _make_shards(model, wanted, directory, missing, workers)
        return
    threads = max(1, torch.get_num_threads() // wanted.processes)
    with ProcessPoolExecutor(wanted.processes, mp_context=get_context("spawn")) as pool:
        parts = [
            pool.submit(
                _make_shards_alone, wanted, directory, missing[part :: wanted.processes], workers, threads
            )
            for part in range(wanted.processes)
        ]
        for part in parts:
            part.result()


def _make_shards_alone(
    wanted: FeatureSettings, directory: Path, shards: Sequence[int], workers: int, threads: int
) -> None:
    """What one of several processes does."""
    torch.set_num_threads(threads)
    _make_shards(load_model(str(wanted.model), device="cpu"), wanted, directory, shards, workers)


def _make_shards(
    model: VideoLLM, wanted: FeatureSettings, directory: Path, shards: Sequence[int], workers: int
) -> None:
    indices = [range(shard * SHARD_CLIPS, min((shard + 1) * SHARD_CLIPS, wanted.clips)) for shard in shards]
    every = [index for part in indices for index in part]
    # One loader for all shards: in a spawned process each new worker would import torch anew.
    clips = iter(
        torch.utils.data.DataLoader(
            _ToldClips(model, wanted, every) if wanted.told else _RenderedClips(model, wanted, every),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )
    )
    merge = _merge_told if wanted.told else _merge
    for shard, part in zip(shards, indices, strict=True):
        tensors: dict[str, torch.Tensor] = {}
        kept: list[Clip] = []
        for index in part:
            clip, seen, plan = next(clips)
            merged = merge(model, seen, plan)
            tensors |= {f"{index}/{name}": value for name, value in merged.to_tensors(torch.float16).items()}
            kept.append(clip)
        _write_shard(_shard_path(directory, shard), tensors, kept)


class FeatureStore:
    """Reads cached features, one clip at a time, without loading a whole shard.

    Args:
        directory: Where :func:`write_features` wrote them.

    Raises:
        DataError: There are none, or the world has changed since: its seeds stand for other clips.
    """

    def __init__(self, directory: Path) -> None:
        try:
            record = json.loads((directory / _RECORD).read_text("utf-8"))
        except OSError as error:
            raise DataError(
                f"{directory}: no features here; make them with 'videollm train features'"
            ) from error
        if record.get("world") != world_fingerprint():
            raise DataError(
                f"{directory} shows clips of another version of the world; make the features anew"
            )
        self._encoder: str = record["encoder"]
        self._merging: dict[str, Any] = record["merging"]
        self._memory_layers: int = record["memory_layers"]
        self.contents = FeatureSettings(**record["clips"])
        self._video = VideoSettings(**record["video"])
        self._directory = directory
        self._open: dict[int, Any] = {}
        self._clips: dict[int, list[Clip]] = {}
        self._merge: Callable[[MergedSegments], MergedSegments] | None = None

    def __len__(self) -> int:
        return self.contents.clips

    def serve(self, model: VideoLLM) -> None:
        """Prepares what :meth:`load` gives for a model: features of patches are merged as it merges.

        Raises:
            DataError: The features were made by another encoder, or merged in another way.
        """
        if not self.contents.told and self._encoder != encoder_fingerprint(model):
            raise DataError(f"{self._directory} was made by another encoder than the model's")
        if model.config.compressor.memory_layers > self._memory_layers:
            raise DataError(f"{self._directory} has class tokens of only {self._memory_layers} layers")
        wanted = merging_settings(model)
        if self._merging != wanted and self._merging["kind"] not in UNMERGED:
            raise DataError(
                f"{self._directory} was merged with {self._merging}, the model merges with {wanted}; features of "
                "kind none serve every model"
            )
        self._merge = None if self._merging == wanted else model.compressor.merge_patches

    def clip(self, index: int) -> Clip:
        """Returns the clip whose features :meth:`load` gives.

        Raises:
            DataError: The features are of an older form, without their clips.
        """
        shard, place = divmod(index, SHARD_CLIPS)
        if shard not in self._clips:
            texts = self._shard(shard).metadata() or {}
            if "clips" not in texts:
                raise DataError(
                    f"{self._directory} was made before clips were kept beside features; make the features anew"
                )
            self._clips[shard] = _CLIPS.validate_json(texts["clips"])
        return self._clips[shard][place]

    def plan(self, index: int) -> FramePlan:
        """Returns the resolved frame plan of clip ``index``."""
        return plan_clip(self.clip(index), self._video)

    def load(self, index: int) -> MergedSegments:
        """Returns the merged segments of clip ``index``, features in float32."""
        shard = self._shard(index // SHARD_CLIPS)
        names = [field.name for field in dataclasses.fields(MergedSegments)]
        tensors = {name: shard.get_tensor(f"{index}/{name}") for name in names}
        segments = MergedSegments.from_tensors(
            {name: part.float() if part.dtype == torch.float16 else part for name, part in tensors.items()}
        )
        return segments if self._merge is None else self._merge(segments)

    def _shard(self, number: int) -> Any:
        if number not in self._open:
            self._open[number] = safe_open(_shard_path(self._directory, number), framework="pt")
        return self._open[number]


def sample_cached_clip(wanted: FeatureSettings, index: int) -> Clip:
    """Returns clip ``index`` of a feature set; sets of different seeds share no clip."""
    seed = (wanted.seed << 40) + index
    clip = sample_clip(seed, wanted.split, **wanted.world.wishes)
    rng = np.random.default_rng((seed, 2))
    if rng.random() >= wanted.unnamed_share:
        return clip
    clip = unname(clip, rng, _LOSING_A_NAME)
    return crowd(clip, rng, _MOST_OBJECTS, range(len(clip.shots)), unnamed_share=1.0)


def encoder_fingerprint(model: VideoLLM) -> str:
    """Returns a hash of what the features of patches depend on: the ViT's weights, and how clips are read."""
    digest = hashlib.blake2b(digest_size=16)
    for name, weight in sorted(model.vision.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.float().numpy().tobytes())
    settings = model.config.to_dict()
    reading = {key: value for key, value in settings["video"].items() if not key.startswith("trained_")}
    kept = {name: settings[name] for name in ("image", "vision_layer", "stem", "matching", "temporal")}
    digest.update(json.dumps(kept | {"video": reading}, sort_keys=True).encode())
    return digest.hexdigest()


def merging_settings(model: VideoLLM) -> dict[str, Any]:
    """Returns the settings of the compressor that decide what is cached: those of its part without weights."""
    config = model.config.compressor
    kept: dict[str, Any] = {"kind": config.kind, "segments": config.segments}
    if config.merges:
        kept |= {name: getattr(config, name) for name in _MERGING}
    if config.has_codebook:
        kept["codes"] = config.vq.codes
    return kept


class _Clips(torch.utils.data.Dataset[tuple[Clip, torch.Tensor, FramePlan]], ABC):
    """Clips as something to be encoded, with their resolved plans."""

    def __init__(self, model: VideoLLM, wanted: FeatureSettings, indices: Sequence[int]) -> None:
        self._video, self._image = model.config.video, model.config.image
        self._wanted, self._indices = wanted, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> tuple[Clip, torch.Tensor, FramePlan]:
        index = self._indices[position]
        clip = sample_cached_clip(self._wanted, index)
        plan = plan_clip(clip, self._video)
        return clip, self._see(clip, plan, np.random.default_rng((self._wanted.seed, index))), plan

    @abstractmethod
    def _see(self, clip: Clip, plan: FramePlan, rng: np.random.Generator) -> torch.Tensor:
        """What of the clip is to be encoded."""


class _ToldClips(_Clips):
    """Patches that say what they show."""

    def __init__(self, model: VideoLLM, wanted: FeatureSettings, indices: Sequence[int]) -> None:
        super().__init__(model, wanted, indices)
        self._encoder = told_encoder(model)

    def _see(self, clip: Clip, plan: FramePlan, rng: np.random.Generator) -> torch.Tensor:
        return self._encoder.see(clip, plan)


class _RenderedClips(_Clips):
    """Frames of clips, prepared for the ViT."""

    def _see(self, clip: Clip, plan: FramePlan, rng: np.random.Generator) -> torch.Tensor:
        frames_THW3 = render_frames(clip, plan.times_s)
        if rng.random() < self._wanted.degrade_share:
            frames_THW3 = degrade(frames_THW3, rng)
        return prepare_frames(frames_THW3, self._image)


def told_encoder(model: VideoLLM) -> ToldEncoder:
    """Returns what stands for the model's ViT in features that are told."""
    return ToldEncoder(model.vision.width, model.config.image.size, model.vision.grid[0])


def encode_told(model: VideoLLM, encoder: ToldEncoder, clip: Clip) -> EncodedVideo:
    """Encodes a clip as the model would if it saw what ``encoder`` tells."""
    plan = plan_clip(clip, model.config.video)
    return model.encode_merged(_merge_told(model, encoder.see(clip, plan), plan), plan)


def _merge_told(model: VideoLLM, patches_TPC: torch.Tensor, plan: FramePlan) -> MergedSegments:
    """The patches merged; there are no class tokens to remember, so their place stays empty."""
    layers = model.config.compressor.memory_layers
    classes = patches_TPC.new_zeros(layers, len(patches_TPC), patches_TPC.shape[2])
    return model.compressor.merge_only(patches_TPC, classes, plan)


@torch.no_grad()
def _merge(model: VideoLLM, frames_T3HW: torch.Tensor, plan: FramePlan) -> MergedSegments:
    with torch.autocast("cpu", torch.bfloat16):
        seen = model.vision(frames_T3HW)
    return model.compressor.merge_only(seen.patches_TPC.float(), seen.cls_LTC.float(), plan)


def _shards(wanted: FeatureSettings) -> int:
    return -(-wanted.clips // SHARD_CLIPS)


def _shard_path(directory: Path, shard: int) -> Path:
    return directory / f"shard-{shard:05d}.safetensors"


def _write_shard(path: Path, tensors: dict[str, torch.Tensor], clips: list[Clip]) -> None:
    partial = path.with_suffix(f".partial-{os.getpid()}")
    save_file(tensors, partial, metadata={"clips": _CLIPS.dump_json(clips).decode()})
    partial.rename(path)
