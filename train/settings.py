"""Typed settings of the stages: schema, defaults and documentation in one place.

Those of the stages that tune a whole model stand in :mod:`tuning_settings`; :mod:`config` reads all of them from YAML.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from videollm.synthetic.language.questions import KINDS


class Settings(BaseModel):
    """Base of all settings: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StageSettings(Settings):
    """Settings of one stage, which a file names."""

    stage: str


class OptimizerSettings(Settings):
    """AdamW, or Muon for the matrices, with a linear warm-up and a cosine decay."""

    kind: Literal["adamw", "muon"] = "adamw"
    """``muon``: Muon for the matrices, AdamW for embeddings, heads, vectors and convolutions."""
    lr: float = Field(gt=0)
    """Peak learning rate."""
    component_lr: dict[str, float] = {}
    """Peak learning rate of single components, by the prefix of their parameters' names; the longest match wins."""
    weight_decay: float = Field(0.05, ge=0)
    """Decay of matrices; vectors (biases, norms) are not decayed."""
    betas: tuple[float, float] = (0.9, 0.98)
    warmup_steps: int = Field(100, ge=0)
    final_lr_ratio: float = Field(0.02, ge=0, le=1)
    """Learning rate at the last step as a share of the peak."""
    clip_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm."""


class RunSettings(StageSettings):
    """What every stage with a training loop has in common."""

    seed: int = 0
    steps: int = Field(gt=0)
    """Optimizer steps."""
    batch_size: int = Field(gt=0)
    """Samples of one micro batch on one process."""
    accumulation: int = Field(1, gt=0)
    """Micro batches of one optimizer step."""
    precision: Literal["bf16", "fp32"] = "bf16"
    sharded: bool = False
    """Several processes share one model (FSDP2), each with a part of weights, gradients and optimizer states; else each
    has all of it (DDP)."""
    compile: bool = False
    """Compile the trained towers with torch's inductor: needs a C++ compiler, about 1.5 times as fast on a CPU."""
    workers: int = Field(1, ge=0)
    """Processes that prepare batches ahead of the model; 0 prepares them in the training process."""
    log_every: int = Field(20, gt=0)
    evaluate_every: int = Field(500, gt=0)
    save_every: int = Field(500, gt=0)
    keep_checkpoints: int = Field(2, gt=0)
    optimizer: OptimizerSettings

    @model_validator(mode="after")
    def _check_sharding(self) -> RunSettings:
        if self.sharded and (self.compile or self.optimizer.kind == "muon"):
            raise ValueError("sharded goes with AdamW and without compile: leave out the one or the other")
        return self


class TextRunSettings(RunSettings):
    """What the stages that train on texts have in common."""

    rows_per_pass: int = Field(8, gt=0)
    """Samples of a micro batch that go through the model together; those of similar length do, to pad them little."""
    gradient_checkpointing: bool = False
    """Keep only what enters each layer of the language model and compute the rest again on the way back: less memory,
    about a third more time, the same gradients."""


class WorldSettings(Settings):
    """Which part of the pocket world is trained on; all of it by default."""

    wishes: dict[str, Any] = {}
    """Keyword arguments of ``sample_clip``, such as ``{shots: 1, backdrop: plain}``."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of questions."""


class VisionShape(Settings):
    """Sizes of the CLIP-ViT that is trained from scratch."""

    image_size: int = 96
    """Side of a frame in pixels."""
    patch_size: int = 8
    """Pixels of a frame along each side of a patch."""
    stem: dict[str, Any] | None = None
    """``StemSettings``: convolutions that make the patches, and how many frames they see together."""
    matching: dict[str, Any] | None = None
    """``MatchingSettings``: comparison of neighbouring frames beside the stem, so that directions are seen."""
    temporal: dict[str, Any] | None = None
    """``TemporalSettings``: attention between the frames of a window, behind the ViT's layers."""
    hidden_size: int = 192
    layers: int = 4
    heads: int = 3
    intermediate_size: int = 768

    @property
    def grid(self) -> int:
        """Patches along each side."""
        return self.image_size // self.patch_size


class LanguageShape(Settings):
    """Sizes of the Llama-type language model that is trained from scratch."""

    hidden_size: int = 192
    layers: int = 5
    heads: int = 3
    intermediate_size: int = 384
    context: int = 2048


