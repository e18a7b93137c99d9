"""Stages 1 and 2: the whole model learns from conversations about clips whose frozen features are cached.

    videollm train align    --config configs/pocket/align.yaml    --out runs/pocket/align
    videollm train instruct --config configs/pocket/instruct.yaml --out runs/pocket/instruct

Stage 1 (captions) trains compressor and projector while the language model is frozen. Stage 2 (questions, descriptions,
dialogues) trains the same and LoRA on the language model. Both run on one task; they differ in what is asked and in
what is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import PartialState
from peft import PeftModel
from torch import nn
from torch.utils.data import Dataset

from videollm.checkpoints import load_model
from videollm.data.reader import Reader
from videollm.evaluation.records import evaluate_records
from videollm.evaluation.world import evaluate_world
from videollm.media import processor_of
from videollm.model.modeling import VideoLLM

from .adapters import adapter_names, add_adapter, save_adapter
from .clip_conversations import ClipConversations
from .config import Alignment, DataSource, Instruction
from .contrast import caption_contrast
from .features import FeatureStore, encode_told, told_encoder
from .loop import unwrap
from .media_features import MediaFeatures
from .optimization import set_trainable
from .packing import packed_mask
from .projector_fit import fit_projector
from .record_conversations import RecordConversations
from .record_sources import load_sources
from .task import Batch, Loss
from .told import ToldEncoder


class TuningTask:
    """The stage, as the loop wants it."""

    def __init__(self, settings: Alignment | Instruction) -> None:
        self._settings = settings
        torch.manual_seed(settings.seed)
        self.model = _load(settings)
        self._processor = processor_of(self.model)
        self._told: ToldEncoder | None = None
        records = settings.data if isinstance(settings, Instruction) else ()
        self.dataset = self._of_records(records) if records else self._of_clips()
        self._peft: PeftModel | None = None
        trained = settings.trained or _bridge(self.model)
        if isinstance(settings, Instruction) and settings.lora is not None:
            # What an adapter keeps has to be a copy in it; what is folded in is trained where it stands.
            saved = [] if settings.fold else [part.removesuffix(".") for part in trained]
            self._peft = add_adapter(self.model, settings.lora, base=str(settings.model), saved=saved)
            trained = (*(trained if settings.fold else ()), *adapter_names(self.model))
        set_trainable(self.model, trained)
        if settings.compile:
            # Short rows are trained faster by plain matrix products than by fused attention on a CPU.
            self.model.language_model.set_attn_implementation("eager")
            self.model.language_model.model.compile(dynamic=True)

    def _of_clips(self) -> Dataset[list[Batch]]:
        """Conversations about clips of the pocket world, whose features were made before."""
        store = FeatureStore(self._settings.features)
        store.serve(self.model)
        self._told = told_encoder(self.model) if store.contents.told else None
        if isinstance(self._settings, Alignment) and self._settings.fit_clips:
            fit_projector(self.model, store, self._settings.fit_clips)
        return ClipConversations(self._settings, self.model, store)

    def _of_records(self, sources: Sequence[DataSource]) -> Dataset[list[Batch]]:
        """Conversations of people's own data; what features are missing are made now."""
        settings = self._settings
        assert isinstance(settings, Instruction)
        reader = Reader.of_config(str(settings.model), self.model.config, self._processor)
        # Of several processes the first makes the features, and the others find them.
        with PartialState(cpu=not torch.cuda.is_available()).main_process_first():
            features = MediaFeatures(settings.features, self.model)
            loaded = load_sources(sources, features, reader, max_bad_fraction=settings.max_bad_fraction)
        return RecordConversations(settings, self.model, loaded, features)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Returns the summed loss of the answers' tokens, and the contrastive one where it is wanted."""
        videollm: VideoLLM = unwrap(model)
        device = batch["input_ids"].device
        rows = _project(videollm, batch, device)
        logits_BLV = model(
            input_ids=batch["input_ids"],
            attention_mask=packed_mask(batch["owners"], videollm.dtype),
            position_ids=batch["position_ids"],
            visual_tokens=torch.cat(rows) if rows else None,
            use_cache=False,
        ).logits
        labels_BL = batch["labels"][:, 1:]
        wanted_BL = labels_BL != -100
        total = F.cross_entropy(logits_BLV[:, :-1][wanted_BL].float(), labels_BL[wanted_BL], reduction="sum")
        if not batch["captions"]:
            return Loss(total)
        assert isinstance(self._settings, Alignment)
        words: Any = videollm.get_input_embeddings()
        contrast = caption_contrast(rows, batch["captions"], words)
        parts = {
            "captions": float(total.detach()) / batch["supervised"],
            "contrast": float(contrast.detach()),
        }
        return Loss(total + self._settings.contrastive_weight * contrast * batch["supervised"], parts)

    def evaluate(self) -> dict[str, float]:
        """Accuracy on records held out, or, of a run on clips, mean accuracy over the kinds of the pocket world."""
        if isinstance(self._settings, Instruction) and self._settings.data:
            return self._evaluate_records(self._settings.held_out)
        wanted = self._settings.evaluation_questions
        if wanted == 0:
            return {}
        encode = None if self._told is None else partial(encode_told, self.model, self._told)
        report = evaluate_world(
            self.model, questions=wanted, seed=7, descriptions=False, pairs=0, empty=0, encode=encode
        )
        return {"accuracy": report.mean.value}

    def _evaluate_records(self, source: DataSource | None) -> dict[str, float]:
        if source is None:
            return {}
        report = evaluate_records(self.model, source.path, format=source.format, media=source.media)
        return {"right": report.scores[-1].right.value, "f1": report.scores[-1].f1.value}

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
    return videollm.project_segments(videos, batch["plans"], [spans.to(device) for spans in batch["spans"]])


def _bridge(model: VideoLLM) -> tuple[str, ...]:
    """Prefixes of what stands between the towers and has weights."""
    names = [name for name, _ in model.named_parameters()]
    parts = ("compressor.", "projector.")
    return tuple(part for part in parts if any(name.startswith(part) for name in names))


def _load(settings: Alignment | Instruction) -> VideoLLM:
    bits = settings.quantize if isinstance(settings, Instruction) else None
    return load_model(
        str(settings.model), device="cpu", load_in_4bit=bits == "4bit", load_in_8bit=bits == "8bit"
    )
