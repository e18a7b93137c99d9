"""An encoded medium with what came of reading it: what the caches keep."""

from __future__ import annotations

from dataclasses import dataclass

from ..values import EncodedVideo


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """An encoded medium with what came of reading it.

    Attributes:
        encoded: The medium as the language model sees it.
        notices: What the person should know; see :class:`~videollm.media.Frames`.
        read_s: Seconds that reading took; 0 from the cache.
        vision_s: Seconds that encoding took; 0 from the cache.
    """

    encoded: EncodedVideo
    notices: tuple[str, ...] = ()
    read_s: float = 0.0
    vision_s: float = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        states = self.encoded.states
        kept = 0 if states is None else states.states_TNC.nbytes
        return self.encoded.tokens_KD.nbytes + self.encoded.spans_K2.nbytes + kept
