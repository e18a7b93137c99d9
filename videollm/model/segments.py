"""Tokens of a video's segments before queries read them: the part of the compressor that has no weights.

Shapes: S segments, M tokens of all segments together, C width, L memory tokens, T frames of P patches, N = T·P.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import DataError
from ..values import FramePlan
from .budget import Scouting
from .compressor_config import VQConfig
from .merging import average_groups
from .quantization import choose_count, quantize
from .runs import Merge, merge_runs
from .segmentation import frame_changes, segments_by_change


@dataclass(frozen=True, slots=True, eq=False)
class MergedSegments:
    """All segments of one video, one after the other in order of time.

    Attributes:
        tokens_MC: Tokens, any float dtype.
        sizes_M: Patches each token stands for, float32.
        positions_M3: Their mean second, row and column (rows and columns from 0 to 1), float32.
        lengths_S: Tokens of each segment, int64; on the CPU, like ``runs_S2``, so that reading it waits for no
            device.
        runs_S2: First and past-the-last frame index of each segment, int64.
        spans_S2: Start and end of each segment in seconds, float32.
        memory_LC: Class tokens averaged over the video, shallow before deep.
        sources_N: Which token each patch went into, int64; patches in order of frame, row and column.
        times_T: Seconds of the frames, float32.
        changes_T: How much each frame differs from the one before (see ``frame_changes``), float32.
    """

    tokens_MC: Tensor
    sizes_M: Tensor
    positions_M3: Tensor
    lengths_S: Tensor
    runs_S2: Tensor
    spans_S2: Tensor
    memory_LC: Tensor
    sources_N: Tensor
    times_T: Tensor
    changes_T: Tensor

    @classmethod
    def of_patches(
        cls,
        patches_TPC: Tensor,
        memory_LC: Tensor,
        plan: FramePlan,
        grid: tuple[int, int],
    ) -> MergedSegments:
        """Every patch as a token of its own, in the segments of ``plan``.

        Args:
            patches_TPC: Patch features in raster order.
            memory_LC: Class tokens averaged over the video.
            plan: Times and segments of the T frames.
            grid: Rows and columns of the P patches.
        """
        device = patches_TPC.device
        patches = math.prod(grid)
        count = plan.frame_count * patches
        return cls(
            tokens_MC=patches_TPC.flatten(0, 1),
            sizes_M=torch.ones(count, device=device),
            positions_M3=_positions(torch.tensor(plan.times_s, dtype=torch.float32, device=device), *grid),
            lengths_S=torch.tensor([(past - first) * patches for first, past in plan.segments]),
            runs_S2=torch.tensor(plan.segments),
            spans_S2=torch.tensor(plan.spans_s, device=device),
            memory_LC=memory_LC,
            sources_N=torch.arange(count, device=device),
            times_T=torch.tensor(plan.times_s, dtype=torch.float32, device=device),
            changes_T=frame_changes(patches_TPC),
        )

    def cut_by_content(self) -> MergedSegments:
        """As many segments, drawn where the picture changes most; every token must still be one patch."""
        runs = segments_by_change(self.changes_T, len(self.runs_S2))
        patches = len(self.tokens_MC) // len(self.times_T)
        video_end = self.spans_S2[-1:, 1]
        starts = self.times_T[[first for first, _ in runs]]
        starts[0] = self.spans_S2[0, 0]
        return replace(
            self,
            lengths_S=torch.tensor([(past - first) * patches for first, past in runs]),
            runs_S2=torch.tensor(runs),
            spans_S2=torch.stack([starts, torch.cat([starts[1:], video_end])], dim=1),
        )

    def adapt(self, plan: FramePlan) -> FramePlan:
        """Returns ``plan`` with the segments that these are."""
        return replace(plan, segments=tuple((first, past) for first, past in self.runs_S2.tolist()))

    def scout(self, codebook: VQConfig | None = None) -> Scouting:
        """Says what these tokens tell about how many of them the video deserves.

        Args:
            codebook: Settings of the codebook that these are made into, if they are.
        """
        changes = self.changes_T.tolist()
        codes = None
        if codebook is not None:
            codes = len(self.tokens_MC)
            if codebook.adaptive:
                codes = choose_count(self.tokens_MC, codebook.codes, sizes_N=self.sizes_M)
        return Scouting(
            tuple((first, past) for first, past in self.runs_S2.tolist()),
            tuple(math.fsum(changes[first:past]) for first, past in self.runs_S2.tolist()),
            codes,
        )

    def to_tensors(self, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """Returns the parts by name, detached and contiguous, as safetensors stores them.

        Args:
            dtype: Dtype for the features (``tokens_MC``, ``memory_LC``), such as float16 to halve the file; as they
                are by default.
        """
        features = {"tokens_MC": self.tokens_MC.to(dtype), "memory_LC": self.memory_LC.to(dtype)}
        parts = {part.name: getattr(self, part.name) for part in fields(self)} | features
        return {name: part.detach().contiguous() for name, part in parts.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> MergedSegments:
        """Reads what :meth:`to_tensors` gave."""
        return cls(**tensors)

    def to(self, device: torch.device | str) -> MergedSegments:
        """Returns the segments with everything that is computed with on ``device``."""
        moved = {part.name: getattr(self, part.name).to(device) for part in fields(self)}
        return MergedSegments(**(moved | {"lengths_S": self.lengths_S, "runs_S2": self.runs_S2}))

    def join(self, runs: tuple[tuple[int, int], ...]) -> MergedSegments:
        """Lays neighbouring segments together; the tokens stay as they are.

        Args:
            runs: Frame runs ``(first, past_last)`` wanted, each made of whole segments, together covering all.

        Raises:
            DataError: The runs are not made of whole segments.
        """
        own = [tuple(run) for run in self.runs_S2.tolist()]
        if tuple(own) == runs:
            return self
        groups = [
            [segment for segment, (first, past) in enumerate(own) if run[0] <= first and past <= run[1]]
            for run in runs
        ]
        covered = [(own[group[0]][0], own[group[-1]][1]) for group in groups if group]
        if covered != list(runs) or list(chain(*groups)) != list(range(len(own))):
            raise DataError(
                f"the token plan's runs of frames {list(runs)} do not join the video's segments {own}"
            )
        return replace(
            self,
            lengths_S=torch.stack([self.lengths_S[group].sum() for group in groups]),
            runs_S2=torch.tensor(runs),
            spans_S2=torch.stack([self.spans_S2[group][[0, -1], [0, 1]] for group in groups]),
        )

    def merge(self, targets: Sequence[int], merge: Merge) -> MergedSegments:
        """Merges the similar tokens of each segment until as many are left as its target says.

        Args:
            targets: Tokens to keep of each segment.
            merge: How; see ``merge_runs``.
        """
        lengths = self.lengths_S.tolist()
        if list(targets) == lengths:
            return self
        merged = merge_runs(
            self.tokens_MC, lengths, targets, sizes=self.sizes_M, positions=self.positions_M3, merge=merge
        )
        assert merged.positions is not None
        return replace(
            self,
            tokens_MC=merged.tokens,
            sizes_M=merged.sizes,
            positions_M3=merged.positions,
            lengths_S=torch.tensor(targets),
            sources_N=merged.sources[self.sources_N],
        )

    def quantize(self, count: int, *, by_size: bool = True) -> MergedSegments:
        """Clusters the tokens of the whole video into codes, which are one segment then.

        Args:
            count: Codes.
            by_size: Whether a token counts as much as the patches that it stands for when clusters are found; else all
                count alike. A code is the mean by size either way.
        """
        whole = self.join(((0, len(self.times_T)),))
        if count == len(self.tokens_MC):
            return whole
        codebook = quantize(self.tokens_MC, count, sizes_N=self.sizes_M if by_size else None)
        codes = average_groups(
            self.tokens_MC[None],
            codebook.labels_N[None],
            count,
            sizes=self.sizes_M[None],
            positions=self.positions_M3[None],
        )
        assert codes.positions is not None
        return replace(
            whole,
            tokens_MC=codes.tokens[0],
            sizes_M=codes.sizes[0],
            positions_M3=codes.positions[0],
            lengths_S=torch.tensor([count]),
            sources_N=codebook.labels_N[self.sources_N],
        )

    def patch_positions(self, grid: tuple[int, int]) -> Tensor:
        """Second, row and column (centres, from 0 to 1) of every patch, float32, (N, 3)."""
        return _positions(self.times_T, *grid)

    def pool(self, cells: Sequence[tuple[int, int, int]], grid: tuple[int, int]) -> MergedSegments:
        """Averages the cells of a regular grid in each segment; every token must still be one patch.

        Args:
            cells: Cells of each segment along time, rows and columns.
            grid: Rows and columns of patches of a frame.
        """
        counts = [math.prod(sides) for sides in cells]
        labels, first = [], 0
        for (start, past), sides, count in zip(self.runs_S2.tolist(), cells, counts, strict=True):
            labels.append(first + _cell_of_patch((past - start, *grid), sides))
            first += count
        pooled = average_groups(
            self.tokens_MC[None],
            torch.cat(labels)[None].to(self.tokens_MC.device),
            first,
            sizes=self.sizes_M[None],
            positions=self.positions_M3[None],
        )
        assert pooled.positions is not None
        return replace(
            self,
            tokens_MC=pooled.tokens[0],
            sizes_M=pooled.sizes[0],
            positions_M3=pooled.positions[0],
            lengths_S=torch.tensor(counts),
            sources_N=pooled.sources[0],
        )

    def token_extents(self, plan: FramePlan, grid: tuple[int, int]) -> Tensor:
        """When and where each token begins and ends.

        Args:
            plan: The frame plan.
            grid: Rows and columns of patches of a frame.

        Returns:
            float32, (M, 2, 3). Of the first frame that has a patch in the token: its start in seconds, and the mean row
            and column (0 to 1) of those patches. Of the last one the same, with its end.
        """
        single_frames = tuple((frame, frame + 1) for frame in range(plan.frame_count))
        seconds_T2 = torch.tensor(replace(plan, segments=single_frames).spans_s, device=self.sources_N.device)
        frame_N = torch.arange(plan.frame_count, device=self.sources_N.device).repeat_interleave(
            len(self.sources_N) // plan.frame_count
        )
        places_N3 = functional.pad(self.patch_positions(grid)[:, 1:], (0, 1), value=1.0)
        ends = []
        for seconds_T, reduce in zip(seconds_T2.unbind(dim=1), ("amin", "amax"), strict=True):
            frame_M = frame_N.new_zeros(len(self.sizes_M)).scatter_reduce(
                0, self.sources_N, frame_N, reduce, include_self=False
            )
            there_N = frame_N == frame_M[self.sources_N]
            # The third column counts. A mask, not a choice: on a GPU that would wait to learn how many there are.
            sums_M3 = places_N3.new_zeros(len(self.sizes_M), 3).index_add(
                0, self.sources_N, places_N3 * there_N[:, None]
            )
            ends.append(torch.cat([seconds_T[frame_M, None], sums_M3[:, :2] / sums_M3[:, 2:]], dim=1))
        return torch.stack(ends, dim=1)


def _positions(times_T: Tensor, rows: int, columns: int) -> Tensor:
    """Second, row and column (centres, from 0 to 1) of every patch, (N, 3)."""
    device = times_T.device
    row, column = ((torch.arange(n, device=device) + 0.5) / n for n in (rows, columns))
    return torch.cartesian_prod(times_T, row, column).view(-1, 3)


def _cell_of_patch(patches: tuple[int, int, int], cells: tuple[int, int, int]) -> Tensor:
    """Cell of a regular grid that each patch of a run lies in, int64; both along time, rows and columns."""
    along = [torch.arange(n) * parts // n for n, parts in zip(patches, cells, strict=True)]
    time, row, column = torch.meshgrid(*along, indexing="ij")
    _, high, wide = cells
    return ((time * high + row) * wide + column).flatten()
