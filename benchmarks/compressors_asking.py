"""Asking one trained row: the patches of the test clips are made once, and every row answers the same questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from videollm.answering import Asked, answer_all
from videollm.evaluation.items import draw_items
from videollm.media import processor_of
from videollm.model import VideoLLM
from videollm.model.segments import MergedSegments
from videollm.synthetic.language.questions import KINDS
from videollm.synthetic.language.scoring import is_right
from videollm.synthetic.reading import plan_clip, read_clip
from videollm.synthetic.scenes import Clip
from videollm.values import FramePlan

BUDGETS = (8, 16, 32, 64, 128)


class TestClips:
    """Questions about test clips, and the clips' patches.

    Args:
        model: A model whose compressor keeps every patch.
        directory: Where the patches are kept.
        questions: How many questions, over all kinds.
    """

    def __init__(self, model: VideoLLM, directory: Path, questions: int) -> None:
        self.items = draw_items(questions, 0, kinds=KINDS)
        clips = list(dict.fromkeys(item.clip for item in self.items))
        path = directory / f"test-{questions}.safetensors"
        self.plans: dict[Clip, FramePlan] = {}
        self._patches = load_file(path) if path.exists() else {}
        for clip in clips:
            self.plans[clip] = plan_clip(clip, model.config.video)
            if not path.exists():
                pixels, _ = read_clip(clip, model.config.video)
                merged = model.merge_video(processor_of(model).prepare_frames(pixels), self.plans[clip])
                parts = merged.to_tensors(torch.float16)
                self._patches |= {f"{clip.seed}/{name}": part for name, part in parts.items()}
        if not path.exists():
            directory.mkdir(parents=True, exist_ok=True)
            save_file(self._patches, path)

    def patches(self, clip: Clip) -> MergedSegments:
        """Returns the patches of a clip, features in float32."""
        prefix = f"{clip.seed}/"
        parts = {
            name.removeprefix(prefix): part for name, part in self._patches.items() if name.startswith(prefix)
        }
        return MergedSegments.from_tensors(
            {name: part.float() if part.dtype == torch.float16 else part for name, part in parts.items()}
        )


def ask_at(model: VideoLLM, test: TestClips, budget: int | None) -> dict[str, Any]:
    """Returns for each question its kind, clip, and whether the answer was right, with the mean number of tokens."""
    videos = {
        clip: model.encode_merged(
            model.compressor.merge_patches(test.patches(clip)), plan, max_visual_tokens=budget
        )
        for clip, plan in test.plans.items()
    }
    asked = [Asked(videos[item.clip], item.question.text) for item in test.items]
    got = dict(answer_all(model, asked))
    tokens = [videos[item.clip].token_count for item in test.items]
    return {
        "kinds": [item.question.kind for item in test.items],
        "clips": [item.clip.seed for item in test.items],
        "right": [bool(is_right(item.question, got[place].text)) for place, item in enumerate(test.items)],
        "tokens": sum(tokens) / len(tokens),
        "most_tokens": max(tokens),
    }
