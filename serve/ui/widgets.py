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

    ``files``, ``wanted`` and ``told`` are hidden. By the first two the page says which files its list holds and which
    conversation it wants, by the third the server what has become of either; see :mod:`.signals`. ``provenance`` is
    hidden too: on which spans each answer rests.
    """

    session: gr.State
    about: gr.HTML
    model: gr.Dropdown
    files: gr.Textbox
    wanted: gr.Textbox
    told: gr.Textbox
    players: gr.HTML
    strips: gr.HTML
    look_now: gr.Button
    look: LookControls
    receipt: gr.HTML
    sampling: SamplingControls
    chat: gr.Chatbot
    provenance: gr.HTML
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
            self.told,
            self.players,
            self.strips,
            self.look_now,
            *self.look,
            self.receipt,
            self.chat,
            self.provenance,
            self.usage,
            self.question,
            self.retry,
            self.undo,
            self.clear,
        ]
