"""Settings of stages 1 and 2, which tune a whole model: on clips of the pocket world, or on people's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from videollm.synthetic.language.questions import KINDS

from .settings import Settings, TextRunSettings


class DataSource(Settings):
    """A file of conversations about media, see ``docs/data.md``; a path alone is one too."""

    path: Path
    """JSON, JSONL, CSV, TSV, text or Parquet."""
    format: str | None = None
    """Name of its rows' format; found out if ``None``."""
    media: tuple[Path, ...] = ()
    """Directories to look for media in, before the file's own."""
    weight: float | None = Field(None, gt=0)
    """How often it is drawn, relative to the other sources; its number of records if ``None``."""

    @model_validator(mode="before")
    @classmethod
    def _take_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | Path) else value

    @field_validator("media", mode="before")
    @classmethod
    def _take_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value


class TuningSettings(TextRunSettings):
    """What stages 1 and 2 have in common: a whole model, and media whose frozen features are cached on disk."""

    model: Path
    """Checkpoint directory to start from."""
    features: Path
    """Directory of cached features: of clips, made with ``videollm train features``; of ``data``, made as needed."""
    data: tuple[DataSource, ...] = ()
    """People's own data, one source or several; without the setting, clips of the pocket world are asked about."""
    held_out: DataSource | None = None
    """Records that are not learnt from: how many are answered rightly is told at every evaluation of a run on ``data``,
    instead of accuracy on the pocket world."""
    max_bad_fraction: float = Field(0.0, ge=0, le=1)
    """Share of a data file's rows that may be bad; they are left out and listed."""
    tokens_per_pass: int | None = Field(None, gt=0)
    """Tokens that go through the model together, about: conversations are packed into rows, and rows into passes.
    ``None`` gives each conversation a row of its own, ``rows_per_pass`` of them together."""
    turns: int = Field(4, gt=0)
    """Exchanges in one training conversation about a clip of the pocket world."""
    budgets: dict[int, float] = Field({})
    """Token budgets and the share of samples that is trained at each; the rest gets all tokens (nested queries)."""
    trained: tuple[str, ...] | None = None
    """Prefixes of the names of parameters that are trained in full; by default projector and compressor, where that has
    weights."""
    frozen: Literal["fp32", "bf16"] = "fp32"
    """Precision in which the model is held; what is trained of it is held in fp32 in any case."""
    evaluation_questions: int = Field(210, ge=0)
    """Questions of a small test at every evaluation; 0 for none."""

    @field_validator("data", mode="before")
    @classmethod
    def _take_one(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and not value:
            raise ValueError("names no file: give some, or leave it out for clips of the pocket world")
        return (value,) if isinstance(value, str | Path | dict) else value


class LoraSettings(Settings):
    """Low-rank adaptation of the language model's linear layers."""

    variant: Literal["lora", "rslora", "dora"] = "lora"
    rank: int = Field(32, gt=0)
    alpha: int = Field(64, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    kept: float = Field(1.0, gt=0, le=1)
    """Share of the adapter's change that is kept in the end: with less of it the model forgets less (WiSE-FT)."""

    @model_validator(mode="after")
    def _check_kept(self) -> LoraSettings:
        if self.variant == "dora" and self.kept < 1:
            raise ValueError(
                "a share of what DoRA changed cannot be kept: leave out kept, or take another variant"
            )
        return self


class Alignment(TuningSettings):
    """Stage 1: compressor and projector learn to speak to the frozen language model, from captions."""

    stage: Literal["align"]
    contrastive_weight: float = Field(0.0, ge=0)
    """Weight of the contrastive loss between videos and captions (CG-VLM), beside 1 for the captions' tokens."""
    fit_clips: int = Field(0, ge=0)
    """Clips to which the projector is fitted in closed form before the first step, for a language model that was taught
    by told features; 0 for none."""
    negatives: int = Field(128, ge=0)
    """Captions of other clips in each contrastive comparison, besides those of the batch."""

    @model_validator(mode="after")
    def _check_clips(self) -> Alignment:
        if self.data and (self.contrastive_weight > 0 or self.fit_clips):
            raise ValueError(
                "contrastive_weight and fit_clips are about clips of the pocket world, not about data"
            )
        return self


class Instruction(TuningSettings):
    """Stage 2: questions, descriptions and dialogues; LoRA on the language model besides."""

    stage: Literal["instruct"]
    kinds: tuple[str, ...] = KINDS
    """Kinds of questions."""
    emphasis: dict[str, float] = Field({})
    """How many times as often as the others single kinds are asked, such as those that take longest to learn."""

    @field_validator("kinds", "emphasis")
    @classmethod
    def _check_kinds(cls, value: Any) -> Any:
        if unknown := [kind for kind in value if kind not in KINDS]:
            raise ValueError(f"{unknown[0]!r} is no kind of question; they are {', '.join(KINDS)}")
        return value

    lora: LoraSettings | None = LoraSettings()
    """``None`` for no adaptation: the language model stays as it is, or is named in ``trained``."""
    quantize: Literal["4bit", "8bit"] | None = None
    """Load the language model in 4 or 8 bits (bitsandbytes) and train the adapter over it: QLoRA."""
    fold: bool = True
    """Whether the result is a whole checkpoint with the adapter folded in; else it is the adapter and what was trained
    beside it, a small directory over the model, which ``videollm export`` folds in later."""
    description_share: float = Field(0.1, ge=0, le=1)
    """Share of turns that ask for a description instead of a question of one kind."""
    dialogue_share: float = Field(0.25, ge=0, le=1)
    """Share of conversations whose later questions refer to earlier ones."""

    @model_validator(mode="after")
    def _check_adapter(self) -> Instruction:
        if self.lora is None and (self.quantize is not None or not self.fold):
            raise ValueError("quantize and fold=false are about an adapter: give lora")
        if self.quantize is not None and self.fold:
            raise ValueError("an adapter over a quantized model cannot be folded in: give fold=false")
        if self.quantize is not None and self.sharded:
            raise ValueError("a quantized model cannot be sharded: leave out quantize or sharded")
        if not self.fold and self.trained is not None:
            raise ValueError(
                "an adapter keeps compressor and projector only: leave out trained, or fold it in"
            )
        return self
