"""What a model makes of media and conversations before any weight is needed: frames, numbers of tokens, token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..checkpoints import find_model
from ..checkpoints.loading import load_processor
from ..media import Frames, ReadOptions, read_frames
from ..model.budget import plan_tokens
from ..model.compressor_config import CompressorConfig
from ..model.configuration import VideoLLMConfig
from ..model.processing import VideoLLMProcessor
from ..model.prompting import RenderedPrompt, VisualLayout
from ..model.settings import ImageSettings, VideoSettings
from ..model.tiling import plan_seen
from ..values import FramePlan, Message
from .records import MediaFile, Record


@dataclass(frozen=True, slots=True)
class Reader:
    """How a model reads media and conversations, without its weights.

    Attributes:
        name: The model's.
        processor: Writes conversations as token ids.
        video: Which frames are looked at.
        image: How the encoder's input is prepared.
        compressor: How many tokens they become.
        grid: Rows and columns of patches in a frame.
        whole_videos: Whether queries read a whole video, however many frames it has.
        context: Most tokens of a conversation.
    """

    name: str
    processor: VideoLLMProcessor
    video: VideoSettings
    image: ImageSettings
    compressor: CompressorConfig
    grid: tuple[int, int]
    whole_videos: bool
    context: int

    @classmethod
    def of_model(cls, name_or_directory: str) -> Reader:
        """Returns how a model reads.

        Args:
            name_or_directory: As :func:`~videollm.load_model` takes it.

        Raises:
            UnsupportedModelError: There is no such model.
            CheckpointError: Its configuration or tokenizer is broken.
            ConfigError: They do not fit each other.
        """
        found = find_model(name_or_directory)
        config = VideoLLMConfig.from_dict(found.read_config())
        return cls.of_config(found.name, config, load_processor(found, config))

    @classmethod
    def of_config(cls, name: str, config: VideoLLMConfig, processor: VideoLLMProcessor) -> Reader:
        """Returns how a model of this configuration and processor reads."""
        return cls(
            name=name,
            processor=processor,
            video=config.video,
            image=config.image,
            compressor=config.compressor,
            grid=config.grid,
            whole_videos=config.video_queries is not None,
            context=config.text_config.max_position_embeddings,
        )

    def read(self, medium: MediaFile) -> Frames:
        """Returns the frames of a medium that the model looks at.

        Raises:
            UnreadableVideoError: It cannot be read.
            ConfigError: Its window holds nothing.
        """
        options = ReadOptions(medium.start_s, medium.end_s)
        return read_frames(medium.path, self.video, self.image, options)

    def layout(self, plan: FramePlan) -> VisualLayout:
        """Returns how many tokens a medium takes in a prompt, at most."""
        seen = plan_seen(plan, self.image, self.grid, whole_videos=self.whole_videos)
        tokens = plan_tokens(
            seen, self.compressor, self.video.max_visual_tokens, grid=self.grid, image=self.image
        )
        layout = VisualLayout.of(seen, tokens, [(0.0, 0.0)] * tokens.total)
        return replace(layout, plan=plan)

    def write(self, record: Record, layouts: Sequence[VisualLayout]) -> RenderedPrompt:
        """Returns a conversation as the language model reads it."""
        messages = [Message(turn.role, turn.content) for turn in record.messages]
        learnt = [turn.learnt for turn in record.messages]
        return self.processor.render(messages, layouts, add_generation_prompt=False, supervise=learnt)
