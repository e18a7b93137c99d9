"""Pretraining of the CLIP-ViT on short runs of rendered frames: what each patch shows, and CLIP's contrastive loss.

    videollm train pretrain --config configs/pocket/vision.yaml --out runs/pocket/vision

The loss on every patch (its object, what that does, camera, light and tone around it, how it all moves) is what gets a
small ViT off the ground; the contrastive loss between a frame's class token and its caption, which alone teaches it far
too slowly, keeps a summary of the frame there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from videollm.errors import ConfigError
from videollm.model.encoder import FrameEncoder
from videollm.model.fourier import fourier_features
from videollm.model.settings import (
    MatchingSettings,
    StemSettings,
    TemporalSettings,
    VideoSettings,
    read_optional_settings,
    read_settings,
)
from videollm.synthetic.sampling import world_fingerprint

from .caption_words import VOCABULARY_SIZE
from .contrastive_head import ContrastiveHead
from .encoder_files import load_encoder, save_encoder
from .frame_windows import FrameWindows
from .patch_head import PatchHead, count_right, patch_losses
from .patch_motion import motion_loss
from .settings import VisionPretraining, VisionShape
from .task import Batch, Loss, Sample

# Sines of positions: periods from a few patches to several times the picture; as strong as what patches show at first.
_SHORTEST_PERIOD = 3.0
_LONGEST_SIDES = 4.0
_POSITION_SCALE = 0.5


def vision_config(shape: VisionShape) -> CLIPVisionConfig:
    """Returns transformers' configuration of a CLIP-ViT of this shape, which follows the stem if there is one."""
    stem = stem_settings(shape)
    return CLIPVisionConfig(
        image_size=shape.grid if stem else shape.image_size,
        patch_size=1 if stem else shape.patch_size,
        num_channels=stem.channels[-1] if stem else 3,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate_size,
        hidden_act="gelu",
    )


def stem_settings(shape: VisionShape) -> StemSettings | None:
    """Returns the settings of the stem.

    Raises:
        ConfigError: Its strides do not make a patch.
    """
    stem = read_optional_settings(StemSettings, "stem", shape.stem)
    if stem is not None and stem.stride != shape.patch_size:
        raise ConfigError(
            f"the strides of the stem make patches of {stem.stride} pixels, patch_size is {shape.patch_size}"
        )
    return stem


@torch.no_grad()
def place_positions(tower: CLIPVisionModel) -> None:
    """Starts the position embeddings of the patches as sines and cosines of row and column, instead of as noise.

    CLIP starts them as noise, much weaker than what patches show; a small ViT then learns colours for thousands of
    steps before left and right. Fixed 2-D sines and cosines are from MoCo v3 (arXiv 2104.02057) and MAE (arXiv
    2111.06377, appendix A.1); here they are where learning starts. The CLS token's stays as it is.
    """
    table_ND: torch.Tensor = tower.embeddings.position_embedding.weight
    patches, width = table_ND.shape[0] - 1, table_ND.shape[1]
    side = math.isqrt(patches)
    steps = torch.arange(side)
    along_SE = fourier_features(steps, width // 4, _SHORTEST_PERIOD, _LONGEST_SIDES * side)
    rows_PE, columns_PE = along_SE.repeat_interleave(side, 0), along_SE.repeat(side, 1)
    table_ND[1:, : 4 * (width // 4)] = _POSITION_SCALE * torch.cat([rows_PE, columns_PE], dim=-1)


class FrameReader(nn.Module):
    """The ViT with the heads that teach it."""

    def __init__(self, settings: VisionPretraining) -> None:
        super().__init__()
        shape = settings.shape
        self.vision = FrameEncoder(
            vision_config(shape),
            select_layer=-1,
            cls_layers=1,
            chunk_frames=settings.batch_size * settings.window_frames,
            stem=stem_settings(shape),
            matching=read_optional_settings(MatchingSettings, "matching", shape.matching),
            temporal=read_optional_settings(TemporalSettings, "temporal", shape.temporal),
        )
        if settings.start is None:
            place_positions(self.vision.tower)
        else:
            load_encoder(self.vision, settings.start)
        # On a CPU, sequences this short are trained twice as fast by plain matrix products as by fused attention.
        self.vision.tower.set_attn_implementation("eager")
        self.contrast = ContrastiveHead(VOCABULARY_SIZE, shape.hidden_size)
        self.patches = PatchHead(shape.hidden_size)

    def forward(
        self, frames_N3HW: torch.Tensor, lengths: list[int], captions: list[torch.Tensor]
    ) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Returns the patches' logits by trait, (N, P, classes) each, their motions, and the contrastive loss.

        Args:
            frames_N3HW: Frames of several windows, one after another.
            lengths: Frames of each window.
            captions: Ids of each frame's caption.
        """
        seen = self.vision(frames_N3HW, _runs(lengths))
        logits, motions_NPM = self.patches(seen.patches_TPC)
        return logits, motions_NPM, self.contrast(seen.cls_LTC[-1], captions)


def _runs(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """First frame of each window and the one past its last, of windows that stand one after another."""
    return list(pairwise(accumulate(lengths, initial=0)))


class VisionTask:
    """The stage, as the loop wants it."""

    def __init__(self, settings: VisionPretraining) -> None:
        self._settings = settings
        torch.manual_seed(settings.seed)
        self.model = FrameReader(settings)
        if settings.compile:
            self.model.vision.tower.compile()
        self._video = read_settings(VideoSettings, "video", settings.video)
        self.dataset = FrameWindows(settings, self._video, "train")

    def loss(self, batch: Batch) -> Loss:
        """Returns the losses of patches and the contrastive one, weighted as the settings say."""
        settings = self._settings
        captions = [torch.tensor(ids, device=batch["frames"].device) for ids in batch["captions"]]
        logits, motions, contrast = self.model(batch["frames"], batch["lengths"], captions)
        objects, scene = patch_losses(logits, batch["classes"])
        moving = motion_loss(motions, batch["motions"])
        total = objects + settings.scene_weight * scene + settings.motion_weight * moving
        total = total + settings.contrastive_weight * contrast
        parts = {"objects": objects, "scene": scene, "motion": moving, "contrast": contrast}
        return Loss(
            total * batch["supervised"], {name: float(value.detach()) for name, value in parts.items()}
        )

    def blocks(self) -> Sequence[nn.Module]:
        """The ViT."""
        return [self.model.vision]

    def finish(self) -> None:
        """Nothing: what was learnt is what is exported."""

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Share of what held-out frames show that is told right, by trait, see :func:`.patch_head.count_right`."""
        windows = FrameWindows(self._settings, self._video, "test")
        device = next(self.model.parameters()).device
        right: Counter[str] = Counter()
        asked: Counter[str] = Counter()
        index = seen = 0
        while seen < self._settings.evaluation_frames:
            (batch,) = windows[index]
            index, seen = index + 1, seen + batch["supervised"]
            patches = self.model.vision(batch["frames"].to(device), _runs(batch["lengths"])).patches_TPC
            logits = [part.cpu() for part in self.model.patches(patches)[0]]
            for name, (found, count) in count_right(logits, batch["classes"], batch["centres"]).items():
                right[name] += found
                asked[name] += count
        return {name: right[name] / count for name, count in asked.items() if count}

    def samples(self) -> list[Sample]:
        """Nothing: it cannot speak."""
        return []

    def facts(self) -> list[dict[str, Any]]:
        """The world its windows are drawn from; the settings say the rest."""
        return [{"world": world_fingerprint()}]

    def export(self, directory: Path) -> None:
        """Writes the frame encoder, without the heads."""
        save_encoder(self.model.vision, directory)
