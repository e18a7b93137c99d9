"""Stages 1 and 2: the whole model learns from conversations about clips whose frozen features are cached.

    videollm train align    --config configs/pocket/align.yaml    --out runs/pocket/align
    videollm train instruct --config configs/pocket/instruct.yaml --out runs/pocket/instruct

Stage 1 (captions) trains compressor and projector while the language model is frozen. Stage 2 (questions, descriptions,
dialogues) trains the same and LoRA on the language model. Both run on one task; they differ in what is asked and in
what is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from videollm.checkpoints import load_model
from videollm.checkpoints.four_bit import keep_unpacked
from videollm.media import processor_of
from videollm.model.modeling import VideoLLM, decoder_layers

from .adapters import add_trained, keep_share, save_adapter
from .answers import answer_loss
from .contrast import caption_contrast
from .material import ClipMaterial, Material, RecordMaterial
from .optimization import set_trainable
from .projector_fit import fit_projector
from .task import Batch, Loss, Sample
from .tuning_settings import Alignment, Instruction


class TuningTask:
    """The stage, as the loop wants it."""

    def __init__(self, settings: Alignment | Instruction) -> None:
        self._settings = settings
        torch.manual_seed(settings.seed)
        self.model = _load(settings)
        self._processor = processor_of(self.model)
        self._material = self._find_material()
        self.dataset = self._material.dataset
        adapter, trained = add_trained(self.model, settings)
        self._peft = adapter
        set_trainable(self.model, trained)
        # What is trained is kept in full precision, whatever the frozen rest is in: small steps would be rounded away.
        for weight in self.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
        if settings.compile:
            # Short rows are trained faster by plain matrix products than by fused attention on a CPU.
            self.model.language_model.set_attn_implementation("eager")
            self.model.language_model.model.compile(dynamic=True)
        if settings.gradient_checkpointing:
            _keep_little(self.model.language_model)

    def _find_material(self) -> Material:
        settings = self._settings
        if settings.data:
            return RecordMaterial(settings, self.model)
        clips = ClipMaterial(settings, self.model)
        if isinstance(settings, Alignment) and settings.fit_clips:
            fit_projector(self.model, clips.store, settings.fit_clips)
        return clips

    def loss(self, batch: Batch) -> Loss:
        """Returns the summed loss of the answers' tokens, and the contrastive one where it is wanted."""
        rows = _project(self.model, batch, batch["input_ids"].device)
        total = answer_loss(self.model, batch, self.model.dtype, torch.cat(rows) if rows else None)
        if not rows:
            # Texts alone do not need what looks at videos, but other processes wait for its gradients.
            total = total + 0 * self._bridge_sum()
        if not batch["captions"]:
            return Loss(total)
        assert isinstance(self._settings, Alignment)
        words: Any = self.model.get_input_embeddings()
        contrast = caption_contrast(rows, batch["captions"], words)
        parts = {
            "captions": float(total.detach()) / batch["supervised"],
            "contrast": float(contrast.detach()),
        }
        return Loss(total + self._settings.contrastive_weight * contrast * batch["supervised"], parts)

    def _bridge_sum(self) -> torch.Tensor | float:
        """A number with gradients to everything that is trained outside the language model."""
        weights = [
            weight.sum()
            for name, weight in self.model.named_parameters()
            if weight.requires_grad and not name.startswith("language_model.")
        ]
        return torch.stack(weights).sum() if weights else 0.0

    def blocks(self) -> Sequence[nn.Module]:
        """The language model's layers."""
        return list(decoder_layers(self.model))

    def evaluate(self) -> dict[str, float]:
        """Accuracy on records held out, or, of a run on clips, mean accuracy over the kinds of the pocket world."""
        return self._material.evaluate()

    def samples(self) -> list[Sample]:
        """What the model answers to a few questions of the same test."""
        return self._material.samples()

    def finish(self) -> None:
        """Keeps as much of the adapter's change as the settings say."""
        if isinstance(self._settings, Instruction) and self._settings.lora is not None:
            keep_share(self.model, self._settings.lora.kept)

    def facts(self) -> list[dict[str, Any]]:
        """What the stage learns from."""
        return self._material.facts()

    def export(self, directory: Path) -> None:
        """Writes a whole checkpoint with the adapter folded into the language model, or the adapter alone."""
        if isinstance(self._settings, Instruction) and not self._settings.fold:
            assert self._peft is not None
            save_adapter(self._peft, directory)
            return
        if self._peft is not None:
            self.model = self._peft.merge_and_unload()
        self.model.save_pretrained(directory)
        self._processor.save_pretrained(directory)


def _project(videollm: VideoLLM, batch: Batch, device: torch.device) -> list[torch.Tensor]:
    """Visual tokens of each of a batch's videos; none for a batch of texts alone."""
    if not batch["videos"]:
        return []
    videos = [video.to(device) for video in batch["videos"]]
    extents = [extents.to(device) for extents in batch["extents"]]
    return videollm.project_segments(videos, batch["plans"], extents)


def _keep_little(language_model: Any) -> None:
    """Has the language model keep only what enters each layer for the way back."""
    # transformers renames it: the old name warns in new versions, the new one is unknown to older ones.
    enable = getattr(language_model, "activation_checkpointing_enable", None)
    enable = enable or language_model.gradient_checkpointing_enable
    # Not the reentrant kind: what enters the first layer need not have a gradient.
    enable({"use_reentrant": False})


def _load(settings: Alignment | Instruction) -> VideoLLM:
    bits = settings.quantize if isinstance(settings, Instruction) else None
    model = load_model(
        str(settings.model),
        device="cpu",
        dtype="bfloat16" if settings.frozen == "bf16" else "float32",
        load_in_4bit=bits == "4bit",
        load_in_8bit=bits == "8bit",
    )
    keep_unpacked(model, all_layers=True)
    return model
