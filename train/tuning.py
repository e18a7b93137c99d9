"""Stages 1 and 2: the whole model learns from conversations about clips whose frozen features are cached.

    videollm train align    --config configs/pocket/align.yaml    --out runs/pocket/align
    videollm train instruct --config configs/pocket/instruct.yaml --out runs/pocket/instruct

Stage 1 (captions) trains compressor and projector while the language model is frozen. Stage 2 (questions, descriptions,
dialogues) trains the same and LoRA on the language model. Both run on one task; they differ in what is asked and in
what is trained.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from torch.utils.data import Dataset

from videollm.checkpoints import load_model
from videollm.checkpoints.loading import quiet_peft
from videollm.evaluation.world import evaluate_world
from videollm.media import processor_of
from videollm.model.modeling import VideoLLM
from videollm.model.prompting import IGNORED, VisualLayout
from videollm.synthetic.language.descriptions import caption
from videollm.synthetic.scenes import Clip

from .balance import KindBalance
from .config import Alignment, Instruction, LoraSettings, TuningSettings
from .contrast import caption_contrast
from .conversations import as_messages, describing, following, questioning
from .features import FeatureStore, encode_told, told_encoder
from .loop import unwrap
from .optimization import set_trainable
from .packing import PackedPrompts, pack, packed_mask, pad_rows
from .projector_fit import fit_projector
from .rounds import Rounds
from .task import Batch, Loss, passes

_MARK = "<video>"


class ClipConversations(Dataset[list[Batch]]):
    """Micro batches of conversations about cached clips; item ``i`` depends on the settings and ``i`` alone."""

    def __init__(self, settings: TuningSettings, model: VideoLLM, store: FeatureStore) -> None:
        self._settings, self._store = settings, store
        self._rounds = Rounds(len(store), settings.seed)
        self._compressor, self._plan_tokens = model.compressor, model.plan_tokens
        self._balance = (
            KindBalance(settings.kinds, store.contents.world.wishes, settings.emphasis)
            if isinstance(settings, Instruction)
            else None
        )
        self._processor = processor_of(model)
        self._negatives: int | None = None
        if isinstance(settings, Alignment) and settings.contrastive_weight > 0:
            self._negatives = settings.negatives

    def __getitem__(self, index: int) -> list[Batch]:
        rows, videos, spans, token_plans, clips = [], [], [], [], []
        for position in range(self._settings.batch_size):
            sample = index * self._settings.batch_size + position
            rng = random.Random(self._settings.seed * 1_000_003 + sample)
            number = self._rounds[sample]
            clip, video = self._store.clip(number), self._store.load(number)
            planned = self._store.plan(number)
            token_plan = self._plan_tokens(planned, _draw_budget(self._settings.budgets, rng), merged=video)
            plan = video.adapt(planned)
            # Here, ahead of the model, because a codebook takes its time, and because prompts may tell its times.
            video = self._compressor.arrange(video, token_plan)
            spans_K2 = self._compressor.token_spans(video, token_plan, plan)
            rows.append(self._row(clip, VisualLayout.of(plan, token_plan, spans_K2.tolist()), rng))
            videos.append(video)
            spans.append(spans_K2)
            token_plans.append(token_plan)
            clips.append(clip)
        return [
            {
                **self._texts([rows[row] for row in part]),
                "videos": [videos[row] for row in part],
                "plans": [token_plans[row] for row in part],
                "spans": [spans[row] for row in part],
                "captions": self._captions([clips[row] for row in part], index),
            }
            for part in passes([len(row.input_ids) for row in rows], self._settings.rows_per_pass)
        ]

    def _captions(self, clips: list[Clip], index: int) -> list[list[int]]:
        """Token ids of the clips' captions and of as many others' as the settings want; none without contrast."""
        if self._negatives is None:
            return []
        rng = random.Random(index)
        others = [self._store.clip(rng.randrange(len(self._store))) for _ in range(self._negatives)]
        return [
            self._processor.tokenizer.encode(caption(clip), add_special_tokens=False)
            for clip in (*clips, *others)
        ]

    def _row(self, clip: Clip, layout: VisualLayout, rng: random.Random) -> PackedPrompts:
        """What is said about a clip: one dialogue, or questions each of which is asked first."""
        turns = self._settings.turns
        if not isinstance(self._settings, Instruction) or self._balance is None:
            conversations = [[pair] for pair in describing(clip, rng, turns)]
        elif rng.random() < self._settings.dialogue_share:
            conversations = [following(clip, rng, turns)]
        else:
            asked = questioning(clip, rng, turns, self._balance, self._settings.description_share)
            conversations = [[pair] for pair in asked]
        return pack(
            [
                self._processor.render(as_messages(pairs, _MARK), [layout], add_generation_prompt=False)
                for pairs in conversations
            ]
        )

    def _texts(self, rows: list[PackedPrompts]) -> dict[str, Any]:
        padded = pad_rows(rows, self._processor.pad_id)
        return {**padded, "supervised": int((padded["labels"][:, 1:] != IGNORED).sum())}


class TuningTask:
    """The stage, as the loop wants it."""

    def __init__(self, settings: Alignment | Instruction) -> None:
        self._settings = settings
        torch.manual_seed(settings.seed)
        self.model: VideoLLM = load_model(str(settings.model), device="cpu")
        self._processor = processor_of(self.model)
        store = FeatureStore(settings.features)
        store.serve(self.model)
        self._told = told_encoder(self.model) if store.contents.told else None
        if isinstance(settings, Alignment) and settings.fit_clips:
            fit_projector(self.model, store, settings.fit_clips)
        self._peft: PeftModel | None = None
        trained = settings.trained or _bridge(self.model)
        if isinstance(settings, Instruction) and settings.lora is not None:
            self._peft = _add_lora(self.model, settings.lora)
            trained = (*trained, *(name for name, _ in self.model.named_parameters() if "lora_" in name))
        set_trainable(self.model, trained)
        self.dataset = ClipConversations(settings, self.model, store)
        if settings.compile:
            # Short rows are trained faster by plain matrix products than by fused attention on a CPU.
            self.model.language_model.set_attn_implementation("eager")
            self.model.language_model.model.compile(dynamic=True)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Returns the summed loss of the answers' tokens, and the contrastive one where it is wanted."""
        videollm: VideoLLM = unwrap(model)
        device = batch["input_ids"].device
        rows = videollm.project_segments(
            [video.to(device) for video in batch["videos"]],
            batch["plans"],
            [spans.to(device) for spans in batch["spans"]],
        )
        logits_BLV = model(
            input_ids=batch["input_ids"],
            attention_mask=packed_mask(batch["owners"], videollm.dtype),
            position_ids=batch["position_ids"],
            visual_tokens=torch.cat(rows),
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
        """Mean accuracy over the kinds of the pocket world on held-out clips."""
        wanted = self._settings.evaluation_questions
        if wanted == 0:
            return {}
        encode = None if self._told is None else partial(encode_told, self.model, self._told)
        report = evaluate_world(
            self.model, questions=wanted, seed=7, descriptions=False, pairs=0, empty=0, encode=encode
        )
        return {"accuracy": report.mean.value}

    def export(self, directory: Path) -> None:
        """Writes a whole checkpoint; LoRA is folded into the language model."""
        if self._peft is not None:
            self.model = self._peft.merge_and_unload()
        self.model.save_pretrained(directory)
        self._processor.save_pretrained(directory)


def _bridge(model: VideoLLM) -> tuple[str, ...]:
    """Prefixes of what stands between the towers and has weights."""
    names = [name for name, _ in model.named_parameters()]
    parts = ("compressor.", "projector.")
    return tuple(part for part in parts if any(name.startswith(part) for name in names))


def _add_lora(model: VideoLLM, settings: LoraSettings) -> PeftModel:
    """Puts LoRA into the linear layers of the language model's blocks, in place."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=r".*language_model\.model\.layers\..*_proj",
    )
    with quiet_peft():
        return get_peft_model(model, config)


def _draw_budget(budgets: dict[int, float], rng: random.Random) -> int | None:
    """Draws a token budget by its share; what the shares leave is the full number of tokens."""
    drawn: Any = rng.random()
    for budget, share in budgets.items():
        if drawn < share:
            return budget
        drawn -= share
    return None
