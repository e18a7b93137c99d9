"""Frames of a video that is looked at once, as a whole and in parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..media import Frames

if TYPE_CHECKING:
    from ..model.encoder import Patches
    from ..model.encoding import Part


@dataclass(slots=True, eq=False)
class Look:
    """What the encoder looks at together.

    Attributes:
        frames: The frames.
        seen: What it makes of parts of them; those that it has not looked at yet have ``None``.
    """

    frames: Frames
    seen: dict[Part, Patches | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """Frames that something is asked about: all that is looked at together, or a part of it.

    Attributes:
        frames: The frames.
        look: What they are a part of.
        part: Which part.
        is_again: Whether other sights of the same look have all of these frames, and count what they cost.
    """

    frames: Frames
    look: Look
    part: Part = None
    is_again: bool = False

    def __post_init__(self) -> None:
        self.look.seen.setdefault(self.part, None)

    @classmethod
    def alone(cls, frames: Frames) -> Sight:
        """Returns frames that are looked at by themselves."""
        return cls(frames, Look(frames))

    @property
    def seen(self) -> Patches:
        """What the encoder makes of these frames, once it has looked."""
        seen = self.look.seen[self.part]
        assert seen is not None
        return seen
