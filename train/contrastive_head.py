"""CLIP's contrastive head, put on the ViT to pretrain it and thrown away afterwards."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .optimization import Head


class ContrastiveHead(Head):
    """CLIP's symmetric InfoNCE between a frame's CLS feature and the mean of its caption's token features.

    Source: Radford et al. 2021 (arXiv 2103.00020). Pairs whose captions are equal are no negatives of each other.

    Args:
        vocabulary: Number of token ids.
        width: Width of the CLS feature.
        shared: Width of the shared space.
    """

    def __init__(self, vocabulary: int, width: int, shared: int = 128) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(vocabulary, width, mode="mean")
        self.text = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, shared))
        self.image = nn.Linear(width, shared)
        self.log_scale = nn.Parameter(torch.tensor(2.66))  # CLIP's start: a temperature of 0.07

    def forward(self, cls_BD: torch.Tensor, captions: list[torch.Tensor]) -> torch.Tensor:
        """Returns the mean loss of both directions; ``captions`` are the token ids of each frame's caption."""
        offsets = torch.tensor([0, *[len(ids) for ids in captions[:-1]]], device=cls_BD.device).cumsum(0)
        text_BS = F.normalize(self.text(self.words(torch.cat(captions), offsets)), dim=-1)
        image_BS = F.normalize(self.image(cls_BD), dim=-1)
        logits_BB = self.log_scale.exp().clamp(max=100) * image_BS @ text_BS.T
        logits_BB = logits_BB.float().masked_fill(_equal_pairs(captions, cls_BD.device), float("-inf"))
        truth_B = torch.arange(len(captions), device=cls_BD.device)
        return (F.cross_entropy(logits_BB, truth_B) + F.cross_entropy(logits_BB.T, truth_B)) / 2


def _equal_pairs(captions: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    """True where two different frames have the same caption."""
    numbers: dict[tuple[int, ...], int] = {}
    kinds = torch.tensor(
        [numbers.setdefault(tuple(ids.tolist()), len(numbers)) for ids in captions], device=device
    )
    return (kinds[:, None] == kinds[None, :]).fill_diagonal_(False)
