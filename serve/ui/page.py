"""The page: what is on it, where it stands, and which event calls which handler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..service.service import ChatService
from . import bringing, panel
from .brought import PageFiles
from .describe_handlers import DescribeHandlers
from .describe_tab import build_describe_tab, wire_describe_tab
from .examples import ExampleClip
from .handlers import Handlers, end_session
from .widgets import LookControls, SamplingControls, Widgets

if TYPE_CHECKING:
    from ..service.models import Models
    from ..service.shelf import Shelf

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


def build_ui(
    models: Models,
    shelf: Shelf,
    files: PageFiles,
    file_bytes: int,
    examples: Sequence[ExampleClip] = (),
) -> gr.Blocks:
    """Builds the page.

    Args:
        models: What answers; the first does where nobody chooses.
        shelf: Where conversations are begun and opened.
        files: What people brought.
        file_bytes: Largest file that is taken.
        examples: Clips that load on a click.

    Returns:
        The page, not launched; mount it with the options in ``assets.PAGE_STYLE``.
    """
    with gr.Blocks(title="VideoLLM", analytics_enabled=False, fill_width=True) as page:
        about = _header(models)
        session = gr.State(None, time_to_live=_SESSION_SECONDS, delete_callback=end_session)
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="media"):
                media = _media_column(file_bytes, examples)
            with gr.Column(elem_id="talk"), gr.Tabs(elem_id="tabs"):
                with gr.Tab("Chat", id="chat"):
                    talk = _chat_tab()
                with gr.Tab("Describe", id="describe"):
                    describing = build_describe_tab(_SESSION_SECONDS)
            with gr.Column(elem_id="extras"):
                settings = _settings(models)
        widgets = Widgets(session=session, about=about, **_signals(), **media, **talk, **settings)
        _wire(page, widgets, Handlers(models, shelf, files, widgets))
        describe = DescribeHandlers(models, files.store, describing)
        wire_describe_tab(describing, widgets.files, widgets.model, describe)
    page.queue(default_concurrency_limit=_AT_ONCE, max_size=4 * _AT_ONCE, api_open=False)
    return page


def _header(models: Models) -> gr.HTML:
    with gr.Row(elem_id="top"):
        gr.HTML("<h1>VideoLLM</h1>")
        gr.HTML(
            '<nav id="conversations" aria-label="Conversations"><button type="button" id="begin">New</button>'
            '<details><summary>Conversations</summary><div><p class="none">None is kept yet.</p><ol></ol>'
            '<p class="heard" role="status"></p></div></details></nav>',
            elem_id="kept",
        )
    return gr.HTML(panel.about(models.first.description), elem_id="about")


def _signals() -> dict[str, Any]:
    wanted = gr.Textbox(label="Conversation to show", visible="hidden", interactive=True, elem_id="wanted")
    told = gr.Textbox(label="What the server says of the lists", visible="hidden", elem_id="told")
    return {"wanted": wanted, "told": told}


def _media_column(file_bytes: int, examples: Sequence[ExampleClip]) -> dict[str, Any]:
    gr.HTML(bringing.drop_zone(file_bytes), elem_id="bring")
    files = gr.Textbox(label="Files in the list", visible="hidden", interactive=True, elem_id="files")
    players = gr.HTML(elem_id="players")
    strips = gr.HTML(elem_id="strips")
    look_now = gr.Button("Look at it now", visible=False, elem_id="look-now")
    if examples:
        gr.HTML(bringing.posters(examples), elem_id="examples")
    return {"files": files, "players": players, "strips": strips, "look_now": look_now}


def _settings(models: Models) -> dict[str, Any]:
    several = len(models) > 1
    # Of one model there is nothing to choose.
    model = gr.Dropdown(
        list(models.names), value=models.first.name, label="Model", visible=several, elem_id="model"
    )
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        look = _look_controls(models.first)
        receipt = gr.HTML(elem_id="receipt")
        sampling = _sampling_controls(models.first)
    return {"model": model, "look": look, "receipt": receipt, "sampling": sampling}


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


def _chat_tab() -> dict[str, Any]:
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
        editable="user",
        feedback_options=None,
        group_consecutive_messages=False,
    )
    provenance = gr.HTML(elem_id="provenance", visible="hidden")
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
        clear = gr.Button("Clear all", size="sm", min_width=80, elem_id="clear-all")
    return {
        "chat": chat,
        "provenance": provenance,
        "usage": usage,
        "question": question,
        "retry": retry,
        "undo": undo,
        "clear": clear,
    }


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
    widgets.told.change(None, [widgets.told], js="told => { hear(told); }", show_progress="hidden")
    widgets.look_now.click(handlers.look_now, [*context, *widgets.look], **model_work)
    # Several: what is sent before an answer has ended for good would be dropped; the conversation takes them in turn.
    asked = [*context, widgets.question, *settings]
    widgets.question.submit(handlers.ask, asked, trigger_mode="multiple", **model_work)
    # At once: when the answer begins, which may be after others, the box may hold the next question.
    widgets.question.submit(None, outputs=[widgets.question], js="() => ''", show_progress="hidden")
    chat.example_select(handlers.suggest, [*context, *settings], **model_work)
    chat.edit(handlers.edit, [*context, *settings], **model_work)
    widgets.retry.click(handlers.retry, [*context, *settings], **model_work)
    wish = [widgets.session, widgets.wanted]
    widgets.wanted.change(handlers.turn_to, wish, **model_work)

    at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    # A page that is loaded again shows the conversation that its address names.
    opened = page.load(handlers.open, outputs=[widgets.session], **at_once)
    opened.then(handlers.turn_to, wish, js="session => [session, conversations.named()]", **model_work)
    # In the browser and first, so that it comes before what the work says last: a file that is being read may take a
    # while.
    widgets.question.stop(
        None, outputs=[widgets.usage], js=f"() => {panel.stopping()!r}", show_progress="hidden"
    )
    widgets.question.stop(handlers.stop, [widgets.session], outputs=[], **at_once)
    widgets.undo.click(handlers.undo, [widgets.session], outputs=widgets.all_outputs, **at_once)
    empty = "(session, listed) => [session, bringing.clear()]"
    # The second is the little button that the conversation itself brings.
    for clearing in (widgets.clear.click, chat.clear):
        clearing(handlers.clear, context, outputs=widgets.all_outputs, js=empty, **at_once)
    choice = [widgets.session, widgets.model]
    chosen = [widgets.session, widgets.about, widgets.look.max_visual_tokens, widgets.sampling.max_new_tokens]
    widgets.model.input(handlers.choose, choice, outputs=chosen, **at_once)
    told = [widgets.receipt, widgets.players, widgets.strips, widgets.look_now]
    for control in widgets.look:
        control.change(handlers.receipt, [widgets.session, *widgets.look], outputs=told, **at_once)
