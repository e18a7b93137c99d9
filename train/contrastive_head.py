"""What is put on the ViT to pretrain it and thrown away afterwards: a caption decoder and a text tower."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class CaptionHead(nn.Module):
    """A small Transformer decoder that reads a frame's patches and writes its caption.

    Args:
        vocabulary: Number of token ids.
        width: Width of the patches and of the decoder.
        heads: Attention heads.
        layers: Decoder layers.
        context: Longest caption in tokens.
    """

    def __init__(self, vocabulary: int, width: int, heads: int, layers: int, context: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        nn.init.normal_(self.position.weight, std=width**-0.5)
        self.seen = nn.LayerNorm(width)
        layer = nn.TransformerDecoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(width))

    def forward(self, ids_BL: torch.Tensor, patches_BPD: torch.Tensor) -> torch.Tensor:
        """Returns the logits (B, L, V) of the token after each position of ``ids_BL``."""
        length = ids_BL.shape[1]
        # Scaled as by Vaswani et al. (arXiv 1706.03762, section 3.4): weaker, a word would drown in what the layers
        # add, and none could look for the place or the object that it has just named.
        hidden_BLD = (
            self.embedding(ids_BL) + self.position.weight[:length]
        ) * self.embedding.embedding_dim**0.5
        causal = nn.Transformer.generate_square_subsequent_mask(
            length, device=ids_BL.device, dtype=hidden_BLD.dtype
        )
        hidden_BLD = self.decoder(hidden_BLD, self.seen(patches_BPD), tgt_mask=causal, tgt_is_causal=True)
        return hidden_BLD @ self.embedding.weight.T

    @torch.no_grad()
    def greedy(self, patches_BPD: torch.Tensor, start: int, end: int, limit: int) -> list[list[int]]:
        """Writes the most likely caption of each frame, without ``start`` and ``end``."""
        ids_BL = torch.full((len(patches_BPD), 1), start, device=patches_BPD.device)
        for _ in range(limit):
            following = self(ids_BL, patches_BPD)[:, -1].argmax(-1, keepdim=True)
            ids_BL = torch.cat([ids_BL, following], 1)
            if bool((ids_BL == end).any(1).all()):
                break
        return [_until(row[1:], end) for row in ids_BL.tolist()]


class ContrastiveHead(nn.Module):
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


def _until(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
