"""Gives the projector a start from which the language model understands a ViT that it has never met.

The language model learned to read patches that say outright what they show (see ``told``). Of every merged token of a
rendered clip, both are known: what the ViT made of its patches, and what those patches would have told. So the
projector's first layer can be found in closed form (ridge regression) such that it makes of the one what it made of
the other; stage 1 then starts there, instead of finding out by captions which direction means "red".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videollm.errors import ConfigError
from videollm.model.merging import average_groups
from videollm.model.modeling import VideoLLM

from .features import FeatureStore, told_encoder

# Against directions that hardly vary; a share of the mean variance.
_RIDGE = 1e-3


@torch.no_grad()
def fit_projector(model: VideoLLM, store: FeatureStore, clips: int) -> float:
    """Fits norm and first layer of the projector, in place, to the first clips of ``store``.

    Args:
        model: A model whose projector reads told patches.
        store: Features of the model's ViT, prepared for the model (``serve``).
        clips: How many of its clips are read.

    Returns:
        Share of the variance of what the first layer should give that it now gives (R²), on the clips it was fitted to.

    Raises:
        ConfigError: Between patches and projector are queries: what these read cannot be told beforehand.
    """
    if model.config.compressor.has_queries:
        raise ConfigError(
            f"fit_clips needs a compressor without queries, the model's is {model.config.compressor.kind}; set it to 0"
        )
    seen_NC, wanted_NH = _pairs(model, store, min(clips, len(store)))
    first = _first_layer(model)
    if isinstance(norm := model.projector.norm, nn.LayerNorm):
        norm.reset_parameters()
    seen_NC = norm(seen_NC).double()
    mean_C, mean_H = seen_NC.mean(0), wanted_NH.mean(0)
    seen_NC, wanted_NH = seen_NC - mean_C, wanted_NH - mean_H
    covariance_CC = seen_NC.T @ seen_NC
    ridge = _RIDGE * covariance_CC.diagonal().mean()
    weight_CH = torch.linalg.solve(
        covariance_CC + ridge * torch.eye(len(covariance_CC)), seen_NC.T @ wanted_NH
    )
    first.weight[:, : len(mean_C)] = weight_CH.T.to(first.weight.dtype)
    first.bias.add_((mean_H - mean_C @ weight_CH).to(first.bias.dtype))
    return 1 - float((wanted_NH - seen_NC @ weight_CH).square().sum() / wanted_NH.square().sum())


def _pairs(model: VideoLLM, store: FeatureStore, clips: int) -> tuple[Tensor, Tensor]:
    """What the ViT made of merged tokens, (N, C), and what the first layer said of them when they were told, (N, H)."""
    encoder, first = told_encoder(model), _first_layer(model)
    visual_HC = first.weight[:, : encoder.width]
    seen, wanted = [], []
    for index in range(clips):
        merged = store.load(index)
        told_NC = encoder.see(store.clip(index), store.plan(index)).flatten(0, 1)
        sizes_1N = torch.ones(1, len(told_NC))
        told = average_groups(told_NC[None], merged.sources_N[None], len(merged.tokens_MC), sizes=sizes_1N)
        seen.append(merged.tokens_MC)
        wanted.append(model.projector.norm(told.tokens[0]) @ visual_HC.T)
    return torch.cat(seen), torch.cat(wanted).double()


def _first_layer(model: VideoLLM) -> nn.Linear:
    layer = model.projector.layers[0]
    assert isinstance(layer, nn.Linear)
    return layer
