"""Pretraining of pocket's language model: next token on world text.

    videollm train pretrain --config configs/pocket/language.yaml --out runs/pocket/language

A text is the written log of a clip followed by questions and answers about it, in the chat format of later stages. So
the model learns the world's phrasings, and to order, count and compare what a context tells it, before it sees.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from videollm.model.processing import VideoLLMProcessor
from videollm.synthetic.language.questions import ask
from videollm.synthetic.language.scoring import is_right
from videollm.synthetic.language.world_text import log
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip
from videollm.values import Message

from .balance import KindBalance
from .config import LanguagePretraining, LanguageShape
from .conversations import as_messages, questioning
from .task import Batch, Loss, passes, text_batch


def language_config(shape: LanguageShape, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """Returns transformers' configuration of a Llama of this shape with tied embeddings."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


class WorldTexts(Dataset[list[Batch]]):
    """Micro batches of world texts, padded on the right; item ``i`` depends on the settings and ``i`` alone."""

    def __init__(self, settings: LanguagePretraining, processor: VideoLLMProcessor) -> None:
        self._settings, self._processor = settings, processor
        self._balance = KindBalance(settings.world.kinds, settings.world.wishes)
        self._clips: dict[int, Clip] = {}  # sampling a clip costs more than writing a text about it

    def __getitem__(self, index: int) -> list[Batch]:
        rows = []
        for position in range(self._settings.batch_size):
            sample = index * self._settings.batch_size + position
            clip = self._clip((self._settings.seed << 40) + sample % self._settings.clips)
            rng = random.Random(sample)
            pairs = questioning(
                clip, rng, self._settings.turns, self._balance, self._settings.description_share
            )
            messages = as_messages(pairs, log(clip))
            rows.append(self._processor.render(messages, add_generation_prompt=False))
        parts = passes(rows, self._settings.rows_per_pass)
        return [text_batch(self._processor, [rows[row] for row in part]) for part in parts]

    def _clip(self, seed: int) -> Clip:
        if seed not in self._clips:
            self._clips[seed] = sample_clip(seed, "train", **self._settings.world.wishes)
        return self._clips[seed]


class LanguageTask:
    """The stage, as the loop wants it."""

    def __init__(self, settings: LanguagePretraining) -> None:
        self._settings = settings
        tokenizer = AutoTokenizer.from_pretrained(settings.tokenizer, local_files_only=True)
        self._processor = VideoLLMProcessor(tokenizer)
        torch.manual_seed(settings.seed)
        self.model: Any = LlamaForCausalLM(language_config(settings.shape, tokenizer))
        # On a CPU, short rows are trained faster by plain matrix products than by fused attention.
        self.model.set_attn_implementation("eager")
        if settings.compile:
            self.model.model.compile(dynamic=True)
        self.dataset = WorldTexts(settings, self._processor)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Returns the weighted next-token loss: answers count fully, the context a little."""
        ids_BL, mask_BL = batch["input_ids"], batch["attention_mask"]
        logits_BLV = model(input_ids=ids_BL, attention_mask=mask_BL).logits[:, :-1]
        targets_BL = ids_BL[:, 1:]
        losses_N = F.cross_entropy(logits_BLV.flatten(0, 1).float(), targets_BL.flatten(), reduction="none")
        losses_BL = losses_N.view_as(targets_BL)
        answered_BL = batch["labels"][:, 1:] != -100
        context_BL = mask_BL[:, 1:].bool() & ~answered_BL
        answers = losses_BL[answered_BL].sum()
        total = answers + self._settings.context_weight * losses_BL[context_BL].sum()
        return Loss(total, {"answers": float(answers.detach()) / batch["supervised"]})

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Share of questions about logs of held-out clips that are answered right."""
        right = asked = seed = 0
        while asked < self._settings.evaluation_questions:
            clip, rng = sample_clip(seed, "test", **self._settings.world.wishes), random.Random(seed)
            seed += 1
            question = ask(clip, rng, rng.choice(self._settings.world.kinds))
            if question is None:
                continue
            prompt = as_messages([(question.text, question.answer)], log(clip))[:1]
            right += is_right(question, self._answer(prompt))
            asked += 1
        return {"accuracy": right / asked}

    def _answer(self, prompt: list[Message]) -> str:
        prompt_1L = torch.tensor([self._processor.render(prompt).input_ids], device=self.model.device)
        written = self.model.generate(
            prompt_1L,
            attention_mask=torch.ones_like(prompt_1L),
            max_new_tokens=160,
            do_sample=False,
            eos_token_id=list(self._processor.stop_ids),
        )
        answer = written[0, prompt_1L.shape[1] :]
        return str(self._processor.tokenizer.decode(answer, skip_special_tokens=True))

    def export(self, directory: Path) -> None:
        """Writes the language model in transformers' layout, with its tokenizer."""
        self.model.save_pretrained(directory)
        self._processor.tokenizer.save_pretrained(directory)
