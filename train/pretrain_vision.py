"""Pretraining of the CLIP-ViT on single rendered frames: caption loss, CLIP's contrastive loss and patch labels.

    videollm train pretrain --config configs/pocket/vision.yaml --out runs/pocket/vision

A caption loss gets a small ViT off the ground several times faster than a contrastive loss alone, because every word
about every object is a target of its own. The captions name each object's place in a 3 x 3 grid, which the clips'
captions do not, so that positions survive into the features.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset
from transformers import CLIPVisionConfig, CLIPVisionModel

from videollm.model.encoder import FrameEncoder
from videollm.model.fourier import fourier_features
from videollm.model.preprocessing import prepare_frames
from videollm.model.settings import ImageSettings
from videollm.synthetic.files import degrade
from videollm.synthetic.language.descriptions import frame_caption
from videollm.synthetic.rendering import render_frames
from videollm.synthetic.sampling import sample_clip

from .caption_head import CaptionHead, ContrastiveHead
from .caption_words import END, START, VOCABULARY_SIZE, decode_caption, encode_caption
from .config import VisionPretraining, VisionShape
from .patch_labels import PatchHead, patch_labels
from .task import Batch, Loss

_CONTEXT = 96
# Sines of positions: periods from a few patches to several times the picture; as strong as what patches show at first.
_SHORTEST_PERIOD = 3.0
_LONGEST_SIDES = 4.0
_POSITION_SCALE = 0.5


def vision_config(shape: VisionShape) -> CLIPVisionConfig:
    """Returns transformers' configuration of a CLIP-ViT of this shape."""
    return CLIPVisionConfig(
        image_size=shape.image_size,
        patch_size=shape.patch_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate_size,
        hidden_act="gelu",
    )


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


class FrameCaptions(Dataset[list[Batch]]):
    """Micro batches of rendered frames and their captions; item ``i`` depends on the settings and ``i`` alone."""

    def __init__(self, settings: VisionPretraining, split: str) -> None:
        self._settings, self._split = settings, split
        self._image = ImageSettings(size=settings.shape.image_size)

    def __getitem__(self, index: int) -> list[Batch]:
        clips = self._settings.batch_size // self._settings.frames_per_clip
        frames, captions, labels = [], [], []
        for position in range(clips):
            seed = (self._settings.seed << 40) + index * clips + position
            for frame, caption, label in self._frames_of_clip(seed):
                frames.append(frame)
                captions.append(caption)
                labels.append(label)
        ids = [encode_caption(caption) for caption in captions]
        batch = {
            "frames": torch.stack(frames),
            "patch_labels": torch.stack(labels),
            "ids": ids,
            "supervised": sum(len(row) + 1 for row in ids),
        }
        return [batch]  # in one part: the contrastive loss compares all of a batch

    def _frames_of_clip(self, seed: int) -> list[tuple[torch.Tensor, str, torch.Tensor]]:
        rng = np.random.default_rng((seed, 1))
        clip = sample_clip(seed, self._split, **self._settings.world.wishes)
        times = sorted(rng.uniform(0, clip.duration_s, self._settings.frames_per_clip))
        frames_THW3 = render_frames(clip, times)
        if rng.random() < self._settings.degrade_share:
            frames_THW3 = degrade(frames_THW3, rng)
        prepared = prepare_frames(frames_THW3, self._image)
        shape = self._settings.shape
        grid = shape.image_size // shape.patch_size
        return [
            (frame, frame_caption(clip, time, placed=True), patch_labels(clip, time, shape.image_size, grid))
            for frame, time in zip(prepared, times, strict=True)
        ]


