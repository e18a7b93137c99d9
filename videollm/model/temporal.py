"""Temporal soft attention: the tokens of one place look at one another over the frames of a video.

Follows SimVLG / EVLGen ("Expedited Training of Visual Conditioned Language Generation via Redundancy Reduction", ACL
2024, arXiv 2310.03291): inside the frame encoder, x ← x + α · softmax(q kᵀ / √d) x with q and k linear in x and a
learned scalar α that starts at 0, so that training starts from the image encoder as it was. Nothing tells which frame
came first: like frames grow alike, whatever lies between them. Deliberate differences:

- x ← x + α · (softmax(q kᵀ / √d) x - x), so that an image and a still video stay exactly as they are at any α.
- d is the width of a head; the paper's code takes the width of all heads together.
- A frame may be kept from looking further than a window, so that the cost of a long video grows with its length.

Shapes: T frames, P places (the class token among them), C width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError
from .checks import check_features
from .settings import TemporalSettings

# About so many numbers are held at once for the places that are worked on together.
_CHUNK_NUMBERS = 1 << 22


class TemporalAttention(nn.Module):
    """Lets each place of a frame look at the same place in other frames.

    Attributes:
        alpha: How much of what it sees a place takes over: 0, at first, for nothing.
        window_frames: How many frames away a frame may look; ``None`` for all of the video.
    """

    def __init__(self, settings: TemporalSettings, width: int) -> None:
        """Builds the module with fresh queries and keys, and the gate shut.

        Args:
            settings: Heads, width of queries and keys, and window; ``layers`` is for the encoder and not read here.
            width: Width C of the tokens, which ``settings.heads`` divides.

        Raises:
            ConfigError: The heads do not divide the width.
        """
        super().__init__()
        if width % settings.heads:
            raise ConfigError(f"temporal.heads must divide the encoder's width {width}, got {settings.heads}")
        self.heads = settings.heads
        self.window_frames = settings.window_frames
        self.query = nn.Linear(width, settings.hidden_size)
        self.key = nn.Linear(width, settings.hidden_size)
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, tokens_TPC: Tensor) -> Tensor:
        """Looks over the frames, for a few places at a time.

        Args:
            tokens_TPC: Tokens of all frames of one video, (T, P, C), in order of time, in the dtype of the weights;
                under autocast in float32 or the dtype of autocast.

        Returns:
            Tokens of the same shape and dtype. The result for a place depends on no other place.

        Raises:
            ConfigError: The tokens have the wrong shape or dtype; there must be at least one frame and one place.
        """
        check_features("tokens_TPC", tokens_TPC, "TPC")
        frames, _, width = tokens_TPC.shape
        chunks = tokens_TPC.split(self._places_at_once(frames, width), dim=1)
        return torch.cat([self._look(chunk) for chunk in chunks], dim=1)

    def _look(self, tokens_TPC: Tensor) -> Tensor:
        queries, keys = self.query(tokens_TPC), self.key(tokens_TPC)
        frames = range(len(tokens_TPC))
        # As many frames look together as all of them see the first.
        step = self._window(len(frames)) + 1
        moves = [
            self._look_from(frames[start : start + step], tokens_TPC, queries, keys)
            for start in frames[::step]
        ]
        return tokens_TPC + (self.alpha * torch.cat(moves)).to(tokens_TPC.dtype)

    def _look_from(self, seeing: range, tokens_TPC: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
        """What some frames see, less what they are.

        All is taken as the difference from their first frame. The weights sum to 1, so it cancels out; but frames that
        do not differ then give zero exactly, whatever the rounding.
        """
        window = self._window(len(tokens_TPC))
        seen = range(len(tokens_TPC))[max(0, seeing.start - window) : seeing.stop + window]
        changes = tokens_TPC[seen.start : seen.stop] - tokens_TPC[seeing.start].detach()
        average = F.scaled_dot_product_attention(
            self._split(queries[seeing.start : seeing.stop]),
            self._split(keys[seen.start : seen.stop]),
            self._split(changes),
            attn_mask=_mask(seeing, seen, window, tokens_TPC.device),
        )
        own = changes[seeing.start - seen.start :][: len(seeing)]
        return average.permute(2, 0, 1, 3).flatten(2) - own

    def _split(self, rows: Tensor) -> Tensor:
        """Splits the width by heads: (T, P, width) to (P, heads, T, width of a head)."""
        return rows.reshape(*rows.shape[:2], self.heads, -1).permute(1, 2, 0, 3)

    def _window(self, frames: int) -> int:
        """How far a frame looks in a video of so many."""
        return frames - 1 if self.window_frames is None else min(self.window_frames, frames - 1)

    def _places_at_once(self, frames: int, width: int) -> int:
        """How many places are worked on together: what they need at one time stays bounded."""
        seeing = self._window(frames) + 1
        seen = min(frames, 3 * seeing)
        of_a_place = frames * (width + 2 * self.query.out_features) + seen * (width + self.heads * seeing)
        return max(1, _CHUNK_NUMBERS // of_a_place)


def _mask(seeing: range, seen: range, window: int, device: torch.device) -> Tensor | None:
    """Which frame sees which, one row for each that looks; ``None`` where each sees all."""
    if max(seeing[-1] - seen[0], seen[-1] - seeing[0]) <= window:
        return None
    rows, columns = (torch.arange(part.start, part.stop, device=device) for part in (seeing, seen))
    return (rows[:, None] - columns).abs() <= window
