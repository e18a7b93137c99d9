"""Where kept tokens come from: the share of every patch and frame in every token, for evidence and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Traces the K kept tokens of a video to its T·P patches, through the M merged tokens between them.

    Attributes:
        merged_TP: Index of the merged token each patch went into, int64, (T, P).
        sizes_M: Patches each merged token stands for, float32.
        shares: For each segment, the part of each of its merged tokens that went into each of its kept tokens, float32,
            (K_s, M_s), columns sum to 1; ``None`` where the merged tokens themselves were kept.
        memory: Leading memory tokens, which come from all frames alike.
    """

    merged_TP: Tensor
    sizes_M: Tensor
    shares: tuple[Tensor, ...] | None
    memory: int

    def sizes_K(self) -> Tensor:
        """Patches each kept token stands for, float32, (K,). Memory tokens come from class tokens and count none."""
        return torch.cat(
            [self.sizes_M.new_zeros(self.memory), self._through_shares(self.sizes_M[:, None])[:, 0]]
        )

    def frame_shares(self) -> Tensor:
        """Share of each frame in every kept token, float32, (K, T); rows sum to 1."""
        frames, patches = self.merged_TP.shape
        frame = torch.arange(frames, device=self.merged_TP.device)[:, None].expand(frames, patches)
        counts = self.sizes_M.new_zeros(len(self.sizes_M), frames)
        counts.index_put_((self.merged_TP, frame), self.sizes_M.new_ones(()), accumulate=True)
        rows = torch.cat([counts.new_ones(self.memory, frames), self._through_shares(counts)])
        return rows / rows.sum(dim=1, keepdim=True)

    def patch_shares(self, token: int) -> Tensor:
        """Share of each patch in the kept token of this index, float32, (T, P); they sum to 1."""
        shares = (
            torch.ones_like(self.sizes_M) if token < self.memory else self._shares_of(token - self.memory)
        )
        patches = shares[self.merged_TP]
        return patches / patches.sum()

    def _through_shares(self, values: Tensor) -> Tensor:
        """Carries sums over merged tokens, (M, ·), to the kept tokens of the segments."""
        if self.shares is None:
            return values
        parts = torch.split(values, [shares.shape[1] for shares in self.shares])
        return torch.cat([shares @ part for shares, part in zip(self.shares, parts, strict=True)])

    def _shares_of(self, token: int) -> Tensor:
        """Part of each merged token that went into one kept token (not counting memory), (M,)."""
        column = self.sizes_M.new_zeros(len(self.sizes_M))
        if self.shares is None:
            column[token] = 1
            return column
        first = 0
        for shares in self.shares:
            if token < len(shares):
                column[first : first + shares.shape[1]] = shares[token]
                return column
            token -= len(shares)
            first += shares.shape[1]
        raise IndexError("the video has fewer tokens")


def shares_from_attention(
    attention_SKM: Tensor, counts: Sequence[int], lengths: Sequence[int]
) -> tuple[Tensor, ...]:
    """Shares each merged token out among its segment's queries, in proportion to how much they looked at it.

    Args:
        attention_SKM: Attention of queries to tokens, padded.
        counts: Queries used of each segment.
        lengths: Tokens of each segment.

    Returns:
        For each segment (count, length); columns sum to 1. A token that no query looked at falls to all alike.
    """
    shares = []
    for attention, count, length in zip(attention_SKM.detach().float(), counts, lengths, strict=True):
        looks = attention[:count, :length]
        total = looks.sum(dim=0)
        shares.append(torch.where(total > 0, looks / total, 1 / count))
    return tuple(shares)
