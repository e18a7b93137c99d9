"""A person at the page: ``videollm serve`` in a process of its own, and a real Chromium."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Route

from videollm.checkpoints import POCKET

STARTING_SECONDS = 240
PATIENCE_MS = 90_000
# Gradio's own script shuts its streams when a page is left or loaded anew; what was still being read of them then says
# so, if there is time for it.
_GIVEN_UP_IN_LEAVING = re.compile(
    r"^AbortError: BodyStreamBuffer was aborted\n.*\n.*\.close \(|^Unexpected error Connection errored out\. $"
)
# These run before any script of the page, so that all it says in being left lies between the two.
_LEAVING, _ARRIVED = "the page is being left", "the page has come"
_TELL_WHEN_LEFT = f"""if (window === top) {{
    console.debug("{_ARRIVED}");
    addEventListener("beforeunload", () => console.debug("{_LEAVING}"));
}}"""

# Python runs this in every process that finds it on its path: who is called, this machine aside, is written down.
WATCH_CONNECTIONS = """
import os, sys

HERE = {None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0"}

def watch(event, arguments):
    host = None
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    if isinstance(host, bytes):
        host = host.decode()
    if host not in HERE:
        with open(os.environ["CALLED_HOSTS"], "a") as log:
            log.write(f"{event} {host}\\n")

sys.addaudithook(watch)
"""
needs_pocket = pytest.mark.skipif(
    not (POCKET / "model.safetensors").is_file(), reason="the built-in model's weights are not there yet"
)

# The text of an answer, without what it rests on.
SAID = """(answer) => {
    const copy = answer.cloneNode(true);
    copy.querySelector(".rests")?.remove();
    return copy.textContent.trim();
}"""


@contextmanager
def running_server(model: str | Path, directory: Path, *options: str) -> Iterator[str]:
    """Starts the program and ends it as a service manager would; gives the address of its page.

    It keeps its data in ``directory / "data"``. In the end it must have called no other machine and must leave nothing
    in the directory of temporary files.

    Args:
        model: What is served.
        directory: Where all files of this server lie.
        options: Further options of the program.
    """
    (directory / "sitecustomize.py").write_text(WATCH_CONNECTIONS, encoding="utf-8")
    (temporary := directory / "temporary").mkdir(exist_ok=True)
    (called_hosts := directory / "called-hosts.txt").touch()
    path = os.pathsep.join([str(directory), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {
        "PYTHONPATH": path,
        "CALLED_HOSTS": str(called_hosts),
        "TMPDIR": str(temporary),
        "VIDEOLLM_DATA": str(directory / "data"),
    }
    for quieter in (
        "GRADIO_ANALYTICS_ENABLED",
        "HF_HUB_OFFLINE",
    ):  # it must keep to itself without being told
        environment.pop(quieter, None)
    command = [
        sys.executable,
        "-m",
        "videollm",
        "serve",
        "--model",
        str(model),
        "--port",
        "0",
        "--device",
        "cpu",
        *options,
    ]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield _wait_until_ready(process)
        finally:
            process.terminate()
            process.wait(timeout=60)
    assert called_hosts.read_text() == ""
    assert list(temporary.iterdir()) == []


def _wait_until_ready(process: subprocess.Popen[str]) -> str:
    """Returns the address that the program prints; goes on reading behind it, so that the pipe never fills up."""
    assert process.stderr is not None
    impatience = threading.Timer(STARTING_SECONDS, process.kill)
    impatience.start()
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"ready: (http://\S+)", line):
            impatience.cancel()
            threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True).start()
            return found[1]
    impatience.cancel()
    raise AssertionError(f"the server did not start:\n{''.join(lines)}")


@dataclass
class Visit:
    """A person at the page, with what the browser complained about or wanted from elsewhere."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    leaving: bool = False

    def complain(self, text: str) -> None:
        """Notes what the browser complains about, if it is more than that a page which is left reads no further."""
        if not (self.leaving and _GIVEN_UP_IN_LEAVING.search(text)):
            self.complaints.append(text)

    def upload(self, *files: Path) -> None:
        self.page.set_input_files("#choose", [str(file) for file in files])

    def drop(self, name: str, content: bytes) -> None:
        """Drops a file on the zone, under any name."""
        handle = self.page.evaluate_handle(
            """([name, encoded]) => {
                const bytes = Uint8Array.from(atob(encoded), sign => sign.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], name));
                return transfer;
            }""",
            [name, base64.b64encode(content).decode("ascii")],
        )
        self.page.dispatch_event("#bring .drop", "drop", {"dataTransfer": handle})

    def remove(self, name: str) -> None:
        """Takes a file off the list."""
        self.page.get_by_role("button", name=f"Remove {name}", exact=True).click()

    def listed(self) -> list[str]:
        """The names in the list."""
        return self.page.locator("#bring li b").all_inner_texts()

    def see_frames(self, media: int = 1) -> int:
        """Waits until the frames of so many media are shown and returns how many frames there are."""
        self.page.wait_for_function("n => document.querySelectorAll('.strip').length === n", arg=media)
        return self.page.locator(".strip li").count()

    def said(self) -> list[str]:
        """What the page has said so far, oldest first."""
        said = self.page.evaluate(f"[...document.querySelectorAll('#chat [data-testid=bot]')].map({SAID})")
        return [str(text) for text in said]

    def wait_for_messages(self, count: int) -> None:
        self.page.wait_for_function(
            "n => document.querySelectorAll('#chat [data-testid=bot] .message-content').length >= n",
            arg=count,
        )

    def send(self, question: str) -> None:
        self.page.fill("#question textarea", question)
        self.page.keyboard.press("Enter")

    def wait_until_done(self) -> None:
        self.page.wait_for_selector("#usage .usage")
        self.page.wait_for_selector("#question .submit-button")

    def ask(self, question: str) -> str:
        before = len(self.said())
        self.send(question)
        self.wait_for_messages(before + 1)
        self.wait_until_done()
        return self.said()[-1]

    def cost(self, noun: str) -> int:
        """Reads a number from the line about costs, such as that of ``frames``."""
        found = re.search(rf"(\d+) {noun}", self.page.inner_text("#usage"))
        assert found, self.page.inner_text("#usage")
        return int(found[1])

    def set(self, label: str, value: str) -> None:
        """Sets a control of the settings by its label."""
        if not self.page.locator("#settings").get_by_label(label).first.is_visible():
            self.page.click("#settings > button")
        control = self.page.locator("#settings").get_by_label(label).first
        for _ in range(10):  # what is typed while the page still draws its controls, it may draw over
            control.fill(value)
            control.press("Tab")
            self.page.wait_for_timeout(200)
            if control.input_value() == value:
                return
        raise AssertionError(f"{label} does not stay at {value}")

    def lit(self) -> list[float]:
        """The seconds of the frames that are lit up."""
        frames = self.page.locator(".strip button.lit").all()
        return [float(frame.get_attribute("data-seek") or "nan") for frame in frames]

    def asked(self) -> list[str]:
        """What was asked, oldest first."""
        return [text.strip() for text in self.page.locator("#chat [data-testid=user]").all_inner_texts()]

    def conversations(self) -> list[str]:
        """Unfolds the list of conversations, and returns their titles."""
        if not self.page.locator("#conversations details > div").is_visible():
            with self.page.expect_response("**/conversations"):
                self.page.click("#conversations summary")
        return self.page.locator("#conversations li .open").all_inner_texts()

    def record_growth(self) -> None:
        """Notes every text that the newest answer shows from now on."""
        self.page.evaluate(
            """() => {
                window.shown = [];
                const note = () => {
                    const answer = [...document.querySelectorAll('#chat [data-testid=bot]')].at(-1);
                    const text = answer && ("""
            + SAID
            + """)(answer);
                    if (text && text !== window.shown.at(-1)) window.shown.push(text);
                };
                new MutationObserver(note).observe(
                    document.querySelector('#chat'), {subtree: true, childList: true, characterData: true});
            }"""
        )

    def growth(self) -> list[str]:
        return list(self.page.evaluate("window.shown"))


@contextmanager
def visiting(
    browser: Browser,
    url: str,
    *,
    path: str = "",
    cookies: Sequence[Any] = (),
    width: int = 1360,
    dark: bool = False,
) -> Iterator[Visit]:
    """Opens the page, and fails in the end if the browser complained or wanted anything from elsewhere.

    Args:
        browser: The browser; every visit is a profile of its own.
        url: Where the server is.
        path: What is opened there.
        cookies: Those that the person has from an earlier visit.
        width: How wide the window is, in pixels.
        dark: Whether the person likes it dark.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    context.add_cookies(cookies)
    visit = Visit(context.new_page())
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(_TELL_WHEN_LEFT)
    _listen(context, visit, url)
    visit.page.on("dialog", lambda dialog: dialog.accept())
    visit.page.goto(url + path)
    visit.page.wait_for_selector("#question textarea")
    # The page is drawn a moment before its scripts listen; a person is not that quick.
    visit.page.wait_for_function("window.bringing")
    yield visit
    context.close()
    assert not visit.complaints, visit.complaints


def _listen(context: BrowserContext, visit: Visit, url: str) -> None:
    def refuse(route: Route) -> None:
        visit.complaints.append(f"wanted {route.request.url}")
        route.abort()

    def note(message: ConsoleMessage) -> None:
        if message.text in (_LEAVING, _ARRIVED):
            visit.leaving = message.text == _LEAVING
        elif message.type == "error":
            visit.complain(message.text)

    def note_error(error: Error) -> None:
        visit.complain(str(error))

    foreign = re.compile(rf"^(?!{re.escape(url)}|data:|blob:)")
    context.route(foreign, refuse)
    visit.page.on("console", note)
    visit.page.on("pageerror", note_error)
