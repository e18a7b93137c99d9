"""What a stage would take, before it runs: parameters by component, memory by category, tokens of a step.

The model is built on torch's meta device, so nothing is allocated. Weights, gradients and optimizer states are counted;
what is kept for the way back is estimated by the formula of Korthikanti et al. (arXiv 2205.05198, section 4).

    videollm train instruct --config configs/clip-l-qwen2-7b/instruct.yaml --dry-run
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from videollm.checkpoints.directories import find_model
from videollm.checkpoints.loading import load_config
from videollm.errors import ConfigError, DataError, UnsupportedModelError
from videollm.media import ReadOptions
from videollm.model.budget import plan_tokens
from videollm.model.configuration import VideoLLMConfig
from videollm.model.modeling import VideoLLM
from videollm.values import VideoInfo

from .adapters import add_trained
from .assemble import assembled_config
from .config import load_settings
from .optimization import set_trainable, trainable_table
from .record_sources import shards
from .settings import Assembly
from .tuning_settings import Alignment, Instruction

# Tokens of a conversation beside those of its video, and how many of them are learnt: assumed, and said to be.
TEXT_TOKENS = 256
_ANSWER_SHARE = 0.25
_GIB, _MIB = 2**30, 2**20
_FULL, _HALF = 4, 2
_BITS = {"4bit": 0.5, "8bit": 1.0}
# Bytes that a layer keeps of each number of its width, in half precision, without what attention keeps (its 34 s b h).
_KEPT_OF_LAYER = 34


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a stage would take.

    Attributes:
        table: Trained and all parameters by component.
        memory: Bytes by category, of one process.
        tokens: Tokens of a step by what they are.
        sharded: Whether several processes share one model.
        missing: What the stage needs and is not there yet.
    """

    table: str
    memory: dict[str, float]
    tokens: dict[str, int]
    sharded: bool = False
    missing: tuple[Path, ...] = ()

    def __str__(self) -> str:
        whole = sum(self.memory.values())
        unit, size_of_unit = ("GiB", _GIB) if whole >= _GIB else ("MiB", _MIB)
        rows = [*self.memory.items(), ("all", whole)]
        width = max(len(name) for name, _ in rows)
        memory = [f"{name:<{width}}  {size / size_of_unit:>8.2f} {unit}" for name, size in rows]
        tokens = [f"{count:,} {name}" for name, count in self.tokens.items()]
        title = "memory of each process"
        if self.sharded:
            title = "memory of a single process; several divide weights, gradients and optimizer among them"
        lines = [self.table, "", title, *memory, "", "tokens of a step: " + ", ".join(tokens)]
        if self.missing:
            lines += ["", "not there yet: " + ", ".join(map(str, self.missing))]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Work:
    """What goes through the language model.

    Attributes:
        at_once: Tokens of one pass.
        learnt: Those of them that are learnt.
        tokens: Tokens of a step by what they are.
    """

    at_once: int
    learnt: int
    tokens: dict[str, int]

    @classmethod
    def of(cls, settings: Alignment | Instruction, model: VideoLLM) -> _Work:
        visual, conversations = _visual_tokens(model), settings.batch_size
        each = visual + TEXT_TOKENS
        at_once = min(settings.rows_per_pass, conversations) * each
        if settings.tokens_per_pass is not None:
            at_once = min(max(settings.tokens_per_pass, each), conversations * each)
        all_conversations = conversations * settings.accumulation
        return cls(
            at_once=at_once,
            learnt=round(at_once / each * TEXT_TOKENS * _ANSWER_SHARE),
            tokens={
                "visual (longest videos)": all_conversations * visual,
                f"of text ({TEXT_TOKENS} a conversation, assumed)": all_conversations * TEXT_TOKENS,
            },
        )


def look_ahead(settings: Alignment | Instruction, config: Path) -> Outlook:
    """Returns what a stage on a whole model would take.

    Args:
        settings: The stage's settings.
        config: The file they come from; where the model is not made yet, the file beside it that makes it tells.

    Raises:
        ConfigError: Nothing says what the model is.
    """
    model_config = _model_config(settings.model, config)
    with torch.device("meta"):
        model = VideoLLM(model_config)
        _, trained = add_trained(model, settings)
    set_trainable(model, trained)
    work = _Work.of(settings, model)
    return Outlook(
        trainable_table(model),
        _memory(settings, model, work),
        work.tokens,
        settings.sharded,
        missing=_missing(settings),
    )