class FrameReader(nn.Module):
    """The ViT with the heads that teach it."""

    def __init__(self, settings: VisionPretraining) -> None:
        super().__init__()
        shape = settings.shape
        self.vision = FrameEncoder(
            vision_config(shape), select_layer=-1, cls_layers=1, chunk_frames=settings.batch_size
        )
        place_positions(self.vision.tower)
        # On a CPU, sequences this short are trained twice as fast by plain matrix products as by fused attention.
        self.vision.tower.set_attn_implementation("eager")
        self.caption = CaptionHead(
            VOCABULARY_SIZE, shape.hidden_size, shape.heads, settings.caption_layers, _CONTEXT
        )
        self.contrast = ContrastiveHead(VOCABULARY_SIZE, shape.hidden_size)
        self.patches = PatchHead(shape.hidden_size)

    def forward(
        self,
        frames_B3HW: torch.Tensor,
        ids_BL: torch.Tensor,
        captions: list[torch.Tensor],
        labels_BP3: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns the caption logits (B, L, V), the contrastive loss and the patch loss."""
        patches_BPD, cls_BD = self.see(frames_B3HW)
        return (
            self.caption(ids_BL, patches_BPD),
            self.contrast(cls_BD, captions),
            self.patches(patches_BPD, labels_BP3),
        )

    def see(self, frames_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns patches (B, P, D) and CLS features (B, D)."""
        seen = self.vision(frames_B3HW)
        return seen.patches_TPC, seen.cls_LTC[-1]


class VisionTask:
    """The stage, as the loop wants it."""

    def __init__(self, settings: VisionPretraining) -> None:
        self._settings = settings
        torch.manual_seed(settings.seed)
        self.model = FrameReader(settings)
        if settings.compile:
            self.model.vision.tower.compile()
        self.dataset = FrameCaptions(settings, "train")

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Returns caption, contrastive and patch loss, weighted as the settings say."""
        inputs_BL, labels_BL = self._teacher_forcing(batch["ids"], batch["frames"].device)
        captions = [torch.tensor(row, device=inputs_BL.device) for row in batch["ids"]]
        logits_BLV, contrast, patches = model(batch["frames"], inputs_BL, captions, batch["patch_labels"])
        caption = F.cross_entropy(logits_BLV.flatten(0, 1).float(), labels_BL.flatten(), reduction="sum")
        count, settings = batch["supervised"], self._settings
        total = caption + (settings.contrastive_weight * contrast + settings.patch_weight * patches) * count
        parts = {"caption": caption / count, "contrast": contrast, "patches": patches}
        return Loss(total, {name: float(value.detach()) for name, value in parts.items()})

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Share of held-out frames whose greedy caption is exact, and of their captions' parts that are found."""
        frames = FrameCaptions(self._settings, "test")
        right = parts_right = parts = seen = 0
        index = 0
        while seen < self._settings.evaluation_frames:
            (batch,) = frames[index]
            index += 1
            patches, _ = self.model.see(batch["frames"].to(next(self.model.parameters()).device))
            written = self.model.caption.greedy(patches, START, END, _CONTEXT - 1)
            for ids, truth in zip(written, batch["ids"], strict=True):
                right += ids == truth
                wanted, got = _parts(truth), _parts(ids)
                parts += len(wanted)
                parts_right += len(wanted & got)
                seen += 1
        return {"captions_exact": right / seen, "parts_found": parts_right / parts}

    def export(self, directory: Path) -> None:
        """Writes the ViT in transformers' layout, without the heads."""
        self.model.vision.tower.save_pretrained(directory)

    def _teacher_forcing(
        self, ids: list[list[int]], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs start with BOS, labels end with EOS; padding is -100 in the labels."""
        length = max(map(len, ids)) + 1
        inputs = torch.full((len(ids), length), END)
        labels = torch.full((len(ids), length), -100)
        for row, tokens in enumerate(ids):
            inputs[row, : len(tokens) + 1] = torch.tensor([START, *tokens])
            labels[row, : len(tokens) + 1] = torch.tensor([*tokens, END])
        return inputs.to(device), labels.to(device)


def _parts(ids: list[int]) -> set[str]:
    """The clauses of a caption: its objects and its setting."""
    return {part.strip(" .") for part in decode_caption(ids).replace(" and a", " , a").split(" , ")}
