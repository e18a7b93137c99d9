"""Writing a prompt piece by piece: text, what a person typed, and places for visual tokens.

Pieces are encoded on their own at fixed cuts, so that the ids of a conversation's beginning never depend on what comes
after it: the prompt of one turn is a prefix of the prompt of the next, and the kept key-value cache stays valid.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..clock import format_time
from ..errors import ConfigError, DataError
from ..values import EncodedVideo, FramePlan
from .budget import TokenPlan
from .settings import PromptSettings

#: Label of ids that carry no loss.
IGNORED = -100

# Times and the template's own texts recur in every prompt.
_REMEMBERED_LENGTH = 24
_REMEMBERED_TEXTS = 4096

_MARK = re.compile(r"(?<!\\)<video>")


@dataclass(frozen=True, slots=True)
class VisualLayout:
    """Token counts and times of a video whose tokens are not computed yet, as training needs them.

    Attributes:
        memory: Number of leading memory tokens.
        counts: Tokens of each segment.
        segment_spans_s: Start and end of each segment in seconds.
        plan: The frame plan.
        token_spans_s: Start and end of each token in seconds; needed where prompts write them.
    """

    memory: int
    counts: tuple[int, ...]
    segment_spans_s: tuple[tuple[float, float], ...]
    plan: FramePlan
    token_spans_s: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(
        cls, plan: FramePlan, token_plan: TokenPlan, token_spans_s: Sequence[Sequence[float]] = ()
    ) -> VisualLayout:
        """Returns the layout that encoding by these two plans would give."""
        spans = tuple((start, end) for start, end in token_spans_s)
        return cls(token_plan.memory, token_plan.counts, token_plan.spans_s(plan), plan, spans)


#: What a prompt has to know about a video.
Layout = EncodedVideo | VisualLayout


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A conversation as the language model reads it.

    Attributes:
        input_ids: Token ids, with a placeholder for each visual token.
        labels: The ids of the assistant's turns with their end-of-turn token, and -100 everywhere else.
        text: The same for people.
    """

    input_ids: list[int]
    labels: list[int]
    text: str


def split_marks(content: str) -> list[str]:
    r"""Returns the texts before, between and behind the ``<video>`` marks of a message; ``\<video>`` is text."""
    return [part.replace("\\<video>", "<video>") for part in _MARK.split(content)]


def plain_text(content: str) -> str:
    r"""Returns what a person typed in a message, without the ``<video>`` marks of its media."""
    return "".join(split_marks(content)).strip()


def escape_marks(text: str) -> str:
    """Returns ``text`` such that a ``<video>`` a person typed stays text and marks no medium."""
    return text.replace("<video>", "\\<video>")


def count_marks(content: str) -> int:
    """Returns how many media a message's content marks."""
    return len(_MARK.findall(content))


class PieceEncoder:
    """Encodes pieces of a prompt with a tokenizer, each as it would be encoded inside a longer text.

    Attributes:
        tokenizer: A tokenizer of transformers.
        placeholder_id: Id of the placeholder.
    """

    def __init__(self, tokenizer: Any, prompt: PromptSettings) -> None:
        """Looks up the prompt's special tokens.

        Raises:
            ConfigError: The tokenizer does not know one of them as a special token.
        """
        self.tokenizer = tokenizer
        specials = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        for token in prompt.tokens:
            if token not in specials:
                raise ConfigError(
                    f"the tokenizer has no special token {token!r}; add it with "
                    "videollm.model.processing.add_prompt_tokens and resize the model's embeddings"
                )
        self._anchor = prompt.placeholder
        self._ids = {token: int(tokenizer.convert_tokens_to_ids(token)) for token in prompt.tokens}
        self.placeholder_id = self._ids[prompt.placeholder]
        self.special_ids = frozenset(tokenizer.convert_tokens_to_ids(list(specials)))
        self._special = re.compile(
            "|".join(re.escape(token) for token in sorted(specials, key=len, reverse=True))
        )
        self._known: dict[str, list[int]] = {"": []}

    def encode(self, text: str) -> list[int]:
        """Returns the ids of ``text`` as they are behind a special token: no beginning-of-text quirks, no additions."""
        known = self._known.get(text)
        if known is not None:
            return known
        ids: list[int] = self.tokenizer.encode(self._anchor + text, add_special_tokens=False)
        assert ids[0] == self.placeholder_id
        if len(text) <= _REMEMBERED_LENGTH and len(self._known) < _REMEMBERED_TEXTS:
            self._known[text] = ids[1:]
        return ids[1:]

    def token(self, token: str) -> int:
        """Returns the id of one of the prompt's special tokens."""
        return self._ids[token]

    def split_typed(self, text: str) -> list[str]:
        """Cuts a person's text so that no special token in it is recognised when the parts are encoded.

        Every such token, overlapping ones too, is cut behind its first character.
        """
        starts = re.finditer(f"(?=(?:{self._special.pattern}))", text)
        edges = [0, *(start.start() + 1 for start in starts), len(text)]
        return [text[first:past] for first, past in itertools.pairwise(edges)]

    def leading_special(self, text: str) -> int | None:
        """Returns the id of the special token that ``text`` begins with, blanks aside, or ``None``."""
        found = self._special.match(text.lstrip())
        return int(self.tokenizer.convert_tokens_to_ids(found.group())) if found else None


