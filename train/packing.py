"""Several conversations as one row: about one video, each of which sees the video and itself, or about nothing shared.

    positions   0 … v-1   v …        v …        v …
                video     question   question   question
                          answer     answer     answer

The video is read once for all of them, and none can copy from another's answer: each token gets the logits it would get
in a row of its own (tested), at the cost of the shared beginning once. Rows of different videos are joined behind one
another (:func:`join`): attention is then block-diagonal, and positions start anew in every block.

Shapes: B rows, L tokens of the longest row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from videollm.model.prompting import IGNORED, RenderedPrompt

_PADDING = -1
# Owners of the n-th block of a joined row are counted from n times this; that number itself owns what the block shares.
_BLOCK = 1 << 20
_SHARED = 0
# Few different lengths: memory that one batch used fits the next, and a compiled model meets few shapes.
_LENGTH_STEP = 32


@dataclass(frozen=True, slots=True)
class PackedPrompts:
    """Conversations with a common beginning, one behind the other.

    Attributes:
        input_ids: The beginning, then what follows it in each conversation.
        labels: Ids to predict, -100 where there is no loss.
        positions: Position of each token in its own conversation.
        owners: Number of the conversation that a token belongs to, from 1; 0 in the beginning. In a joined row both
            count on from another number in each block.
    """

    input_ids: list[int]
    labels: list[int]
    positions: list[int]
    owners: list[int]


def pack(prompts: Sequence[RenderedPrompt]) -> PackedPrompts:
    """Packs conversations that begin alike, such as by the same video."""
    shared = _shared_length(prompts)
    first = prompts[0]
    row = PackedPrompts(
        first.input_ids[:shared], first.labels[:shared], list(range(shared)), [_SHARED] * shared
    )
    for number, prompt in enumerate(prompts, start=1):
        row.input_ids.extend(prompt.input_ids[shared:])
        row.labels.extend(prompt.labels[shared:])
        row.positions.extend(range(shared, len(prompt.input_ids)))
        row.owners.extend([number] * (len(prompt.input_ids) - shared))
    return row


def join(rows: Sequence[PackedPrompts]) -> PackedPrompts:
    """Puts rows that have nothing to do with each other behind one another; none sees anything of another."""
    return PackedPrompts(
        [token for row in rows for token in row.input_ids],
        [label for row in rows for label in row.labels],
        [position for row in rows for position in row.positions],
        [number * _BLOCK + owner for number, row in enumerate(rows) for owner in row.owners],
    )


def _shared_length(prompts: Sequence[RenderedPrompt]) -> int:
    """How many tokens all begin with; what predicts a label belongs to a conversation."""
    unlearnt = min(
        next((place for place, label in enumerate(prompt.labels) if label != IGNORED), len(prompt.labels))
        for prompt in prompts
    )
    columns = zip(*(prompt.input_ids for prompt in prompts), strict=False)
    alike = 0
    for column in columns:
        if len(set(column)) > 1:
            break
        alike += 1
    return max(min(alike, unlearnt - 1), 0)


def pad_rows(
    rows: Sequence[PackedPrompts], pad_id: int, multiple: int = _LENGTH_STEP
) -> dict[str, torch.Tensor]:
    """Pads rows on the right.

    Args:
        rows: The rows.
        pad_id: Token that fills them up.
        multiple: What the length is rounded up to a multiple of.

    Returns:
        ``input_ids``, ``labels``, ``position_ids`` and ``owners``, each (B, L) int64.
    """
    longest = max(len(row.input_ids) for row in rows)
    longest += -longest % multiple

    def padded(lists: Sequence[list[int]], fill: int) -> torch.Tensor:
        return torch.stack([F.pad(torch.tensor(ids), (0, longest - len(ids)), value=fill) for ids in lists])

    return {
        "input_ids": padded([row.input_ids for row in rows], pad_id),
        "labels": padded([row.labels for row in rows], IGNORED),
        "position_ids": padded([row.positions for row in rows], 0),
        "owners": padded([row.owners for row in rows], _PADDING),
    }


def packed_mask(owners_BL: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to attention scores: 0 where a token may look, the lowest number elsewhere.

    Args:
        owners_BL: As :func:`pad_rows` gives them. Padding sees only padding, so that no row of the scores is empty.
        dtype: Of the result.

    Returns:
        (B, 1, L, L): queries, then keys.
    """
    length = owners_BL.shape[1]
    earlier_LL = torch.ones(length, length, dtype=torch.bool, device=owners_BL.device).tril()
    keys_B1L = owners_BL[:, None, :]
    shared_BL = owners_BL.div(_BLOCK, rounding_mode="floor") * _BLOCK + _SHARED
    visible_BLL = earlier_LL & ((keys_B1L == owners_BL[:, :, None]) | (keys_B1L == shared_BL[:, :, None]))
    mask_BLL = torch.zeros(visible_BLL.shape, dtype=dtype, device=owners_BL.device)
    return mask_BLL.masked_fill_(~visible_BLL, torch.finfo(dtype).min)[:, None]
