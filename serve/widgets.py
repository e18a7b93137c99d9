"""The components of the page that handlers read and change, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr


class LookControls(NamedTuple):
    """Controls of how media are looked at; names as in ``videollm.media.ReadOptions``."""

    max_visual_tokens: gr.Slider
    fps: gr.Slider
    max_frames: gr.Slider
    start_s: gr.Textbox
    end_s: gr.Textbox


class SamplingControls(NamedTuple):
    """Controls of how the answer is sampled; names as in ``GenerationSettings``."""

    temperature: gr.Slider
    top_p: gr.Slider
    max_new_tokens: gr.Slider
    seed: gr.Textbox


@dataclass(frozen=True, slots=True)
class Widgets:
    """Everything on the page that changes.

    ``files`` and ``leaving`` are hidden. By the first the page says which files its list holds (see
    :class:`.brought.Listed`), by the second the server says which ones leave it: JSON with ``files``, the line about
    each (empty where it is said elsewhere), and ``once``, which makes every value a new one.
    """

    session: gr.State
    files: gr.Textbox
    leaving: gr.Textbox
    players: gr.HTML
    strips: gr.HTML
    look: LookControls
    receipt: gr.HTML
    sampling: SamplingControls
    chat: gr.Chatbot
    usage: gr.HTML
    question: gr.Textbox
    retry: gr.Button
    undo: gr.Button
    clear: gr.Button

    @property
    def all_outputs(self) -> list[Any]:
        """What a turn of the conversation may change."""
        return [
            self.session,
            self.files,
            self.leaving,
            self.players,
            self.strips,
            self.receipt,
            self.chat,
            self.usage,
            self.question,
            self.retry,
            self.undo,
            self.clear,
        ]
