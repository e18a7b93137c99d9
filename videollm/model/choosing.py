"""Which token comes next: the likeliest, or one by chance, of one answer or of several at once.

Shapes: B answers, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from ..errors import ConfigError
from ..values import GenerationSettings


class Chooser:
    """Picks one answer's next token: the likeliest, or by chance at a temperature above 0.

    Attributes:
        placeholder_id: The id that no answer may hold.
        is_plain: Whether it picks the likeliest token of the logits as they are.
    """

    def __init__(self, settings: GenerationSettings, placeholder_id: int, device: torch.device) -> None:
        """Prepares the processors and seeds the chance.

        Args:
            settings: Temperature, ``top_p``, repetition penalty (of the answer's own ids) and seed.
            placeholder_id: The id that no answer may hold.
            device: Where the logits are.
        """
        self.placeholder_id = placeholder_id
        self._processors: Any = LogitsProcessorList(
            [SuppressTokensLogitsProcessor([placeholder_id], device=str(device))]
        )
        if settings.repetition_penalty != 1:
            self._processors.append(RepetitionPenaltyLogitsProcessor(float(settings.repetition_penalty)))
        self._samples = settings.temperature > 0
        self.is_plain = not self._samples and settings.repetition_penalty == 1
        if self._samples:
            self._processors.append(TemperatureLogitsWarper(float(settings.temperature)))
        if self._samples and settings.top_p < 1:
            self._processors.append(TopPLogitsWarper(float(settings.top_p)))
        self._random = torch.Generator(device)
        if settings.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(settings.seed)

    def choose(self, answer: Sequence[int], logits_1V: Tensor) -> int:
        """Returns the next id.

        Args:
            answer: Ids of the answer so far.
            logits_1V: Logits of what comes next, float32, (1, V).

        Raises:
            ConfigError: The logits are not finite.
        """
        if not torch.isfinite(logits_1V).all():
            raise _not_finite()
        written = torch.tensor([answer], dtype=torch.int64, device=logits_1V.device).view(1, -1)
        scores_1V: Tensor = self._processors(written, logits_1V)
        if not self._samples:
            return int(scores_1V.argmax())
        return int(torch.multinomial(scores_1V.softmax(dim=-1), 1, generator=self._random))


def choose_each(
    choosers: Sequence[Chooser], answers: Sequence[Sequence[int]], logits_BV: Tensor
) -> list[int | ConfigError]:
    """Picks the next token of several answers, those that take the likeliest one all together.

    Args:
        choosers: One for each answer, all of one model.
        answers: Ids of each answer so far.
        logits_BV: Logits of what comes next, float32, (B, V).

    Returns:
        The next id of each answer, or the error of one whose logits are not finite.
    """
    finite_B = torch.isfinite(logits_BV).all(dim=-1).tolist()
    barred = torch.tensor([choosers[0].placeholder_id], device=logits_BV.device)
    likeliest_B = logits_BV.index_fill(1, barred, -torch.inf).argmax(dim=-1).tolist()
    chosen: list[int | ConfigError] = []
    for row, (chooser, answer) in enumerate(zip(choosers, answers, strict=True)):
        if not finite_B[row]:
            chosen.append(_not_finite())
        elif chooser.is_plain:
            chosen.append(likeliest_B[row])
        else:
            chosen.append(chooser.choose(answer, logits_BV[row : row + 1]))
    return chosen


def _not_finite() -> ConfigError:
    return ConfigError(
        "the language model's numbers are not finite: load it with another dtype, such as float32"
    )
