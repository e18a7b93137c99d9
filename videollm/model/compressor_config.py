"""Settings of the compressor: what turns a segment's patches into few tokens."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from ..errors import ConfigError

CompressorKind = Literal["merge+qformer", "merge", "vq", "merge+vq", "qformer", "pool", "frames", "none"]
KINDS: tuple[str, ...] = get_args(CompressorKind)
MergeMethod = Literal["bipartite", "kmeans"]
BudgetSplit = Literal["even", "change"]
Segmentation = Literal["plan", "content"]
CodeMap = Literal["full", "random", "none"]

Config = TypeVar("Config")


@dataclass(frozen=True, slots=True)
class QFormerConfig:
    """Sizes of the segment Q-Former.

    Attributes:
        layers: Transformer layers.
        hidden_size: Width of the queries, and so of the tokens that come out.
        heads: Attention heads; they divide ``hidden_size``.
        intermediate_size: Inner width of the feed-forward layers.
        cross_attention_every: Queries look at the tokens in every n-th layer, beginning with the first.
        dropout: Probability of dropout in training, in hidden states and attention.
        time_frequencies: Frequencies by which seconds are written, as a sine and a cosine each.
        shortest_period_s: Period of the highest of them in seconds.
        longest_period_s: Period of the lowest in seconds; longer videos work, only their far times look alike.
        place_frequencies: Frequencies by which a token's mean row and column are written; 0 leaves places out.
        proportional_attention: Whether a token that stands for n patches counts n-fold in attention.
    """

    layers: int = 2
    hidden_size: int = 256
    heads: int = 4
    intermediate_size: int = 1024
    cross_attention_every: int = 1
    dropout: float = 0.0
    time_frequencies: int = 24
    shortest_period_s: float = 0.5
    longest_period_s: float = 16384.0
    place_frequencies: int = 6
    proportional_attention: bool = True

    def __post_init__(self) -> None:
        at_least(
            self,
            1,
            "layers",
            "hidden_size",
            "heads",
            "intermediate_size",
            "cross_attention_every",
            "time_frequencies",
            owner="qformer",
        )
        at_least(self, 0, "place_frequencies", owner="qformer")
        true_or_false(self, "qformer", "proportional_attention")
        if self.hidden_size % self.heads:
            raise ConfigError(
                f"qformer.heads must divide qformer.hidden_size {self.hidden_size}, got {self.heads}"
            )
        if not (_is_number(self.dropout) and 0 <= self.dropout < 1):
            raise ConfigError(f"qformer.dropout must be a number from 0 to below 1, got {self.dropout!r}")
        check_periods("qformer", self.shortest_period_s, self.longest_period_s)


@dataclass(frozen=True, slots=True)
class VQConfig:
    """The codebook of a whole video, and what its codes learn of where and when they were seen (kinds with a codebook).

    Attributes:
        codes: Codes of a video, and so the most tokens it gives besides memory tokens.
        adaptive: Whether a video gets as many codes as it deserves, the elbow of its error, and at most ``codes``. The
            number is then known once the frames were encoded; before, there is an upper bound.
        heads: Heads of the attention that writes places and times into the codes; they divide the encoder's width.
        hidden_size: Inner width of the layers that read the statistics of a code.
        time_bins: Stretches of the video for each of which a code's share and mean place are told.
        place_bins: Rows and columns of the grid in whose cells a code's share is told.
        time_frequencies: Frequencies by which seconds are written, as a sine and a cosine each.
        shortest_period_s: Period of the highest of them in seconds.
        longest_period_s: Period of the lowest in seconds.
        map: ``"full"``; or what an ablation needs: ``"random"`` tells of a shuffled map, ``"none"`` gives the codes as
            they are.
    """

    codes: int = 32
    adaptive: bool = False
    heads: int = 4
    hidden_size: int = 256
    time_bins: int = 8
    place_bins: int = 4
    time_frequencies: int = 24
    shortest_period_s: float = 0.5
    longest_period_s: float = 16384.0
    map: CodeMap = "full"

    def __post_init__(self) -> None:
        at_least(
            self,
            1,
            "codes",
            "heads",
            "hidden_size",
            "time_bins",
            "place_bins",
            "time_frequencies",
            owner="vq",
        )
        true_or_false(self, "vq", "adaptive")
        one_of(self, "vq", "map", CodeMap)
        check_periods("vq", self.shortest_period_s, self.longest_period_s)


@dataclass(frozen=True, slots=True)
class FramesConfig:
    """How a published model lays out the tokens of whole frames (kind ``"frames"``).

    Attributes:
        pool: Patches along each side of a video's frame whose mean is one token, in front of the projector.
        shrink: Number by which the sides of a video's frame are divided, rounded up, bilinearly behind the projector.
        row_end: Whether each row of a frame is followed by a learned row of its own.
        frame_end: Whether each frame is.
        video_end: Whether the whole video or image is; by the same one as rows.
        tile_row_end: Whether each row of an image that was cut into tiles is, by that one too.
    """

    pool: int = 1
    shrink: int = 1
    row_end: bool = False
    frame_end: bool = False
    video_end: bool = False
    tile_row_end: bool = False

    @property
    def has_newline(self) -> bool:
        """Whether there is a learned row behind rows of patches."""
        return self.row_end or self.video_end or self.tile_row_end

    def __post_init__(self) -> None:
        at_least(self, 1, "pool", "shrink", owner="frames")
        for name in ("row_end", "frame_end", "video_end", "tile_row_end"):
            true_or_false(self, "frames", name)

    def side(self, patches: int, *, of_video: bool) -> int:
        """Returns how many tokens stand along a side of a frame that has so many patches there."""
        return math.ceil(patches / self.pool / self.shrink) if of_video else patches

    def rows_of_frame(self, grid: tuple[int, int], *, of_video: bool) -> int:
        """Returns how many rows of the prompt a frame of so many rows and columns of patches takes."""
        high, wide = (self.side(patches, of_video=of_video) for patches in grid)
        return high * (wide + self.row_end) + self.frame_end


@dataclass(frozen=True, slots=True)
class CompressorConfig:
    """How many tokens a segment becomes, and by what means.

    Attributes:
        kind: ``"merge+vq"`` merges similar patches in each segment, and makes one codebook of the whole video of what
            is left; ``"merge"`` and ``"vq"`` do one of the two. ``"merge+qformer"`` lets queries read the merged
            segments, ``"qformer"`` all of their patches; ``"pool"`` averages cells of a regular grid; ``"frames"``
            gives frames as a published model was trained on them, and merges patches where the budget has no room for
            that; ``"none"`` keeps every patch.
        merge_method: ``"bipartite"`` soft matching, step by step (LongVLM), or seeded ``"kmeans"`` in each segment.
        merged_tokens: Tokens a segment is merged into before queries read it (kinds that merge); without queries also
            the most tokens a segment gives (kinds ``"merge"`` and ``"pool"``).
        merge_heads: The features are split into this many heads and averaged over them before they are compared.
        merge_share: Largest part of the tokens that disappears in one step of bipartite merging, above 0 and at most
            0.5. LongVLM's 0.5 forces every second patch into another from the first step on; gentler steps let patches
            that resemble nothing survive longer, at a higher mean error of all others.
        num_queries: Learned queries, and so the most tokens a segment gives (kinds with queries).
        memory_layers: Global memory tokens: class tokens of this many last hidden states of the encoder, averaged
            over the video; 0 for none.
        segments: ``"plan"`` keeps the segments of the frame plan, by frames or seconds; ``"content"`` draws as many
            where the picture changes most. Kind ``"vq"`` makes no difference between them.
        budget_split: ``"even"`` gives every segment alike; ``"change"`` by how much happens in it. The counts are then
            known once the frames were encoded; before, there is an upper bound.
        qformer: Sizes of the Q-Former (kinds with queries); also accepted as a mapping.
        vq: The codebook (kinds with one); also accepted as a mapping.
        frames: The layout of whole frames (kind ``"frames"``); also accepted as a mapping.
    """

    kind: CompressorKind = "merge+vq"
    merge_method: MergeMethod = "bipartite"
    merged_tokens: int = 48
    merge_heads: int = 1
    merge_share: float = 0.25
    num_queries: int = 16
    memory_layers: int = 0
    segments: Segmentation = "plan"
    budget_split: BudgetSplit = "even"
    qformer: QFormerConfig = field(default_factory=QFormerConfig)
    vq: VQConfig = field(default_factory=VQConfig)
    frames: FramesConfig = field(default_factory=FramesConfig)

    def __post_init__(self) -> None:
        one_of(self, "compressor", "kind", CompressorKind)
        one_of(self, "compressor", "merge_method", MergeMethod)
        one_of(self, "compressor", "segments", Segmentation)
        one_of(self, "compressor", "budget_split", BudgetSplit)
        at_least(self, 1, "merged_tokens", "merge_heads", "num_queries", owner="compressor")
        at_least(self, 0, "memory_layers", owner="compressor")
        if not (_is_number(self.merge_share) and 0 < self.merge_share <= 0.5):
            raise ConfigError(
                f"compressor.merge_share must be above 0 and at most 0.5, got {self.merge_share!r}"
            )
        for name, part in (("qformer", QFormerConfig), ("vq", VQConfig), ("frames", FramesConfig)):
            object.__setattr__(self, name, _part(name, part, getattr(self, name)))

    @property
    def merges(self) -> bool:
        """Whether similar patches are merged."""
        return self.kind in ("merge", "merge+qformer", "merge+vq")

    @property
    def has_queries(self) -> bool:
        """Whether a Q-Former makes the tokens."""
        return self.kind in ("qformer", "merge+qformer")

    @property
    def has_codebook(self) -> bool:
        """Whether one codebook of the whole video makes the tokens."""
        return self.kind in ("vq", "merge+vq")

    @property
    def needs_scouting(self) -> bool:
        """Whether it depends on what the video shows how many tokens there are of which part of it."""
        if self.has_codebook:
            return self.vq.adaptive
        # Every patch is kept, however a budget would be split.
        return self.segments == "content" or (self.budget_split == "change" and self.kind != "none")

    @property
    def keeps_frames(self) -> bool:
        """Whether frames are laid out as a published model was trained on them, where the budget allows it."""
        return self.kind == "frames"

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> CompressorConfig:
        """Reads what :meth:`to_dict` gave; what is left out takes its default.

        Raises:
            ConfigError: A name is unknown, a value out of range or of the wrong type.
        """
        return _part("compressor", cls, settings)


def _part(name: str, config: type[Config], values: Config | Mapping[str, Any]) -> Config:
    """Settings as an object, which may have been given by name."""
    if isinstance(values, config):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name} settings must be a mapping or a {config.__name__}, got {values!r}")
    check_names(name, config, values)
    return config(**values)


def at_least(config: Any, minimum: int, *names: str, owner: str = "") -> None:
    """Raises ``ConfigError`` for the first named field that is no whole number of at least ``minimum``."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            full_name = f"{owner}.{name}" if owner else name
            raise ConfigError(f"{full_name} must be a whole number of at least {minimum}, got {value!r}")