@dataclass(slots=True)
class PromptWriter:
    """Collects the pieces of one prompt.

    Attributes:
        encoder: Turns texts into ids.
        prompt: How videos are written.
        ids: The ids so far.
        labels: The labels so far.
        parts: The texts so far.
    """

    encoder: PieceEncoder
    prompt: PromptSettings
    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    _pending: str = ""
    _until: int | None = None

    def template(self, text: str) -> None:
        """Adds text of the chat template, whose special tokens count."""
        self._pending += text

    def typed(self, text: str) -> None:
        """Adds text that a person or a model wrote, whose special tokens are ordinary text."""
        for index, part in enumerate(self.encoder.split_typed(text)):
            if index:
                self.cut()
            self._pending += part

    def cut(self, *, supervised: bool = False) -> None:
        """Ends a piece: what was added since the last cut is encoded on its own.

        Args:
            supervised: Whether the piece carries loss.
        """
        ids = self.encoder.encode(self._pending)
        self.parts.append(self._pending)
        self._pending = ""
        learnt = len(ids) if supervised else 0
        if self._until is not None and self._until in ids:
            learnt = ids.index(self._until) + 1
        self._until = None
        self._extend(ids, learnt)

    def supervise_until(self, token_id: int) -> None:
        """Lets the next piece carry loss up to the first such token, which ends the assistant's turn."""
        self._until = token_id

    def visual(self, video: Layout) -> None:
        """Adds the places of a video's visual tokens, led by the memory tokens, with the times that are written.

        Raises:
            DataError: The times of tokens are to be written, and the layout does not know them.
        """
        prompt = self.prompt
        self.template(prompt.text_before)
        self._special(prompt.vision_start)
        self._places(video.memory)
        timed = prompt.write_times and video.plan.kind == "video"
        if timed and prompt.times == "tokens":
            self._timed_tokens(video)
        else:
            for count, (start_s, _) in zip(video.counts, video.segment_spans_s, strict=True):
                if timed:
                    self.template(format_time(start_s))
                    self.cut()
                self._places(count)
        self._special(prompt.vision_end)
        if video.plan.kind == "video":
            seconds = ", ".join(f"{time:.1f}" for time in video.plan.times_s)
            frames = str(video.plan.frame_count)
            self.template(prompt.text_behind.replace("{frames}", frames).replace("{seconds}", seconds))

    def _timed_tokens(self, video: Layout) -> None:
        spans = video.token_spans_s
        if len(spans) != video.memory + sum(video.counts):
            raise DataError(
                f"the prompt writes the times of {video.memory + sum(video.counts)} visual tokens, the layout knows "
                f"those of {len(spans)}"
            )
        for start_s, end_s in spans[video.memory :]:
            self.template(f"{format_time(start_s)}-{format_time(end_s)}")
            self.cut()
            self._places(1)

    def finish(self) -> RenderedPrompt:
        """Returns the finished prompt."""
        self.cut()
        return RenderedPrompt(self.ids, self.labels, "".join(self.parts))

    def _special(self, token: str | None) -> None:
        self.cut()
        if token is not None:
            self.parts.append(token)
            self._extend([self.encoder.token(token)], 0)

    def _places(self, count: int) -> None:
        self.parts.append(self.prompt.placeholder * count)
        self._extend([self.encoder.placeholder_id] * count, 0)

    def _extend(self, ids: Sequence[int], learnt: int) -> None:
        self.ids.extend(ids)
        self.labels.extend(ids[:learnt])
        self.labels.extend([IGNORED] * (len(ids) - learnt))
