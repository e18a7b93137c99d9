"""Training settings: one typed class per stage, read from YAML, overridable as ``key=value``.

The classes are schema, defaults and documentation in one place; a YAML file lists only what differs. Unknown keys are
refused with the nearest valid name, so that a misspelt setting never trains the wrong thing.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from videollm.errors import ConfigError
from videollm.synthetic.language.questions import KINDS


class Settings(BaseModel):
    """Base of all settings: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StageSettings(Settings):
    """Settings of one stage, which a file names."""

    stage: str


S = TypeVar("S", bound=Settings)


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
    compile: bool = False
    """Compile the trained towers with torch's inductor: needs a C++ compiler, about 1.5 times as fast on a CPU."""
    workers: int = Field(1, ge=0)
    """Processes that prepare batches ahead of the model; 0 prepares them in the training process."""
    log_every: int = Field(20, gt=0)
    evaluate_every: int = Field(500, gt=0)
    save_every: int = Field(500, gt=0)
    keep_checkpoints: int = Field(2, gt=0)
    optimizer: OptimizerSettings


class TextRunSettings(RunSettings):
    """What the stages that train on texts have in common."""

    rows_per_pass: int = Field(8, gt=0)
    """Samples of a micro batch that go through the model together; those of similar length do, to pad them little."""


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
    """Directory in which rendered windows are kept and come again, shuffled; ``None`` renders new ones in every step,
    which takes as long as learning from them."""
    distinct_windows: int = Field(24_000, gt=0)
    """How many are kept."""
    event_share: float = Field(0.6, ge=0, le=1)
    """Share of windows that are drawn to lie in or beside an event, where the clip has one."""
    crowded_share: float = Field(0.5, ge=0, le=1)
    """Share of clips to whose shots objects that stay still are added: more to learn from a frame."""
    crowd: int = Field(8, ge=1)
    """Objects of a crowded shot, more than the world has; fewer where no room is found."""
    unnamed_share: float = Field(0.0, ge=0, le=1)
    """Share of the added objects whose colour has no name. Above 0 shapes are learnt only from them and from colours of
    which training shows all shapes: where it holds one back, a ViT learns that this one cannot be."""
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


class TuningSettings(TextRunSettings):
    """What stages 1 and 2 have in common: a whole model, and clips whose frozen features are cached on disk."""

    model: Path
    """Checkpoint directory to start from."""
    features: Path
    """Directory of cached features: of clips, made with ``videollm train features``; of ``data``, made as needed."""
    turns: int = Field(4, gt=0)
    """Exchanges in one training conversation about a clip of the pocket world."""
    budgets: dict[int, float] = {}
    """Token budgets and the share of samples that is trained at each; the rest gets all tokens (nested queries)."""
    trained: tuple[str, ...] | None = None
    """Prefixes of the names of parameters that are trained in full; by default projector and compressor, where that has
    weights."""
    evaluation_questions: int = Field(210, ge=0)
    """Questions of a small test at every evaluation; 0 for none."""


class LoraSettings(Settings):
    """Low-rank adaptation of the language model's linear layers."""

    variant: Literal["lora", "rslora", "dora"] = "lora"
    rank: int = Field(32, gt=0)
    alpha: int = Field(64, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)


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


class DataSource(Settings):
    """A file of conversations about media, see ``docs/data.md``."""

    path: Path
    """JSON, JSONL, CSV, TSV, text or Parquet."""
    format: str | None = None
    """Name of its rows' format; found out if ``None``."""
    media: tuple[Path, ...] = ()
    """Directories to look for media in, before the file's own."""
    weight: float | None = Field(None, gt=0)
    """How often it is drawn, relative to the other sources; its number of records if ``None``."""


class Instruction(TuningSettings):
    """Stage 2: questions, descriptions and dialogues; LoRA on the language model besides."""

    stage: Literal["instruct"]
    data: tuple[DataSource, ...] = ()
    """People's own data; without any, clips of the pocket world are asked about."""
    held_out: DataSource | None = None
    """Records that are not learnt from: how many are answered rightly is told at every evaluation of a run on ``data``,
    instead of accuracy on the pocket world."""
    max_bad_fraction: float = Field(0.0, ge=0, le=1)
    """Share of a data file's rows that may be bad; they are left out and listed."""
    packed_rows: int | None = Field(None, gt=0)
    """Rows into which the conversations of a micro batch are packed; ``None`` gives each a row of its own."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of questions."""
    emphasis: dict[str, float] = {}
    """How many times as often as the others single kinds are asked, such as those that take longest to learn."""
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
        if not self.fold and self.trained is not None:
            raise ValueError(
                "an adapter keeps compressor and projector only: leave out trained, or fold it in"
            )
        return self


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
    processes: int = Field(1, gt=0)
    """Processes that make shards side by side and share the threads: two of one thread do more than one of two."""


