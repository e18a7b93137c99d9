"""What a session reports while it looks at media and answers: plain values that any face can show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videollm.values import Answer, VideoInfo


@dataclass(frozen=True, slots=True)
class BroughtFile:
    """A file that a person brought.

    Attributes:
        id: What a page calls it.
        name: What the person calls it; people are shown nothing else.
        path: Where it lies.
    """

    id: str
    name: str
    path: Path

    def named_in(self, text: str) -> str:
        """Returns a text about the file in which it is called by its name, not by where it lies."""
        return text.replace(str(self.path), self.name).replace(self.path.name, self.name)


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """A frame that the model saw.

    Attributes:
        time_s: Its true time in the file, in seconds.
        jpeg: The picture, small, as JPEG.
    """

    time_s: float
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class MediumView:
    """A video or image of the conversation, as a person can inspect it.

    Attributes:
        file: The file.
        info: What the file says about itself.
        frames: The frames the model saw, in order of time.
        visual_tokens: How many visual tokens they became.
        notices: What the person should know: signs of damage.
    """

    file: BroughtFile
    info: VideoInfo
    frames: tuple[SeenFrame, ...]
    visual_tokens: int
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Others come before; ``place`` says how many."""

    place: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A file is about to be read; ``name`` is what the person calls it."""

    name: str


@dataclass(frozen=True, slots=True)
class Held:
    """Reading a file would take long, and it is not begun before somebody wants it."""

    file: BroughtFile


@dataclass(frozen=True, slots=True)
class VideoReady:
    """A medium has been read and encoded, or again with other settings."""

    view: MediumView


@dataclass(frozen=True, slots=True)
class TextPiece:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is finished, complete or stopped."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """Something did not work; ``message`` is one line for a person, ``file`` the one at fault, if it was a file."""

    message: str
    file: BroughtFile | None = None


Event = Waiting | Reading | Held | VideoReady | TextPiece | Done | Failed
