"""Forty people who chat with the built-in model at once: right answers, fair turns, memory.

    python benchmarks/serving.py --seconds 300 --out benchmarks/results

A real ``videollm serve`` on this machine. First one client asks question after question, then forty do, each about a
clip of their own, over several turns, through OpenAI's API. Every answer is compared with what ``VideoChat`` says of
the same conversation alone. A tenth of the requests are streams that their client leaves in the middle.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from videollm import VideoChat, VideoLLM, load_model
from videollm.synthetic.files import write_clip
from videollm.synthetic.language.questions import ask
from videollm.synthetic.sampling import sample_clip

_FIRST_SEED = 70_000
_TURNS = 3
_KINDS = ("colour", "shape", "count_shots", "contents", "light", "camera")
_LEAVING_SHARE = 0.1
_MOST_TOKENS = 96


@dataclass
class Talk:
    """A conversation with what is right to answer."""

    clip: Path
    questions: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass
class Tally:
    """What clients saw."""

    seconds: list[float] = field(default_factory=list)
    answered: Counter[int] = field(default_factory=Counter)
    left: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    """Measures, and writes ``serving.json`` and ``serving.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=300.0, help="that the clients ask")
    parser.add_argument("--alone-seconds", type=float, default=60.0, help="that one client asks alone")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the result goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        talks = make_talks(load_model("pocket", device="cpu"), Path(folder), options.clients)
        with serving() as (process, url):
            ids = [upload(url, talk.clip) for talk in talks]
            alone = run(url, talks, ids, 1, options.alone_seconds)
            memory = [resident_mb(process.pid)]
            watch = threading.Thread(target=sample_memory, args=(process.pid, memory), daemon=True)
            watch.start()
            together = run(url, talks, ids, options.clients, options.seconds)
            idle = wait_until_idle(url)
    found = result(alone, options.alone_seconds, together, options.seconds, memory, idle)
    found |= {"clients": options.clients, "seconds": options.seconds}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "serving.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "serving.md").write_text(report(found), encoding="utf-8")
    print(report(found))


def make_talks(model: VideoLLM, folder: Path, count: int) -> list[Talk]:
    """Renders clips, draws questions about them, and has each conversation answered alone."""
    talks = []
    for number in range(count):
        clip = sample_clip(_FIRST_SEED + number, "test", max_short_side=160, duration_s=(2.0, 8.0))
        path = folder / f"{number}.mp4"
        write_clip(clip, path)
        rng = np.random.default_rng(number)
        found = [one for kind in rng.permutation(_KINDS) if (one := ask(clip, rng, str(kind))) is not None]
        questions = tuple(one.text for one in found[:_TURNS])
        chat = VideoChat(model, path)
        answers = tuple(chat.ask(one, max_new_tokens=_MOST_TOKENS).text for one in questions)
        talks.append(Talk(path, questions, answers))
    return talks