def _missing(settings: Alignment | Instruction) -> tuple[Path, ...]:
    """The model, files of data and cached features of clips that a run would look for in vain."""
    missing: list[Path] = []
    try:
        find_model(settings.model)
    except UnsupportedModelError:
        missing.append(settings.model)
    sources = (*settings.data, *([settings.held_out] if settings.held_out else ()))
    for source in sources:
        try:
            missing += [path for path in shards(source.path) if not path.exists()]
        except DataError:
            missing.append(source.path)
    if not settings.data and not settings.features.exists():
        missing.append(settings.features)
    return tuple(missing)


def _model_config(source: Path, config: Path) -> VideoLLMConfig:
    try:
        return load_config(find_model(source))
    except UnsupportedModelError:
        # Stages lie in folders that are called like their files; their result is in ``final``.
        stage = source.parent if source.name == "final" else source
        maker = config.with_name(f"{stage.name}.yaml")
        if not maker.is_file():
            raise ConfigError(
                f"model {source}: there is no such model yet, and no {maker} to say what it will be"
            ) from None
    settings = load_settings(maker)
    if isinstance(settings, Assembly):
        return assembled_config(settings)
    assert isinstance(settings, Alignment | Instruction), f"{maker} makes no model"
    return _model_config(settings.model, maker)


def _visual_tokens(model: VideoLLM) -> int:
    """Tokens of the longest video that the model reads by itself."""
    video = model.config.video
    duration_s = max(video.max_frames / video.fps, (video.seconds_per_segment or 0) * video.max_segments)
    longest = VideoInfo(
        Path("longest"), "video", duration_s, 0, 0, video.fps, None, "", "", "", 0, 1.0, False, False, None
    )
    plan = ReadOptions().plan(longest, video)
    compressor = model.config.compressor
    return plan_tokens(plan, compressor, video.max_visual_tokens, grid=model.vision.grid).total


def _memory(settings: Alignment | Instruction, model: VideoLLM, work: _Work) -> dict[str, float]:
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    states = 2 if settings.optimizer.kind == "adamw" else 1
    return {
        "weights": _weights(settings, model),
        "gradients": float(_FULL * trained),
        "optimizer": float(states * _FULL * trained),
        "kept for the way back (estimated)": _kept(settings, model, work),
        "logits (estimated)": _logits(settings, model, work),
    }


def _weights(settings: Alignment | Instruction, model: VideoLLM) -> float:
    bits = settings.quantize if isinstance(settings, Instruction) else None
    packed = _linear_weights(model.language_model.model) if bits else set()
    frozen: Counter[bool] = Counter()
    trained = 0
    for weight in model.parameters():
        if weight.requires_grad:
            trained += weight.numel()
        else:
            frozen[id(weight) in packed] += weight.numel()
    plain = _HALF if settings.frozen == "bf16" else _FULL
    return _FULL * trained + plain * frozen[False] + (_BITS[bits] if bits else 0) * frozen[True]


def _linear_weights(module: nn.Module) -> set[int]:
    """Identities of the matrices that bitsandbytes packs: those of linear layers."""
    return {id(part.weight) for part in module.modules() if isinstance(part, nn.Linear)}


def _kept(settings: Alignment | Instruction, model: VideoLLM, work: _Work) -> float:
    text: Any = model.config.text_config
    precision = 1 if settings.precision == "bf16" else _FULL / _HALF
    numbers = work.at_once * text.hidden_size * precision
    if not settings.gradient_checkpointing:
        return numbers * _KEPT_OF_LAYER * text.num_hidden_layers
    # What enters each layer, and one layer in full.
    return numbers * (_HALF * text.num_hidden_layers + _KEPT_OF_LAYER)


def _logits(settings: Alignment | Instruction, model: VideoLLM, work: _Work) -> float:
    """Logits at learnt positions: in the precision of training, in full, and their gradient."""
    each = (_HALF if settings.precision == "bf16" else _FULL) + 2 * _FULL
    return work.learnt * model.config.text_config.vocab_size * each
