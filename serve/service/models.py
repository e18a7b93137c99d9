"""The models of a server by their names."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videollm.errors import UnsupportedModelError

if TYPE_CHECKING:
    from .service import ChatService


class Models:
    """Services by the names of their models, which differ; iterating gives the services in order.

    Args:
        services: At least one.
    """

    def __init__(self, services: Sequence[ChatService]) -> None:
        self._services = {service.name: service for service in services}
        assert services, "a server has a model"
        assert len(self._services) == len(services), "two models of one name: see tell_apart"

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self._services)

    @property
    def first(self) -> ChatService:
        """What answers where nobody has chosen."""
        return next(iter(self))

    @property
    def memory_bytes(self) -> int:
        """Bytes of the encoded media that are kept in memory; what services share is counted once."""
        return sum(memory.nbytes for memory in {service.memory for service in self})

    def __getitem__(self, name: str) -> ChatService:
        """Returns what answers under a name.

        Raises:
            UnsupportedModelError: Nothing does.
        """
        if name not in self._services:
            served = ", ".join(map(repr, self.names))
            verb = "is" if len(self) == 1 else "are"
            raise UnsupportedModelError(f"there is no model {name!r} here: {served} {verb} served")
        return self._services[name]

    def __iter__(self) -> Iterator[ChatService]:
        return iter(self._services.values())

    def __len__(self) -> int:
        return len(self._services)

    def refuse(self) -> None:
        """Takes no more questions; answers that are coming go on."""
        for service in self:
            service.refuse()

    def close(self, grace_s: float = 5.0) -> bool:
        """Takes no more questions, and ends the threads of the models.

        Args:
            grace_s: Seconds that answers may take to come to their end.

        Returns:
            Whether all threads have ended; see :meth:`.Engine.close`.
        """
        until_s = time.monotonic() + grace_s
        self.refuse()
        ended = [service.close(max(0.0, until_s - time.monotonic())) for service in self]
        return all(ended)


def tell_apart(directories: Sequence[Path]) -> list[str]:
    """Returns a name for each model: that of its directory, with those above in front where two have the same.

    ``a/final`` and ``b/final`` become ``a-final`` and ``b-final``; where nothing stands above, a number follows.

    Args:
        directories: Their absolute paths.
    """
    parts = [directory.parts[1:] or ("model",) for directory in directories]
    depths = [1] * len(parts)
    while True:
        names = ["-".join(own[-depth:]) for own, depth in zip(parts, depths, strict=True)]
        counts = Counter(names)
        alike = [place for place, name in enumerate(names) if counts[name] > 1]
        longer = [place for place in alike if depths[place] < len(parts[place])]
        if not longer:
            return _numbered(names)
        for place in longer:
            depths[place] += 1


def _numbered(names: Sequence[str]) -> list[str]:
    """Names of which those that came before get a number that makes them new."""
    found: list[str] = []
    for name in names:
        own, number = name, 2
        while own in found or (own != name and own in names):
            own, number = f"{name}-{number}", number + 1
        found.append(own)
    return found