@contextmanager
def serving() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs the server in a process of its own."""
    command = [sys.executable, "-m", "videollm", "serve", "--port", "0", "--no-cache", "--forget"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(found[0] for line in process.stderr if (found := re.findall(r"http://\S+/", line)))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield process, url
        finally:
            process.terminate()


def upload(url: str, clip: Path) -> str:
    """Brings a clip; returns its id."""
    with clip.open("rb") as file:
        return str(httpx.post(f"{url}v1/videos", files={"file": (clip.name, file)}, timeout=60).json()["id"])


def run(url: str, talks: list[Talk], ids: list[str], clients: int, seconds: float) -> Tally:
    """Has clients ask until the time is over."""
    tally, until = Tally(), time.monotonic() + seconds
    threads = [
        threading.Thread(target=converse, args=(url, talks, ids, number, until, tally))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


def converse(url: str, talks: list[Talk], ids: list[str], number: int, until: float, tally: Tally) -> None:
    """One client: conversation after conversation about its own clip, or all clips if it is the only one."""
    rng = random.Random(number)
    with httpx.Client(base_url=url, timeout=300) as http:
        for round_ in range(1_000_000):
            place = number if len(talks) > 1 and number else round_ % len(talks)
            if not talk(http, talks[place], ids[place], number, rng, until, tally):
                return


def talk(
    http: httpx.Client, about: Talk, id: str, number: int, rng: random.Random, until: float, tally: Tally
) -> bool:
    """One conversation; returns whether there is time for another."""
    messages: list[dict[str, Any]] = []
    for question, right in zip(about.questions, about.answers, strict=True):
        if time.monotonic() > until:
            return False
        video = {"type": "video_url", "video_url": {"url": id}}
        text = {"type": "text", "text": question}
        messages.append({"role": "user", "content": [text] if messages else [video, text]})
        wish = {"model": "pocket", "messages": messages, "max_tokens": _MOST_TOKENS}
        if rng.random() < _LEAVING_SHARE:
            leave(http, wish)
            with tally.lock:
                tally.left += 1
        started = time.monotonic()
        try:
            answer = http.post("v1/chat/completions", json=wish).raise_for_status().json()
        except httpx.HTTPError as error:
            with tally.lock:
                tally.failed.append(repr(error))
            return True
        said = answer["choices"][0]["message"]["content"]
        with tally.lock:
            tally.seconds.append(time.monotonic() - started)
            tally.answered[number] += 1
            if said != right:
                tally.wrong.append(f"{question!r}: {said!r} instead of {right!r}")
        messages.append({"role": "assistant", "content": right})
    return True


def leave(http: httpx.Client, wish: dict[str, Any]) -> None:
    """Asks for a stream and hangs up after its first lines."""
    with http.stream("POST", "v1/chat/completions", json=wish | {"stream": True}) as answer:
        next(answer.iter_lines())


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def sample_memory(pid: int, memory: list[float]) -> None:
    """Notes the memory of a process every five seconds, as long as it lives."""
    while Path(f"/proc/{pid}").exists():
        time.sleep(5)
        try:
            memory.append(resident_mb(pid))
        except (OSError, IndexError):
            return


def wait_until_idle(url: str, patience_s: float = 30.0) -> bool:
    """Whether nothing runs any more soon after the last client has gone: a new question is answered at once."""
    wish = {"model": "pocket", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 16}
    started = time.monotonic()
    httpx.post(f"{url}v1/chat/completions", json=wish, timeout=patience_s).raise_for_status()
    return time.monotonic() - started < patience_s / 10


def result(
    alone: Tally, alone_s: float, together: Tally, together_s: float, memory: list[float], idle: bool
) -> dict[str, Any]:
    """Returns the figures."""
    counts = sorted(together.answered.values())
    waits = sorted(together.seconds)
    quarter = max(1, len(memory) // 4)
    return {
        "alone_per_s": len(alone.seconds) / alone_s,
        "together_per_s": len(together.seconds) / together_s,
        "answers": len(together.seconds),
        "left": together.left,
        "wrong": together.wrong[:5],
        "wrong_count": len(together.wrong) + len(alone.wrong),
        "failed": together.failed[:5],
        "failed_count": len(together.failed) + len(alone.failed),
        "answers_of_a_client": [counts[0], statistics.median(counts), counts[-1]],
        "seconds_to_answer": [statistics.median(waits), waits[int(0.95 * len(waits))], waits[-1]],
        "memory_mb": [statistics.median(memory[at * quarter : (at + 1) * quarter]) for at in range(4)],
        "most_memory_mb": max(memory),
        "idle_at_the_end": idle,
    }


def report(found: dict[str, Any]) -> str:
    """Returns the figures as Markdown."""
    least, middle, most = found["answers_of_a_client"]
    median_s, late_s, last_s = found["seconds_to_answer"]
    quarters = ", ".join(f"{mb:.0f}" for mb in found["memory_mb"])
    ratio = found["together_per_s"] / found["alone_per_s"]
    return f"""# Many people at once

`python benchmarks/serving.py --clients {found["clients"]} --seconds {found["seconds"]:g}`, on two cores of a CPU

One client alone got {found["alone_per_s"]:.2f} answers a second; {found["clients"]} at once got
{found["together_per_s"]:.2f}: **{ratio:.2f}x**. Of {found["answers"]} answers {found["wrong_count"]} differed from what
`VideoChat` says alone, {found["failed_count"]} requests failed; {found["left"]} streams were left by their clients, and
afterwards nothing ran on: {found["idle_at_the_end"]}.

Each client got {least} to {most} answers (median {middle:g}); an answer took {median_s:.2f} s (median), 95 % less than
{late_s:.2f} s, the longest {last_s:.2f} s. Memory of the server in the four quarters of the time: {quarters} MiB,
{found["most_memory_mb"]:.0f} MiB at most.
"""


if __name__ == "__main__":
    main()
