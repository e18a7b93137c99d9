"""What reading one file may cost before it is given up."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Bounds that a broken or hostile file cannot cross, because the worker that reads it is stopped there.

    Attributes:
        seconds: Wall-clock seconds for one call (probing or decoding).
        memory_bytes: Private memory of the worker; the frames that are returned are bounded by it too.
        max_pixels: Pixels of one stored picture.
    """

    seconds: float = 300.0
    memory_bytes: int = 4 << 30
    max_pixels: int = 100_000_000

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_bytes", "max_pixels"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"the limit {name} must be above 0, got {getattr(self, name)}")