# What makes the built-in model, in order: names of the YAML files and of the runs' folders.
POCKET_CHAIN = ("tokenizer", "vision", "start", "told", "language", "features", "align", "instruct")

STAGES: dict[str, type[StageSettings]] = {
    "tokenizer": TokenizerSettings,
    "assemble": Assembly,
    "features": FeatureSettings,
    "pretrain-vision": VisionPretraining,
    "align": Alignment,
    "instruct": Instruction,
}


def load_settings(
    path: Path, overrides: tuple[str, ...] = (), *, out: Path = Path("runs/pocket")
) -> StageSettings:
    """Reads a stage's settings.

    Args:
        path: YAML file with at least ``stage`` and what has no default.
        overrides: ``key=value`` strings; dots reach into nested settings, values are YAML.
        out: Directory that ``{out}`` stands for in the file's paths.

    Returns:
        The settings of the class that belongs to the file's stage.

    Raises:
        ConfigError: The file is missing or malformed, a key is unknown or a value is out of range.
    """
    fields = _read_yaml(path, out)
    for override in overrides:
        _apply_override(fields, override)
    kind = STAGES.get(str(fields.get("stage")))
    if kind is None:
        raise ConfigError(f"{path}: stage must be one of {', '.join(STAGES)}, got {fields.get('stage')!r}")
    return parse_settings(kind, fields, str(path))


def load_chain(
    configs: Path, overrides: tuple[str, ...] = (), *, out: Path = Path("runs/pocket")
) -> list[StageSettings]:
    """Reads the settings of every stage of ``POCKET_CHAIN``.

    Args:
        configs: Directory of the stages' YAML files.
        overrides: ``stage:key=value`` changes of single settings, where ``stage`` is the name of its file.
        out: Directory of all runs.

    Raises:
        ConfigError: As :func:`load_settings`, or an override names no stage.
    """
    changes: dict[str, list[str]] = {name: [] for name in POCKET_CHAIN}
    for override in overrides:
        name, _, change = override.partition(":")
        if name not in changes:
            raise ConfigError(f"an override of the chain is written stage:key=value, got {override!r}")
        changes[name].append(change)
    return [load_settings(configs / f"{name}.yaml", tuple(changes[name]), out=out) for name in POCKET_CHAIN]


def parse_settings(kind: type[S], fields: dict[str, Any], source: str) -> S:
    """Validates ``fields`` as settings of class ``kind``.

    Raises:
        ConfigError: One line that names the first offending key and, for an unknown one, the nearest valid key.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = first["msg"]
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _all_keys(kind), n=1)
            reason = "unknown key" + (f", did you mean {near[0]!r}?" if near else "")
        place = f"{source}: {key}" if key else source
        raise ConfigError(f"{place}: {reason.removeprefix('Value error, ')}") from error


def _read_yaml(path: Path, out: Path) -> dict[str, Any]:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8").replace("{out}", str(out)))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(fields).__name__}")
    return fields


def _apply_override(fields: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator:
        raise ConfigError(f"an override is written key=value, got {override!r}")
    *parents, last = key.split(".")
    for parent in parents:
        fields = fields.setdefault(parent, {})
        if not isinstance(fields, dict):
            raise ConfigError(f"{override!r}: {parent!r} is a single value, it has no keys below it")
    fields[last] = yaml.safe_load(value)


def _all_keys(kind: type[Settings]) -> list[str]:
    keys = list(kind.model_fields)
    for field in kind.model_fields.values():
        for part in _types_in(field.annotation):
            keys += _all_keys(part)
    return keys


def _types_in(annotation: Any) -> list[type[Settings]]:
    """The classes of settings that an annotation admits."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [found for part in get_args(annotation) for found in _types_in(part)]
