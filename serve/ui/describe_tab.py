"""The tab "Describe": what is in it, and which event calls which handler."""

from __future__ import annotations

from typing import Any

import gradio as gr

from . import describe_panel as panel
from .describe_handlers import DescribeHandlers
from .describe_sheets import EVERY
from .describe_state import end_describing
from .describe_widgets import DescribeTab

_DENSITIES = [
    ("Brief", "brief"),
    ("Normal", "normal"),
    ("Dense", "dense"),
    ("Every few seconds", EVERY),
]
_USUAL_S = 5
# Of all pages together; the handlers say so to whom there is no room for, and these need not wait for one another.
_AT_ONCE = 64


def build_describe_tab(state_seconds: float) -> DescribeTab:
    """Builds what is in the tab.

    Args:
        state_seconds: How long the tab of a page that is not used is remembered.
    """
    state = gr.State(None, time_to_live=state_seconds, delete_callback=end_describing)
    with gr.Column(elem_id="describe"):
        video = gr.Dropdown(
            label="Video", choices=[], visible=False, filterable=False, elem_id="describe-video"
        )
        density = gr.Radio(_DENSITIES, value="normal", label="How closely", elem_id="describe-density")
        every_s = gr.Number(
            label="Seconds that each text is about", value=_USUAL_S, visible=False, elem_id="describe-every"
        )
        with gr.Row(elem_id="describe-actions"):
            start = gr.Button("Describe", variant="primary", interactive=False, min_width=120)
            stop = gr.Button("Stop", visible=False, min_width=120)
        progress = gr.HTML(panel.hint(panel.NOTHING_TO_DESCRIBE), elem_id="describe-progress")
        description = gr.HTML(elem_id="description")
    return DescribeTab(state, video, density, every_s, start, stop, progress, description)


def wire_describe_tab(
    tab: DescribeTab, files: gr.Textbox, model: gr.Dropdown, handlers: DescribeHandlers
) -> None:
    """Says which event calls which handler.

    Args:
        tab: The tab.
        files: By what the page says which files are in its list.
        model: Which model answers on this page.
        handlers: What is called.
    """
    context, wish = [tab.state, files], [tab.density, tab.every_s, model]
    outputs: dict[str, Any] = {
        "outputs": tab.outputs,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    files.change(handlers.follow, context, trigger_mode="always_last", queue=False, **outputs)
    tab.video.input(handlers.choose, [*context, tab.video], queue=False, **outputs)
    gr.on(
        [tab.density.input, tab.every_s.input, model.input],
        handlers.wish,
        [*context, *wish],
        trigger_mode="always_last",
        queue=False,
        **outputs,
    )
    tab.start.click(
        handlers.describe,
        [*context, *wish],
        concurrency_limit=_AT_ONCE,
        concurrency_id="describe",
        **outputs,
    )
    tab.stop.click(handlers.stop, context, queue=False, **outputs)
