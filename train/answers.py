"""The loss of answers: cross-entropy of the learnt tokens, with logits nowhere else.

Shapes: B rows, L tokens, S learnt tokens, K visual tokens, D width, V vocabulary.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from videollm.model.prompting import IGNORED

from .packing import packed_mask
from .task import Batch


def answer_loss(
    model: nn.Module, batch: Batch, dtype: torch.dtype, visual_KD: torch.Tensor | None = None
) -> torch.Tensor:
    """Returns the loss of a batch of packed or single rows, summed over their learnt tokens.

    Args:
        model: A :class:`~videollm.model.modeling.VideoLLM`.
        batch: ``input_ids``, ``labels``, ``position_ids`` and ``owners``, as :func:`.packing.pad_rows` gives them;
            perhaps ``excluded``, (E, 3) int64: row, place of a label, and an id that does not compete with it.
        dtype: Of the model's attention.
        visual_KD: The visual tokens of the batch's videos, in reading order; ``None`` for texts alone.
    """
    next_BL = F.pad(batch["labels"][:, 1:], (0, 1), value=IGNORED)
    wanted_BL = next_BL != IGNORED
    logits_SV = model(
        input_ids=batch["input_ids"],
        attention_mask=packed_mask(batch["owners"], dtype),
        position_ids=batch["position_ids"],
        visual_tokens=visual_KD,
        use_cache=False,
        logits_to_keep=wanted_BL,
    ).logits.float()
    if "excluded" in batch:
        rows_E, places_E, ids_E = batch["excluded"].unbind(dim=1)
        order_BL = wanted_BL.flatten().cumsum(0).view_as(wanted_BL) - 1
        barred = torch.zeros_like(logits_SV, dtype=torch.bool)
        barred[order_BL[rows_E, places_E - 1], ids_E] = True
        logits_SV = logits_SV.masked_fill(barred, -math.inf)
    return F.cross_entropy(logits_SV, next_BL[wanted_BL], reduction="sum")
