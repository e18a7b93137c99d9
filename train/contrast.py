"""CG-VLM's contrastive half of alignment: what a video's tokens say must be nearer its own caption than others'.

Source: "Contrastive Vision-Language Alignment Makes Efficient Instruction Learner" (CG-VLM, arXiv 2311.17945): the
similarity of a video and a text is the mean, over the text's words, of the cosine between the pooled visual tokens and
the word's embedding in the frozen language model; symmetric InfoNCE, beside the caption loss. Temperature and batch are
not published.

A batch on a small machine has few videos. Captions cost almost nothing, so that more of them stand beside the videos as
negatives; a caption that equals a video's own is none. The other direction has the videos of the batch alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

TEMPERATURE = 0.07


def caption_contrast(
    videos: Sequence[torch.Tensor], captions: Sequence[Sequence[int]], words: torch.nn.Embedding
) -> torch.Tensor:
    """Symmetric InfoNCE between videos and captions.

    Args:
        videos: Projected visual tokens of B videos, (K, D) each.
        captions: Token ids of at least B captions, each of at least one; the first B are those of the videos.
        words: The language model's word embeddings.

    Returns:
        The mean of both directions, a scalar with gradients to the visual tokens alone.
    """
    pooled_BD = F.normalize(torch.stack([rows.float().mean(dim=0) for rows in videos]), dim=-1)
    said_TD = torch.stack([_said(ids, words) for ids in captions])
    logits_BT = pooled_BD @ said_TD.T / TEMPERATURE
    own = len(videos)
    logits_BT = logits_BT.masked_fill(_same(captions, own, logits_BT.device), float("-inf"))
    truth_B = torch.arange(own, device=logits_BT.device)
    to_captions = F.cross_entropy(logits_BT, truth_B)
    return (to_captions + F.cross_entropy(logits_BT[:, :own].T, truth_B)) / 2


def _said(ids: Sequence[int], words: torch.nn.Embedding) -> torch.Tensor:
    """Mean direction of a caption's words: its product with a unit vector is the mean cosine."""
    with torch.no_grad():
        embedded_LD = words(torch.tensor(ids, device=words.weight.device)).float()
        return F.normalize(embedded_LD, dim=-1).mean(dim=0)


def _same(captions: Sequence[Sequence[int]], own: int, device: torch.device) -> torch.Tensor:
    """True where another caption says the same as a video's own, (own, captions)."""
    keys = [tuple(ids) for ids in captions]
    same = [
        [row != column and key == other for column, other in enumerate(keys)]
        for row, key in enumerate(keys[:own])
    ]
    return torch.tensor(same, device=device)
