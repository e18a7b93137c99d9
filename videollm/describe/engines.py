"""Who describes the files of a job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..model.modeling import VideoLLM
from .batch import Outcome, describe_batch
from .fingerprints import fingerprint
from .rows import Source
from .settings import DescribeOptions


class Engine(Protocol):
    """Who describes: a model in this program, or many of them elsewhere."""

    def check(self, options: DescribeOptions) -> None:
        """Raises ``ConfigError`` if it cannot do what is wished for."""

    def fingerprint(self, options: DescribeOptions) -> str:
        """Returns the fingerprint of the model and of the options."""

    def describe(
        self,
        sources: Iterable[Source],
        options: DescribeOptions,
        *,
        batch_size: int,
        should_stop: Callable[[], bool],
        at_work: Callable[[Sequence[Source]], None],
    ) -> Iterator[Outcome]:
        """Describes files, as :func:`~videollm.describe.batch.describe_batch` does."""


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """A model in this program."""

    model: VideoLLM

    def check(self, options: DescribeOptions) -> None:
        """See :class:`Engine`."""
        options.check(self.model.config.describe, self.model.config.video)

    def fingerprint(self, options: DescribeOptions) -> str:
        """See :class:`Engine`."""
        return fingerprint(self.model, options)

    def describe(self, sources: Iterable[Source], options: DescribeOptions, **how: Any) -> Iterator[Outcome]:
        """See :class:`Engine`."""
        return describe_batch(self.model, sources, options, **how)
