"""The components of the tab "Describe", by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr


@dataclass(frozen=True, slots=True)
class DescribeTab:
    """Everything in the tab that changes, and what it remembers.

    ``state`` holds a :class:`.describe_state.DescribeState`.
    """

    state: gr.State
    video: gr.Dropdown
    density: gr.Radio
    every_s: gr.Number
    start: gr.Button
    stop: gr.Button
    progress: gr.HTML
    description: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What anything that happens in the tab may change."""
        return [
            self.state,
            self.video,
            self.every_s,
            self.start,
            self.stop,
            self.progress,
            self.description,
        ]
