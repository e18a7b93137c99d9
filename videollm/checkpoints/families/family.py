"""What there is to say about one family of published models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Family:
    """How a family's checkpoints become ours.

    Attributes:
        name: What people call it.
        recognise: Whether a published ``config.json`` is one of this family's.
        translate: From a published ``config.json`` to the fields of :class:`~videollm.model.VideoLLMConfig`.
        weights: Patterns of published tensors' names and what they are replaced by; the first that matches counts.
        unused: Patterns of published tensors that the model does without, as the family's own code does.
        chat_template: Jinja template of its prompts over messages whose content is text.
        placeholder: Token that stands for a visual token; the published tokenizers have it as a special one.
        derive: Tensors of ours that are made from others: given the published configuration and one file's tensors
            under our names.
    """

    name: str
    recognise: Callable[[Mapping[str, Any]], bool]
    translate: Callable[[Mapping[str, Any]], dict[str, Any]]
    weights: Sequence[tuple[str, str]]
    unused: Sequence[str]
    chat_template: str
    placeholder: str
    derive: Callable[[Mapping[str, Any], Mapping[str, Tensor]], dict[str, Tensor]] = (
        lambda _published, _tensors: {}
    )

    def sort(self, published: Iterable[str]) -> tuple[dict[str, str], list[str], list[str]]:
        """Sorts published tensors' names.

        Returns:
            Our name of each that has one, those that are known to be of no use, and those that no pattern knows.
        """
        named: dict[str, str] = {}
        unused: list[str] = []
        unknown: list[str] = []
        for name in published:
            try:
                ours = self.rename(name)
            except KeyError:
                unknown.append(name)
                continue
            if ours is None:
                unused.append(name)
            else:
                named[name] = ours
        return named, unused, unknown

    def rename(self, published: str) -> str | None:
        """Returns our name of a published tensor; ``None`` for one that is known to be of no use.

        Raises:
            KeyError: No pattern knows the name.
        """
        if any(re.match(pattern, published) for pattern in self.unused):
            return None
        for pattern, ours in self.weights:
            name, count = re.subn(pattern, ours, published, count=1)
            if count:
                return name
        raise KeyError(published)
