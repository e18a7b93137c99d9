"""A conversation's way to a model that many share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from videollm.model.generation import PromptCache
    from videollm.values import GenerationSettings

    from .engine import Engine
    from .engine_waiting import EngineStream

Result = TypeVar("Result")


class EngineDriver:
    """Calls the model on an owner's behalf; see :class:`videollm.asking.Driver`.

    Args:
        engine: What runs the model.
        owner: On whose behalf.
    """

    def __init__(self, engine: Engine, owner: str) -> None:
        self._engine, self._owner = engine, owner
        self._stream: EngineStream | None = None

    @property
    def place(self) -> int | None:
        """How many others come before the last answer that was asked for; ``None`` once it has begun."""
        return None if self._stream is None else self._stream.place

    def stream(
        self,
        input_ids: Sequence[int],
        visual_tokens: Tensor | None,
        settings: GenerationSettings,
        *,
        cache: PromptCache,
        should_stop: Callable[[], bool],
    ) -> EngineStream:
        """See :class:`videollm.asking.Driver`."""
        self._stream = self._engine.stream(
            self._owner, input_ids, visual_tokens, settings, cache=cache, should_stop=should_stop
        )
        return self._stream

    def run(self, work: Callable[[], Result]) -> Result:
        """See :class:`videollm.asking.Driver`."""
        # Part of an answer: of one that is whole but for its evidence nothing may be lost.
        return self._engine.submit(self._owner, work, is_admitted=True).result()