def true_or_false(config: Any, owner: str, name: str) -> None:
    """Raises ``ConfigError`` if the named field is neither ``True`` nor ``False``."""
    value = getattr(config, name)
    if not isinstance(value, bool):
        raise ConfigError(f"{owner}.{name} must be true or false, got {value!r}")


def one_of(config: Any, owner: str, name: str, choices: Any) -> None:
    """Raises ``ConfigError`` if the named field is none of the values of a ``Literal``."""
    value, known = getattr(config, name), get_args(choices)
    if value not in known:
        raise ConfigError(f"{owner}.{name} must be one of {', '.join(known)}, got {value!r}")


def check_periods(owner: str, shortest: Any, longest: Any) -> None:
    """Raises ``ConfigError`` unless the periods are numbers above 0 and the shortest is the shorter."""
    if not (_is_number(shortest) and _is_number(longest) and 0 < shortest < longest):
        raise ConfigError(
            f"{owner}.shortest_period_s must be above 0 and below {owner}.longest_period_s, "
            f"got {shortest!r} and {longest!r}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_names(owner: str, config: type, settings: Mapping[str, Any]) -> None:
    """Raises ``ConfigError`` for a name that is no field of the dataclass, with the nearest that is."""
    known = [item.name for item in dataclasses.fields(config)]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"unknown {owner} setting {name!r}: {hint}")
