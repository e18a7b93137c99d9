"""The frame encoder: a vision transformer read at an inner layer.

It is CLIP's (Radford et al., arXiv 2103.00020) or SigLIP's (Zhai et al., arXiv 2303.15343), which has no class token;
or the one of BLIP-2, whose last state a Q-Former reads, see :mod:`.frame_queries`.

As in LLaVA and LongVLM, patch features come from a late hidden state rather than the last one, whose patches were never
trained to mean anything; class tokens of the last hidden states are kept for the global memory.

    frames ─▶ embeddings, norm ─▶ layer 0 ─┬▶ temporal attention 0 ─▶ layer 1 ─┬▶ …
              a few frames at a time       ╰── all frames, a few places at a time (an option)

Other options are a stem of convolutions between frames and embeddings, see :mod:`.stem`, and beside it a comparison of
neighbouring frames, see :mod:`.matching`.

Shapes: T frames, P patches a frame in raster order, N patches and class token if there is one, C width, L class tokens
(shallow before deep).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import (
    Blip2VisionConfig,
    Blip2VisionModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from ..errors import ConfigError
from .frame_queries import FrameQueries
from .matching import FrameMatching
from .settings import FrameQueriesSettings, MatchingSettings, StemSettings, TemporalSettings
from .stem import ConvStem, middle, neighbours
from .temporal import TemporalAttention

VisionConfig: TypeAlias = CLIPVisionConfig | SiglipVisionConfig | Blip2VisionConfig
_TOWERS: dict[type, Any] = {
    CLIPVisionConfig: CLIPVisionModel,
    SiglipVisionConfig: SiglipVisionModel,
    Blip2VisionConfig: Blip2VisionModel,
}


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Features of frames.

    Attributes:
        patches_TPC: Patch features in raster order.
        cls_LTC: Class tokens of the last L hidden states, shallow before deep.
    """

    patches_TPC: Tensor
    cls_LTC: Tensor

    def at(self, places_R: Tensor) -> Patches:
        """Returns the features of some frames, by their numbers, (R,) int64; what is in order is not copied."""
        first, count = int(places_R[0]), len(places_R)
        if places_R.equal(torch.arange(first, first + count)):
            return Patches(self.patches_TPC[first : first + count], self.cls_LTC[:, first : first + count])
        places_R = places_R.to(self.patches_TPC.device)
        return Patches(self.patches_TPC[places_R], self.cls_LTC[:, places_R])