class VisionPretraining(RunSettings):
    """The ViT learns to see short runs of frames: what each patch shows and how that moves, plus a contrastive loss."""

    stage: Literal["pretrain-vision"]
    world: WorldSettings = WorldSettings()
    shape: VisionShape = VisionShape()
    start: Path | None = None
    """Directory of an encoder of this shape to go on from, such as an earlier run's ``final``."""
    video: dict[str, Any] = {}
    """``VideoSettings``: how clips are read, and so how far frames are apart."""
    window_frames: int = Field(6, gt=0)
    """Neighbouring frames of a clip that are seen together; a sample of the batch is such a window."""
    windows: Path | None = None
    """Directory in which rendered windows are kept and come again, shuffled, where there are too few cores to render as
    fast as is learnt; ``None`` renders new ones in every step, of which more is learnt."""
    distinct_windows: int = Field(24_000, gt=0)
    """How many are kept."""
    event_share: float = Field(0.6, ge=0, le=1)
    """Share of windows that are drawn to lie in or beside an event, where the clip has one."""
    crowded_share: float = Field(0.5, ge=0, le=1)
    """Share of clips to whose shots objects that stay still are added: more to learn from a frame."""
    crowd: int = Field(8, ge=1)
    """Objects of a crowded shot, more than the world has; fewer where no room is found."""
    unnamed_share: float = Field(0.0, ge=0, le=1)
    """Share of the added objects whose colour or shape has no name: whoever learns the other cannot go by it."""
    moving_share: float = Field(0.0, ge=0, le=1)
    """Share of clips whose camera moves in every shot: most of the world's stand still, and say nothing of directions.
    """
    scene_weight: float = Field(1.0, ge=0)
    """Weight of what patches tell of camera, light, tone, backdrop and cuts; objects have 1."""
    motion_weight: float = Field(1.0, ge=0)
    """Weight of what patches tell of how they move."""
    contrastive_weight: float = Field(0.1, ge=0)
    degrade_share: float = Field(0.3, ge=0, le=1)
    """Share of windows that go through a real codec."""
    evaluation_frames: int = 512


class TokenizerSettings(StageSettings):
    """A sentencepiece tokenizer trained on world text."""

    stage: Literal["tokenizer"]
    seed: int = 0
    pieces: int = Field(800, gt=300)
    """Vocabulary size, byte pieces included."""
    clips: int = Field(4000, gt=0)
    """How many clips' texts are read."""


def _directory_or_shape(value: Any) -> str:
    return "directory" if isinstance(value, str | Path) else "shape"


_Directory = Annotated[Path, Tag("directory")]
# Told apart by what they look like, so that a misspelt size is named instead of "not a path".
VisionSource = Annotated[
    _Directory | Annotated[VisionShape, Tag("shape")], Discriminator(_directory_or_shape)
]
LanguageSource = Annotated[
    _Directory | Annotated[LanguageShape, Tag("shape")], Discriminator(_directory_or_shape)
]


class Assembly(StageSettings):
    """What a fresh model is made of."""

    stage: Literal["assemble"]
    vision: VisionSource
    """Directory of the pretrained CLIP-ViT, or the sizes of a fresh one."""
    language: LanguageSource
    """Directory of the pretrained language model and its tokenizer, or the sizes of a fresh one; or a checkpoint of a
    whole model, of which everything but the ViT is taken."""
    tokenizer: Path | None = None
    """Directory of the tokenizer of a fresh language model."""
    queries: Path | None = None
    """BLIP-2 whose Q-Former the compressor's begins with: a directory, or a name on the hub."""
    seed: int = 0
    model: dict[str, Any] = {}
    """Further settings of the model's configuration: ``compressor``, ``video``, ``projector``, ``vision_layer`` …"""


class FeatureSettings(StageSettings):
    """Which clips' features are cached."""

    stage: Literal["features"]
    world: WorldSettings = WorldSettings()
    model: Path
    """Checkpoint directory whose ViT and merging make the features."""
    told: bool = False
    """Whether the patches say outright what they show, instead of what the ViT makes of them (see ``told``)."""
    seed: int
    """Seed of the first clip; the others follow."""
    clips: int = Field(gt=0)
    split: Literal["train", "test"] = "train"
    degrade_share: float = Field(0.3, ge=0, le=1)
    """Share of clips whose frames go through a real codec."""
    unnamed_share: float = Field(0.0, ge=0, le=1)
    """Share of clips in which some objects, and still ones added to them, have a colour or a shape without a name: what
    is asked of the other, of sizes, actions and number does not go by it, and so teaches nothing about pairs that
    training lacks."""
    processes: int = Field(1, gt=0)
    """Processes that make shards side by side and share the threads: two of one thread do more than one of two."""
