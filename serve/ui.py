"""The page: what is on it, where it stands, and which event calls which handler."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import gradio as gr

from . import bringing, panel
from .brought import PageFiles
from .examples import ExampleClip
from .handlers import Handlers, end_session
from .service import ChatService
from .widgets import LookControls, SamplingControls, Widgets

if TYPE_CHECKING:
    from .store.uploads import Uploads

_SESSION_SECONDS = 2 * 3600
# Questions that may wait for the model at a time.
_AT_ONCE = 64
_SUGGESTIONS = (
    "What is in this video?",
    "What happens first?",
    "How many shots are there?",
    "Describe the video shot by shot, with times.",
)
_WELCOME = "### Ask about a video\nDrop a file or try an example, then ask. Nothing leaves this machine."
_FONT = ("system-ui", "sans-serif")
_MONO = ("ui-monospace", "monospace")

# How the page looks; handed to gradio when the page is mounted. Only fonts that the system has.
PAGE_STYLE: dict[str, Any] = {
    "theme": gr.themes.Default(primary_hue="indigo", neutral_hue="slate", font=_FONT, font_mono=_MONO).set(
        body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400"
    ),
    "css": (files(__package__) / "style.css").read_text("utf-8"),
    "js": (files(__package__) / "page.js").read_text("utf-8"),
}


def build_ui(
    service: ChatService, uploads: Uploads, file_bytes: int, examples: Sequence[ExampleClip] = ()
) -> gr.Blocks:
    """Builds the page.

    Args:
        service: What answers.
        uploads: What people brought.
        file_bytes: Largest file that is taken.
        examples: Clips that load on a click.

    Returns:
        The page, not launched; mount it with the options in ``PAGE_STYLE``.
    """
    with gr.Blocks(title="VideoLLM", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_header(service))
        session = gr.State(None, time_to_live=_SESSION_SECONDS, delete_callback=end_session)
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="media"):
                media = _media_column(file_bytes, examples)
            with gr.Column(elem_id="talk"):
                talk = _chat_column()
            with gr.Column(elem_id="extras"):
                settings = _settings(service)
        widgets = Widgets(session=session, **media, **talk, **settings)
        _wire(page, widgets, Handlers(service, PageFiles(uploads), widgets))
    page.queue(default_concurrency_limit=_AT_ONCE, max_size=4 * _AT_ONCE, api_open=False)
    return page


def _header(service: ChatService) -> str:
    return f'<header><h1>VideoLLM</h1><p id="model-line">{escape(service.description)}</p></header>'


def _media_column(file_bytes: int, examples: Sequence[ExampleClip]) -> dict[str, Any]:
    gr.HTML(bringing.drop_zone(file_bytes), elem_id="bring")
    files = gr.Textbox(label="Files in the list", visible="hidden", interactive=True, elem_id="files")
    leaving = gr.Textbox(label="Files that leave the list", visible="hidden", elem_id="leaving")
    players = gr.HTML(elem_id="players")
    strips = gr.HTML(elem_id="strips")
    if examples:
        gr.HTML(bringing.posters(examples), elem_id="examples")
    return {"files": files, "leaving": leaving, "players": players, "strips": strips}


def _settings(service: ChatService) -> dict[str, Any]:
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        look = _look_controls(service)
        receipt = gr.HTML(elem_id="receipt")
        sampling = _sampling_controls(service)
    return {"look": look, "receipt": receipt, "sampling": sampling}


def _look_controls(service: ChatService) -> LookControls:
    defaults = service.defaults
    gr.Markdown("**How the video is looked at** (applies to the next answer)")
    with gr.Row():
        tokens = gr.Slider(
            1,
            defaults.most_visual_tokens,
            defaults.max_visual_tokens,
            step=1,
            label="Visual tokens, at most",
            info="Fewer answer sooner, more show finer detail.",
        )
    with gr.Row():
        fps = gr.Slider(0.1, 8, defaults.fps, step=0.1, label="Frames per second", min_width=140)
        frames = gr.Slider(
            1, defaults.most_frames, defaults.max_frames, step=1, label="Frames, at most", min_width=140
        )
    with gr.Row():
        start = gr.Textbox(
            label="Start", placeholder="from the beginning", info="0:05, or 5.5 seconds", min_width=140
        )
        end = gr.Textbox(label="End", placeholder="to the end", info="0:09, or 9 seconds", min_width=140)
    return LookControls(tokens, fps, frames, start, end)


def _sampling_controls(service: ChatService) -> SamplingControls:
    gr.Markdown("**How the answer is written**")
    defaults = service.defaults
    with gr.Row():
        temperature = gr.Slider(
            0,
            2,
            defaults.temperature,
            step=0.05,
            label="Temperature",
            info="0 takes the likeliest words.",
            min_width=140,
        )
        top_p = gr.Slider(
            0.05,
            1,
            defaults.top_p,
            step=0.05,
            label="Top-p",
            info="Counts above temperature 0.",
            min_width=140,
        )
    with gr.Row():
        length = gr.Slider(
            1,
            defaults.most_new_tokens,
            defaults.max_new_tokens,
            step=1,
            label="Answer tokens, at most",
            min_width=140,
        )
        seed = gr.Textbox(
            label="Seed", placeholder="a new one each time", info="Makes sampling repeatable.", min_width=140
        )
    return SamplingControls(temperature, top_p, length, seed)


def _chat_column() -> dict[str, Any]:
    chat = gr.Chatbot(
        label="Conversation",
        elem_id="chat",
        height=520,
        layout="bubble",
        placeholder=_WELCOME,
        examples=[{"text": suggestion} for suggestion in _SUGGESTIONS],
        latex_delimiters=[],
        allow_tags=False,
        buttons=["copy"],
        feedback_options=None,
        group_consecutive_messages=False,
    )
    usage = gr.HTML(elem_id="usage")
    question = gr.Textbox(
        label="Question",
        show_label=False,
        placeholder="Ask about the video, then press Enter",
        lines=1,
        max_lines=6,
        submit_btn=True,
        elem_id="question",
    )
    with gr.Row(elem_id="actions"):
        retry = gr.Button("Retry", size="sm", min_width=80)
        undo = gr.Button("Undo", size="sm", min_width=80)
        clear = gr.Button("Clear all", size="sm", min_width=80)
    return {"chat": chat, "usage": usage, "question": question, "retry": retry, "undo": undo, "clear": clear}


def _wire(page: gr.Blocks, widgets: Widgets, handlers: Handlers) -> None:
    files, chat = widgets.files, widgets.chat
    context, settings = [widgets.session, files], [*widgets.look, *widgets.sampling]
    # Who waits for the model is for the engine to say; here all may come in.
    model_work: dict[str, Any] = {
        "outputs": widgets.all_outputs,
        "show_progress": "minimal",
        "show_progress_on": chat,
        "concurrency_limit": _AT_ONCE,
        "concurrency_id": "model",
        "api_visibility": "private",
    }
    # A change while another is worked on waits; of several only the last is sent, which says all.
    files.change(handlers.load, [*context, *widgets.look], trigger_mode="always_last", **model_work)
    leaving = widgets.leaving
    leaving.change(None, [leaving], js="told => bringing.leave(told)", show_progress="hidden")
    widgets.question.submit(handlers.ask, [*context, widgets.question, *settings], **model_work)
    # At once: when the answer begins, which may be after others, the box may hold the next question.
    widgets.question.submit(None, outputs=[widgets.question], js="() => ''", show_progress="hidden")
    chat.example_select(handlers.suggest, [*context, *settings], **model_work)
    widgets.retry.click(handlers.retry, [*context, *settings], **model_work)

    at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    page.load(handlers.open, outputs=[widgets.session], **at_once)
    # In the browser and first, so that it comes before what the work says last: a file that is being read may take a
    # while.
    widgets.question.stop(
        None, outputs=[widgets.usage], js=f"() => {panel.stopping()!r}", show_progress="hidden"
    )
    widgets.question.stop(handlers.stop, [widgets.session], outputs=[], **at_once)
    widgets.undo.click(handlers.undo, [widgets.session], outputs=widgets.all_outputs, **at_once)
    empty = "(session, listed) => [session, bringing.clear()]"
    widgets.clear.click(handlers.clear, context, outputs=widgets.all_outputs, js=empty, **at_once)
    for control in widgets.look:
        control.change(
            handlers.receipt, [widgets.session, *widgets.look], outputs=[widgets.receipt], **at_once
        )