class FrameEncoder(nn.Module):
    """Turns frames into patch features and class tokens, a few frames at a time.

    Attributes:
        tower: transformers' vision model.
        stem: Convolutions in front of it, which see neighbouring frames too; ``None`` where frames go in as they are.
        matching: Comparison of neighbouring frames, added to what the stem gives; ``None`` for none.
        temporal: Temporal attention by the number of the tower's layer that it follows; empty where frames are seen
            one by one.
        queries: Queries that read each frame; ``None`` where its patches are given.
        grid: Rows and columns of patches, or of what stands for them.
        width: Width C of the features.
    """

    def __init__(
        self,
        config: VisionConfig,
        *,
        select_layer: int = -2,
        cls_layers: int = 0,
        chunk_frames: int = 4,
        stem: StemSettings | None = None,
        matching: MatchingSettings | None = None,
        temporal: TemporalSettings | None = None,
        queries: FrameQueriesSettings | None = None,
    ) -> None:
        """Builds the tower with fresh weights.

        Args:
            config: The tower's settings.
            select_layer: Hidden state the patches are read from: 0 is the embeddings, -1 the last layer.
            cls_layers: How many of the last hidden states give their class token.
            chunk_frames: Frames that pass through the tower together. Few at a time stay in the processor's caches;
                the result does not depend on it.
            stem: Convolutions in front of the tower; ``None`` for none.
            matching: Comparison of neighbouring frames beside the stem; ``None`` for none.
            temporal: How frames look at one another between the tower's layers; ``None`` if they do not.
            queries: Queries that read each frame, and stand for its patches; ``None`` for none.

        Raises:
            ConfigError: A setting is out of range.
        """
        super().__init__()
        size, patch = config.image_size, config.patch_size
        if not (isinstance(size, int) and isinstance(patch, int)):
            raise ConfigError(f"the encoder needs square frames and patches, got sizes {size} and {patch}")
        states = config.num_hidden_layers + 1
        has_classes = isinstance(config, CLIPVisionConfig)
        if not -states <= select_layer < states:
            raise ConfigError(f"select_layer must be from {-states} to {states - 1}, got {select_layer}")
        known = states if has_classes else 0
        if not 0 <= cls_layers <= known:
            raise ConfigError(
                f"the encoder has {known} class tokens of a frame to remember, got {cls_layers}; "
                "compressor.memory_layers says how many"
            )
        if not has_classes and (stem or matching or temporal):
            raise ConfigError("stem, matching and temporal go with a CLIP encoder")
        if chunk_frames < 1:
            raise ConfigError(f"chunk_frames must be at least 1, got {chunk_frames}")
        if stem is not None and stem.channels[-1] != config.num_channels:
            raise ConfigError(
                f"the stem's last channels, {stem.channels[-1]}, are not the encoder's num_channels "
                f"{config.num_channels}"
            )
        self.select_layer = select_layer
        self.cls_layers = cls_layers
        self.chunk_frames = chunk_frames
        self.grid = (size // patch, size // patch)
        self.width = config.hidden_size
        self.stem = None if stem is None else ConvStem(stem)
        self.matching = None if matching is None else _matching(matching, stem)
        self.tower: Any = _TOWERS[type(config)](config)
        self.tower.embeddings.register_forward_hook(_laid_out_row_by_row)
        self.queries = None if queries is None else FrameQueries(queries, config.hidden_size)
        if queries is not None:
            self.grid, self.width = (queries.num_queries, 1), queries.hidden_size
        self._first_patch = int(has_classes)
        self.temporal = nn.ModuleDict()
        if temporal is not None:
            for layer in _temporal_layers(temporal, config.num_hidden_layers):
                self.temporal[str(layer)] = TemporalAttention(temporal, self.width)

    def forward(self, frames_T3HW: Tensor, runs: Sequence[tuple[int, int]] | None = None) -> Patches:
        """Encodes frames.

        Args:
            frames_T3HW: Normalised frames of the encoder's size; cast to the tower's dtype. Where frames see one
                another, those of a video stand in order of time.
            runs: First frame of each of several videos and the one past its last; all are one video by default. Frames
                see only those of their own video. Videos may have frames in common: without temporal attention a frame
                is looked at once for all in which it has the same neighbours.

        Returns:
            Their features, run by run in the order of the frames; of an encoder whose queries read questions all tokens
            of the last state, for :meth:`read_for`.
        """
        runs = [(0, len(frames_T3HW))] if runs is None else runs
        rows_RK = neighbours(runs, max(part.frames if part else 1 for part in (self.stem, self.matching)))
        if self.temporal:
            return self._encode(frames_T3HW, rows_RK, [past - first for first, past in runs])
        rows_RK, places_R = rows_RK.unique(dim=0, return_inverse=True)
        return self._encode(frames_T3HW, rows_RK, [len(rows_RK)]).at(places_R)

    def _encode(self, frames_T3HW: Tensor, rows_RK: Tensor, lengths: Sequence[int]) -> Patches:
        """Encodes the frame in the middle of each row; temporal attention takes so many of them together each time."""
        pictures = self._pictures(frames_T3HW.to(self.tower.dtype), rows_RK.to(frames_T3HW.device))
        if self.queries is not None:
            states = (self.tower(pixel_values=chunk).last_hidden_state for chunk in pictures)
            rows = states if self.reads_questions else map(self.queries, states)
            return self._without_classes(torch.cat(list(rows)))
        if self.temporal:
            parts = [self._read(self._states(pictures, lengths))]
        else:
            parts = [self._read(self._states_alone(chunk)) for chunk in pictures]
        patches, classes = zip(*parts, strict=True)
        return Patches(torch.cat(patches), torch.cat(classes, dim=1))

    @property
    def reads_questions(self) -> bool:
        """Whether the queries read a question together with each frame."""
        return self.queries is not None and self.queries.reads_questions

    def read_for(self, states_TNC: Tensor, question_L: Tensor) -> Patches:
        """Returns what queries that read questions make of frames, whose states :meth:`forward` gave, and of one."""
        assert self.queries is not None
        parts = states_TNC.split(self.chunk_frames)
        return self._without_classes(torch.cat([self.queries(part, question_L) for part in parts]))

    def _without_classes(self, rows_TPC: Tensor) -> Patches:
        """What stands for frames behind the last state, whose class token is read with the rest."""
        return Patches(rows_TPC, rows_TPC.new_empty(0, len(rows_TPC), self.width))

    def _pictures(self, frames_T3HW: Tensor, rows_RK: Tensor) -> Iterator[Tensor]:
        """What the tower looks at, a few frames at a time, (t, F, h, w) each."""
        if self.matching is not None:
            looks_TChw = self._in_chunks(self.matching.looks, frames_T3HW)
        for rows_rK in rows_RK.split(self.chunk_frames):
            if self.stem is None:
                yield frames_T3HW[middle(rows_rK, 1)[:, 0]]
                continue
            picture = self.stem(frames_T3HW, middle(rows_rK, self.stem.frames))
            if self.matching is not None:
                picture = picture + self.matching(looks_TChw, middle(rows_rK, self.matching.frames))
            yield picture

    def _states_alone(self, pictures_TFHW: Tensor) -> tuple[Tensor, ...]:
        """Hidden states of frames that do not see one another in the tower, embeddings first, (T, N, C) each."""
        states: tuple[Tensor, ...] = self.tower(
            pixel_values=pictures_TFHW, output_hidden_states=True
        ).hidden_states
        return states

    def _states(self, pictures: Iterable[Tensor], lengths: Sequence[int]) -> Iterator[Tensor]:
        """Hidden states of frames that see one another, embeddings first, (T, N, C) each.

        What transformers' ``CLIPVisionModel`` does, but for all frames one layer before the next.
        """
        tower = self.tower
        states_TNC = torch.cat([tower.pre_layrnorm(tower.embeddings(chunk)) for chunk in pictures])
        yield states_TNC
        for number, layer in enumerate(tower.encoder.layers):
            states_TNC = self._in_chunks(partial(layer, attention_mask=None), states_TNC)
            if str(number) in self.temporal:
                look = self.temporal[str(number)]
                states_TNC = torch.cat([look(video) for video in states_TNC.split(list(lengths))])
            yield states_TNC

    def _in_chunks(self, step: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        return torch.cat([step(chunk) for chunk in rows.split(self.chunk_frames)])

    def _read(self, states: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """Takes patches and class tokens of hidden states, (T, P, C) and (L, T, C), and lets go of the rest."""
        count = len(self.tower.encoder.layers) + 1
        classes = []
        for number, state_TNC in enumerate(states):
            classes.append(state_TNC[:, 0].clone())
            if number == self.select_layer % count:
                patches_TPC = state_TNC[:, self._first_patch :]
        return patches_TPC, torch.stack(classes)[count - self.cls_layers :]


def _laid_out_row_by_row(module: nn.Module, given: object, states_TNC: Tensor) -> Tensor:
    """Hidden states as layers read them: SigLIP's embeddings lie channel by channel, as all layers then would."""
    return states_TNC.contiguous()


def _matching(settings: MatchingSettings, stem: StemSettings | None) -> FrameMatching:
    """Comparison whose result has the shape of the stem's."""
    if stem is None or stem.stride % settings.stride:
        stride = "there is no stem" if stem is None else f"the stem has {stem.stride}"
        raise ConfigError(
            f"matching.stride must divide the stride of the stem, got {settings.stride}; {stride}"
        )
    return FrameMatching(settings, stem.stride, stem.channels[-1])


def _temporal_layers(settings: TemporalSettings, depth: int) -> list[int]:
    """Numbers of the tower's layers that temporal attention follows, 0 the first, in order."""
    layers = range(depth) if settings.layers is None else settings.layers
    for layer in layers:
        if not -depth <= layer < depth:
            raise ConfigError(f"temporal.layers must be from {-depth} to {depth - 1}, got {layer}")
    return sorted({layer % depth for layer in layers})
