"""What stands between a person and the model: frames into tensors, conversations into token ids, ids into text."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from ..errors import ConfigError, ContextOverflowError, DataError
from ..values import EncodedVideo, FramePlan, Message
from .configuration import VideoLLMConfig
from .preprocessing import prepare, prepare_frames
from .prompting import (
    IGNORED,
    Layout,
    PieceEncoder,
    PromptWriter,
    RenderedPrompt,
    count_marks,
    split_marks,
)
from .settings import ImageSettings, PromptSettings, VideoSettings, read_settings, write_settings

# The chat template is filled with stand-ins for the messages' texts, so that its own text can be told from theirs.
_STAND_IN = "\ue0f0{}\ue0f1"
_STAND_INS = re.compile("\ue0f0(\\d+)\ue0f1")

#: Folder of a checkpoint in which the tokenizer lies that reads questions, as in InstructBLIP's.
QUESTION_TOKENIZER = "qformer_tokenizer"


@dataclass(frozen=True, slots=True)
class ProcessorConfig:
    """The settings of a processor."""

    video: VideoSettings
    image: ImageSettings
    prompt: PromptSettings


class VideoLLMProcessor(ProcessorMixin):
    r"""Prepares frames and writes prompts, the same way in training and in use.

    A conversation goes through the tokenizer's own chat template. ``<video>`` in a user's message marks where a video
    or image stands: there come the token that opens vision, the places of the memory tokens, for every segment its time
    and its places, and the token that closes vision. An image has no time. Videos are consumed in the order of their
    marks. What a person types is never taken for a special token, and ``\<video>`` is ordinary text.

    Attributes:
        tokenizer: A tokenizer of transformers with a chat template.
        config: The settings of video, image and prompt.
        end_of_turn_id: Id of the token that ends the assistant's turn; it carries loss, and generation stops at it.
        question_tokenizer: What reads questions for a Q-Former that does; ``None`` for other models.
    """

    tokenizer: PreTrainedTokenizerBase

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        video: VideoSettings | Mapping[str, Any] | None = None,
        image: ImageSettings | Mapping[str, Any] | None = None,
        prompt: PromptSettings | Mapping[str, Any] | None = None,
    ) -> None:
        """Builds a processor.

        Args:
            tokenizer: Tokenizer with a chat template and the prompt's special tokens.
            video: How videos are read by default.
            image: How frames are prepared.
            prompt: How videos stand in the prompt.

        Raises:
            ConfigError: A setting is wrong, or the tokenizer lacks a special token or a usable chat template.
        """
        super().__init__(tokenizer)  # type: ignore[no-untyped-call]
        self.config = ProcessorConfig(
            read_settings(VideoSettings, "video", video),
            read_settings(ImageSettings, "image", image),
            read_settings(PromptSettings, "prompt", prompt),
        )
        self.question_tokenizer: PreTrainedTokenizerBase | None = None
        self._encoder = PieceEncoder(tokenizer, self.config.prompt)
        self._answer_head, self.end_of_turn_id = self._probe_template()

    @classmethod
    def for_config(
        cls,
        config: VideoLLMConfig,
        tokenizer: PreTrainedTokenizerBase,
        question_tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> VideoLLMProcessor:
        """Returns the processor of a model, after a check that its tokenizers fit.

        Raises:
            ConfigError: A tokenizer's ids are not those of the configuration.
        """
        processor = cls(tokenizer, config.video, config.image, config.prompt)
        processor.question_tokenizer = question_tokenizer
        processor.check(config)
        return processor

    def check(self, config: VideoLLMConfig) -> None:
        """Makes sure that this processor and a model belong together.

        Raises:
            ConfigError: Settings or token ids differ.
        """
        for name in ("video", "image", "prompt"):
            ours, theirs = getattr(self.config, name), getattr(config, name)
            if ours != theirs:
                raise ConfigError(f"the processor's {name} settings {ours} are not the model's {theirs}")
        if self.placeholder_id != config.placeholder_token_id:
            raise ConfigError(
                f"the tokenizer's id of {config.prompt.placeholder!r} is {self.placeholder_id}, "
                f"the model's placeholder_token_id is {config.placeholder_token_id}"
            )
        if len(self.tokenizer) > config.text_config.vocab_size:
            raise ConfigError(
                f"the tokenizer has {len(self.tokenizer)} tokens, the language model only "
                f"{config.text_config.vocab_size}: resize its embeddings"
            )
        reads = config.frame_queries.question if config.frame_queries else None
        if reads is not None:
            words = 0 if self.question_tokenizer is None else len(self.question_tokenizer)
            if not 0 < words <= reads.vocab_size:
                raise ConfigError(
                    f"the Q-Former reads questions in {reads.vocab_size} words, its tokenizer has {words or 'none'}"
                )

    def question_ids(self, question: str, most: int) -> Tensor:
        """Returns a question as a Q-Former that reads questions gets it, (L,) int64, cut to ``most`` ids."""
        assert self.question_tokenizer is not None
        tokenizer: Any = self.question_tokenizer
        return torch.tensor(tokenizer(question, truncation=True, max_length=most).input_ids)

    @property
    def placeholder_id(self) -> int:
        """Id that holds the place of a visual token."""
        return self._encoder.placeholder_id

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids at which an answer ends: the end of the turn, and the end of a text."""
        ids = {self.end_of_turn_id, self.tokenizer.eos_token_id} - {None}
        return tuple(sorted(ids))

    @property
    def pad_id(self) -> int:
        """Id that fills up shorter rows of a batch; masked, so any does where the tokenizer has none of its own."""
        pad_id = self.tokenizer.pad_token_id
        return int(self.stop_ids[0] if pad_id is None else pad_id)

    def prepare_frames(self, frames_THW3: NDArray[np.uint8] | Tensor) -> Tensor:
        """Letterboxes, rescales and normalises frames.

        Args:
            frames_THW3: Red, green and blue from 0 to 255, uint8.

        Returns:
            The encoder's input, float32 of shape (T, 3, size, size).

        Raises:
            DataError: The input is not such an array.
        """
        return prepare_frames(frames_THW3, self.config.image)

    def prepare(self, frames_THW3: NDArray[np.uint8] | Tensor, plan: FramePlan) -> Tensor:
        """Prepares a plan's frames: as :meth:`prepare_frames`, or an image cut into tiles where the model wants it.

        Args:
            frames_THW3: Red, green and blue from 0 to 255, uint8.
            plan: Their plan.

        Returns:
            As :meth:`prepare_frames`; of an image that is cut the whole and then the tiles.

        Raises:
            DataError: The input is not such an array.
        """
        return prepare(frames_THW3, self.config.image, kind=plan.kind)

    def render(
        self,
        messages: Sequence[Message],
        videos: Sequence[Layout] = (),
        add_generation_prompt: bool = True,
        *,
        supervise: Sequence[bool] | None = None,
    ) -> RenderedPrompt:
        """Writes a conversation as token ids.

        Args:
            messages: The conversation, oldest first.
            videos: What the ``<video>`` marks stand for, in order.
            add_generation_prompt: Whether the head of an answer follows, for the model to go on from.
            supervise: For each message whether its answer is to be learnt; ``None`` for every assistant's message.

        Returns:
            Ids, labels and text.

        Raises:
            DataError: The number of marks is not that of the videos, or the chat template refuses the conversation.
        """
        self._check_marks(messages, videos)
        texts = self._template_texts(messages, add_generation_prompt)
        learnt = [True] * len(messages) if supervise is None else supervise
        writer = PromptWriter(self._encoder, self.config.prompt)
        first = self.config.prompt.media_first
        for video in videos if first else ():
            writer.visual(video)
        waiting = iter(videos)
        for text, message, is_learnt in zip(texts, messages, learnt, strict=False):
            if message.role == "assistant":
                self._write_answer(writer, text, message.content, is_learnt)
                continue
            writer.template(text)
            for index, part in enumerate(
                split_marks(message.content) if message.role == "user" else [message.content]
            ):
                if index and not first:
                    writer.visual(next(waiting))
                # What parts a mark from the text behind it parts nothing where the medium is elsewhere.
                writer.typed(part.lstrip("\n") if first and index else part)
        writer.template(texts[-1])
        return writer.finish()

    def __call__(
        self,
        conversations: Sequence[Any],
        videos: Sequence[Any] = (),
        *,
        add_generation_prompt: bool = True,
        padding_side: str = "left",
    ) -> BatchFeature:
        """Writes one conversation or several as a padded batch, with the visual tokens of all videos.

        Args:
            conversations: One conversation, or a list of them.
            videos: The encoded videos of the conversation; for several conversations, a list of them for each.
            add_generation_prompt: Whether the head of an answer follows.
            padding_side: ``"left"`` for generation, ``"right"`` for training.

        Returns:
            ``input_ids``, ``attention_mask``, ``labels``, (B, N) int64, and ``visual_tokens`` (sum of K, D) if any.

        Raises:
            DataError: As :meth:`render`.
        """
        if isinstance(conversations[0], Message):
            conversations, videos = [conversations], [videos]
        lists: Sequence[Sequence[EncodedVideo]] = videos or [()] * len(conversations)
        prompts = [
            self.render(messages, media, add_generation_prompt)
            for messages, media in zip(conversations, lists, strict=True)
        ]
        batch = self.collate(prompts, padding_side=padding_side)
        tokens = [video.tokens_KD for media in lists for video in media]
        return BatchFeature(batch | ({"visual_tokens": torch.cat(tokens)} if tokens else {}))

    def collate(self, prompts: Sequence[RenderedPrompt], *, padding_side: str = "right") -> dict[str, Tensor]:
        """Pads prompts to the longest of them.

        Args:
            prompts: Rendered prompts.
            padding_side: ``"left"`` for generation, ``"right"`` for training.

        Returns:
            ``input_ids``, ``attention_mask`` and ``labels``, (B, N) int64.
        """
        longest = max(len(prompt.input_ids) for prompt in prompts)

        def padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
            filled = [[fill] * (longest - len(row)) for row in rows]
            left = padding_side == "left"
            return torch.tensor(
                [[*pad, *row] if left else [*row, *pad] for row, pad in zip(rows, filled, strict=True)]
            )

        return {
            "input_ids": padded([prompt.input_ids for prompt in prompts], self.pad_id),
            "attention_mask": padded([[1] * len(prompt.input_ids) for prompt in prompts], 0),
            "labels": padded([prompt.labels for prompt in prompts], IGNORED),
        }

    def fit_context(
        self, messages: Sequence[Message], videos: Sequence[Layout], max_tokens: int
    ) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """Drops the oldest turns until a conversation fits; system messages, videos and the last question always stay.

        A question goes together with its answer. The marks of its videos move to the front of the next question.

        Args:
            messages: The conversation, oldest first, the question to be answered last.
            videos: What its ``<video>`` marks stand for, in order.
            max_tokens: Longest prompt.

        Returns:
            The messages that fit, and those whose text was dropped, oldest first.

        Raises:
            ContextOverflowError: Even without all older turns the prompt is too long.
        """
        kept, dropped = tuple(messages), tuple[Message, ...]()
        while (length := len(self.render(kept, videos).input_ids)) > max_tokens:
            shorter, gone = _without_oldest_turn(kept)
            if not gone:
                visual = sum(video.memory + sum(video.counts) for video in videos)
                raise ContextOverflowError(
                    f"the prompt takes {length} tokens ({visual} of them visual) where {max_tokens} fit: "
                    "ask more briefly, or lower max_visual_tokens"
                )
            kept, dropped = shorter, dropped + gone
        return kept, dropped

    def to_dict(self) -> dict[str, Any]:
        """Returns what ``processor_config.json`` holds; the tokenizer has its own files."""
        settings = {name: write_settings(getattr(self.config, name)) for name in ("video", "image", "prompt")}
        return settings | {"processor_class": type(self).__name__}

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **options: Any
    ) -> Any:
        """Saves settings and tokenizer, with the SentencePiece model where the tokenizer came with one."""
        sentencepiece_model = getattr(self.tokenizer, "vocab_file", None)
        saved = super().save_pretrained(save_directory, push_to_hub, **options)
        target = Path(save_directory) / "tokenizer.model"
        if self.question_tokenizer is not None:
            self.question_tokenizer.save_pretrained(Path(save_directory) / QUESTION_TOKENIZER)
        if sentencepiece_model and Path(sentencepiece_model).name == target.name and not target.exists():
            shutil.copyfile(sentencepiece_model, target)
        return saved

    @property
    def model_input_names(self) -> list[str]:
        """Names of what :meth:`__call__` returns for the model."""
        return ["input_ids", "attention_mask", "visual_tokens"]

    def _check_marks(self, messages: Sequence[Message], videos: Sequence[Layout]) -> None:
        marks = sum(count_marks(message.content) for message in messages if message.role == "user")
        if marks != len(videos):
            raise DataError(f"the conversation has {marks} <video> marks for {len(videos)} videos and images")

    def _template_texts(self, messages: Sequence[Message], add_generation_prompt: bool) -> list[str]:
        """Returns the chat template's own texts before, between and behind the messages' contents."""
        filled = [
            {"role": message.role, "content": _STAND_IN.format(index)}
            for index, message in enumerate(messages)
        ]
        try:
            text: Any = self.tokenizer.apply_chat_template(
                filled, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except Exception as error:  # templates raise jinja2's own errors and whatever their authors chose
            raise DataError(f"the chat template refuses the conversation: {error}") from error
        texts = _STAND_INS.split(text)
        if texts[1::2] != [str(index) for index in range(len(messages))]:
            raise DataError(
                f"the chat template keeps {len(texts) // 2} of {len(messages)} messages "
                f"({', '.join(message.role for message in messages)}), or changes their order"
            )
        return texts[::2]

    def _probe_template(self) -> tuple[str, int]:
        """Finds how an answer begins and ends: what the template writes before it and the token that ends its turn."""
        if not self.tokenizer.chat_template:
            raise ConfigError("the tokenizer has no chat template; set tokenizer.chat_template")
        question, answer = Message("user", ""), Message("assistant", "")
        head = self._template_texts([question], add_generation_prompt=True)[-1]
        tail = self._template_texts([question, answer], add_generation_prompt=False)[-1]
        end_of_turn = self._encoder.leading_special(tail)
        if end_of_turn is None:
            raise ConfigError(f"the chat template ends an answer with {tail!r}, expected a special token")
        return head, end_of_turn

    def _write_answer(self, writer: PromptWriter, text: str, content: str, learnt: bool) -> None:
        # The cut lies where a generation prompt would have ended, so that this turn's prompt is a prefix of the next.
        head = _shared_start(text, self._answer_head)
        writer.template(head)
        writer.cut()
        writer.template(text[len(head) :])
        writer.typed(content)
        writer.cut(supervised=learnt)
        if learnt:
            writer.supervise_until(self.end_of_turn_id)


def add_prompt_tokens(tokenizer: PreTrainedTokenizerBase, prompt: PromptSettings) -> int:
    """Adds the prompt's special tokens where a tokenizer lacks them.

    Args:
        tokenizer: Tokenizer to add to.
        prompt: The settings that name the tokens.

    Returns:
        How many were added; the language model's embeddings must grow by as many.
    """
    return int(
        tokenizer.add_special_tokens(
            {"extra_special_tokens": list(prompt.tokens)}, replace_extra_special_tokens=False
        )
    )


def _shared_start(one: str, other: str) -> str:
    pairs = zip(one, other, strict=False)
    return one[
        : next(
            (place for place, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(one), len(other))
        )
    ]


def _without_oldest_turn(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Returns the conversation without its oldest question and answer, and those; nothing goes if there is only one."""
    starts = [index for index, message in enumerate(messages) if message.role == "user"]
    if len(starts) < 2:
        return messages, ()
    first, following = starts[0], starts[1]
    gone = messages[first:following]
    marks = "<video>\n" * sum(count_marks(message.content) for message in gone if message.role == "user")
    question = Message("user", marks + messages[following].content)
    return (*messages[:first], question, *messages[following + 1 :]), gone
