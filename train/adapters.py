"""LoRA and its kin on the language model, with the parts between the towers trained beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from videollm.checkpoints.loading import quiet_peft
from videollm.model.modeling import VideoLLM

from .tuning_settings import Alignment, Instruction, LoraSettings

if TYPE_CHECKING:  # slow to import, and not every stage adapts
    from peft import PeftModel

_LAYERS = r".*language_model\.model\.(?:decoder\.)?layers\..*(?:_proj|fc\d)"


def add_adapter(
    model: VideoLLM, settings: LoraSettings, *, base: str, saved: Sequence[str] = ()
) -> PeftModel:
    """Puts low-rank adapters into the linear layers of the language model's blocks, in place.

    Args:
        model: The model.
        settings: Rank and variant: LoRA (arXiv 2106.09685), rsLoRA, whose strength does not fall with the rank
            (2312.03732), or DoRA, which learns length and direction apart (2402.09353).
        base: Name of the model, which the adapter's files refer to.
        saved: Parts of the model that are trained in full and kept in the adapter's files: copies of them are trained.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.variant == "rslora",
        use_dora=settings.variant == "dora",
        target_modules=_LAYERS,
        modules_to_save=list(saved) or None,
    )
    with quiet_peft():
        adapted = get_peft_model(model, config)
    adapted.peft_config["default"].base_model_name_or_path = base
    assert isinstance(adapted, PeftModel)
    return adapted


def add_trained(
    model: VideoLLM, settings: Alignment | Instruction
) -> tuple[PeftModel | None, tuple[str, ...]]:
    """Gives a model what its stage trains besides what is there.

    Args:
        model: The model.
        settings: The stage's settings.

    Returns:
        The adapter, if there is one, and prefixes of the names of all parameters that are trained.
    """
    trained = settings.trained or _bridge(model)
    if not isinstance(settings, Instruction) or settings.lora is None:
        return None, trained
    # What an adapter keeps has to be a copy in it; what is folded in is trained where it stands.
    saved = [] if settings.fold else [part.removesuffix(".") for part in trained]
    adapted = add_adapter(model, settings.lora, base=str(settings.model), saved=saved)
    return adapted, (*(trained if settings.fold else ()), *adapter_names(model))


def _bridge(model: VideoLLM) -> tuple[str, ...]:
    """Prefixes of what stands between the towers and has weights."""
    names = [name for name, _ in model.named_parameters()]
    parts = ("compressor.", "projector.")
    return tuple(part for part in parts if any(name.startswith(part) for name in names))


def adapter_names(model: VideoLLM) -> list[str]:
    """Returns the names of an adapted model's parameters that belong to the adapter."""
    return [name for name, _ in model.named_parameters() if "lora_" in name or ".modules_to_save." in name]


@torch.no_grad()
def keep_share(model: VideoLLM, share: float) -> None:
    """Scales, in place, the change that LoRA has made: a point on the line from the model before to the one after.

    On that line much of what was forgotten comes back before much of what was learnt is gone (WiSE-FT, arXiv
    2109.01903, there over all weights).

    Args:
        model: The adapted model.
        share: Share of the change that is kept, 1 for all of it.
    """
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # the change is the product of A and B
            weight.mul_(share)


def save_adapter(adapted: PeftModel, directory: Path) -> None:
    """Writes an adapter directory, which ``load_model`` takes."""
    with quiet_peft():
        # Else peft asks the hub whether the base's vocabulary has changed.
        adapted.save_pretrained(str(directory), save_embedding_layers=False)
