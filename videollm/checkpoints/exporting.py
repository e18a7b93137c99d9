"""An adapter folded into its base, written only after the two were seen to say the same."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import CheckpointError, ConfigError
from ..model.modeling import VideoLLM
from ..values import FramePlan, Message
from .card import CARD_FILE
from .directories import find_model
from .loading import load_adapted, load_model, no_progress_bars

_PROBES = ("Describe this video.", "What happens first?", "How many shots are there?", "Hello!")
_PROBE_TOKENS = 12
_PROBE_SEED = 0
# Of the logits, on their own scale. Folding adds matrices in another order; a wrong scale or a lost part is far off.
_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.02}


@dataclass(frozen=True, slots=True)
class Export:
    """A folded checkpoint.

    Attributes:
        directory: Where it lies.
        probes: Prompts on which both were compared.
        difference: Largest difference of a logit, as a share of the logits' standard deviation.
        same_words: Share of places in the probes at which both choose the same next token.
    """

    directory: Path
    probes: int
    difference: float
    same_words: float


def export_model(
    source: str | os.PathLike[str], out: Path, *, dtype: str = "float32", overwrite: bool = False
) -> Export:
    """Folds an adapter into its base and writes the whole model.

    The files are read back and asked the same as the base with the adapter beside it, in float32; they appear under
    ``out`` only when the two agree.

    Args:
        source: Adapter directory, such as the ``final`` of a run.
        out: Directory of the checkpoint.
        dtype: Precision of its weights.
        overwrite: Replace ``out`` if it exists.

    Raises:
        ConfigError: ``source`` is no adapter, or ``out`` exists.
        CheckpointError: The folded model says something else.
    """
    found = find_model(source)
    if found.adapter is None:
        raise ConfigError(f"{source}: this is a whole model, there is no adapter to fold in")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists; give --overwrite to replace it, or another directory")
    beside = _answers(load_adapted(found))
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        folded = load_model(source, device="cpu", dtype=dtype)
        with no_progress_bars():
            folded.save_pretrained(partial)
        assert folded.processor is not None
        folded.processor.save_pretrained(partial)
        card = found.adapter / CARD_FILE
        if card.is_file():  # what the adapter's card says, it says of the two together
            shutil.copy(card, partial / CARD_FILE)
        difference, same_words = _compare(beside, _answers(load_model(partial, device="cpu")))
        if difference > _TOLERANCES[folded.dtype]:
            raise CheckpointError(
                f"{source}: folded in, the adapter says something else (logits differ by {difference:.3g} of their "
                f"spread, expected at most {_TOLERANCES[folded.dtype]:g}); nothing was written"
            )
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Export(out, len(_PROBES), difference, same_words)


@torch.inference_mode()
def _answers(model: VideoLLM) -> list[torch.Tensor]:
    """Logits (N, V) of the probes, whose visual part sees the same made-up video."""
    processor, config = model.processor, model.config
    assert processor is not None
    generator = torch.Generator().manual_seed(_PROBE_SEED)
    size = config.image.size
    frames_T3HW = torch.randn(_PROBE_TOKENS, 3, size, size, generator=generator)
    times = tuple(float(second) for second in range(_PROBE_TOKENS))
    plan = FramePlan(times, tuple((n, n + 1) for n in range(_PROBE_TOKENS)), 0.0, float(_PROBE_TOKENS), True)
    video = model.encode_video(frames_T3HW, plan)
    found = []
    for text in _PROBES:
        prompt = processor.render([Message("user", f"<video>\n{text}")], [video])
        output = model(input_ids=torch.tensor([prompt.input_ids]), visual_tokens=video.tokens_KD)
        found.append(output.logits[0].float())
    return found


def _compare(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> tuple[float, float]:
    """Largest difference as a share of the spread, and the share of places with the same likeliest token."""
    one, other = torch.cat(ours), torch.cat(theirs)
    difference = float((one - other).abs().max() / one.std())
    return difference, float((one.argmax(-1) == other.argmax(-1)).float().mean())
