"""Forty people who chat with the built-in model at once: right answers, fair turns, memory.

    python benchmarks/serving.py --seconds 300 --out benchmarks/results

A real ``videollm serve`` on this machine. One client asks question after question, then forty do, each about a clip of
their own, over several turns, through OpenAI's API: questions that a word answers, where most of the time goes to what
surrounds the model, and those that the page suggests, whose answers are sentences. Every clip has been encoded before.
Every answer is compared with what ``VideoChat`` says of the same conversation alone. A tenth of the requests are
streams that their client leaves in the middle.
"""

from __future__ import annotations

import argparse
import json
import math
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
from videollm.synthetic.scenes import Clip

_FIRST_SEED = 70_000
_TURNS = 3
_KINDS = ("colour", "shape", "count_shots", "contents", "light", "camera")
_SUGGESTED = ("What is in this video?", "What happens first?", "Describe the video shot by shot, with times.")
_LEAVING_SHARE = 0.1
_MOST_TOKENS = 96


@dataclass
class Talk:
    """A conversation with what is right to answer."""

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
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="that the clients ask, half of it each kind of question"
    )
    parser.add_argument(
        "--alone-seconds", type=float, default=60.0, help="that one client asks alone, half of it each kind"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the result goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = write_clips(Path(folder), options.clients)
        model = load_model("pocket", device="cpu")
        mixes = {"a word": one_word_talks(model, clips), "sentences": suggested_talks(model, clips)}
        with serving() as (process, url):
            ids = [upload(url, path) for _, path in clips]
            look_at_all(url, mixes["a word"], ids)
            alone = {
                name: run(url, talks, ids, 1, options.alone_seconds / 2) for name, talks in mixes.items()
            }
            memory = [memory_mb(process.pid, url)]
            watch = threading.Thread(target=sample_memory, args=(process.pid, url, memory), daemon=True)
            watch.start()
            together = {
                name: run(url, talks, ids, options.clients, options.seconds / 2)
                for name, talks in mixes.items()
            }
            idle = wait_until_idle(url)
    found: dict[str, Any] = {"clients": options.clients, "seconds": options.seconds}
    found["mixes"] = {
        name: result(alone[name], options.alone_seconds / 2, together[name], options.seconds / 2)
        for name in mixes
    }
    resident, kept = ([one[part] for one in memory] for part in (0, 1))
    found |= {"memory_mb": quarters(resident), "kept_mb": quarters(kept), "most_memory_mb": max(resident)}
    found |= {"idle_at_the_end": idle}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "serving.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "serving.md").write_text(report(found), encoding="utf-8")
    print(report(found))


def write_clips(folder: Path, count: int) -> list[tuple[Clip, Path]]:
    """Renders clips."""
    clips = []
    for number in range(count):
        clip = sample_clip(_FIRST_SEED + number, "test", max_short_side=160, duration_s=(2.0, 8.0))
        path = folder / f"{number}.mp4"
        write_clip(clip, path)
        clips.append((clip, path))
    return clips


def one_word_talks(model: VideoLLM, clips: list[tuple[Clip, Path]]) -> list[Talk]:
    """Draws questions about clips that a word or two answer."""
    talks = []
    for number, (clip, path) in enumerate(clips):
        rng = np.random.default_rng(number)
        found = [one for kind in rng.permutation(_KINDS) if (one := ask(clip, rng, str(kind))) is not None]
        talks.append(answered(model, path, tuple(one.text for one in found[:_TURNS])))
    return talks


def suggested_talks(model: VideoLLM, clips: list[tuple[Clip, Path]]) -> list[Talk]:
    """Takes the questions that the page suggests."""
    return [answered(model, path, _SUGGESTED) for _, path in clips]


def answered(model: VideoLLM, clip: Path, questions: tuple[str, ...]) -> Talk:
    """Has a conversation answered alone."""
    chat = VideoChat(model, clip)
    return Talk(questions, tuple(chat.ask(one, max_new_tokens=_MOST_TOKENS).text for one in questions))


def look_at_all(url: str, talks: list[Talk], ids: list[str]) -> None:
    """Has every clip encoded before anything is measured, which else would slow down those who come first."""
    with httpx.Client(base_url=url, timeout=300) as http:
        for about, id in zip(talks, ids, strict=True):
            talk(http, about, id, 0, random.Random(0), math.inf, Tally())


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


def memory_mb(pid: int, url: str) -> tuple[float, float]:
    """Resident memory of the server in MiB, and how much of it are keys and values kept for next questions."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    metrics = httpx.get(f"{url}metrics", timeout=60).raise_for_status().text
    kept = float(re.findall(r"^videollm_prefix_bytes\S* (\S+)$", metrics, re.MULTILINE)[0])
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024, kept / 2**20


def sample_memory(pid: int, url: str, memory: list[tuple[float, float]]) -> None:
    """Notes the memory of the server every five seconds, as long as it lives."""
    while Path(f"/proc/{pid}").exists():
        time.sleep(5)
        try:
            memory.append(memory_mb(pid, url))
        except (OSError, IndexError, httpx.HTTPError):
            return


def wait_until_idle(url: str, patience_s: float = 30.0) -> bool:
    """Whether nothing runs any more soon after the last client has gone: a new question is answered at once."""
    wish = {"model": "pocket", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 16}
    started = time.monotonic()
    httpx.post(f"{url}v1/chat/completions", json=wish, timeout=patience_s).raise_for_status()
    return time.monotonic() - started < patience_s / 10


def quarters(memory: list[float]) -> list[float]:
    """Returns the memory in the four quarters of the time, their medians."""
    length = max(1, len(memory) // 4)
    return [statistics.median(memory[at * length : (at + 1) * length]) for at in range(4)]


def result(alone: Tally, alone_s: float, together: Tally, together_s: float) -> dict[str, Any]:
    """Returns the figures of one kind of question."""
    counts = sorted(together.answered.values())
    waits = sorted(together.seconds)
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
    }


def report(found: dict[str, Any]) -> str:
    """Returns the figures as Markdown."""
    rows = "\n".join(_row(name, one) for name, one in found["mixes"].items())
    wrong, failed, left = (
        sum(one[key] for one in found["mixes"].values()) for key in ("wrong_count", "failed_count", "left")
    )
    total = sum(one["answers"] for one in found["mixes"].values())
    memory, kept = (", ".join(f"{mb:.0f}" for mb in found[key]) for key in ("memory_mb", "kept_mb"))
    return f"""# Many people at once

`python benchmarks/serving.py --clients {found["clients"]} --seconds {found["seconds"]:g}`, on two cores of a CPU, the
clients beside the server. Answers a second of one client alone and of {found["clients"]} at once, and the seconds that
one of the many waited for an answer:

| answers of | one a second | {found["clients"]} a second | ratio | median s | 95 % s | longest s | answers each |
|---|---:|---:|---:|---:|---:|---:|---:|
{rows}

Of {total} answers {wrong} differed from what `VideoChat` says alone, {failed} requests failed; {left} streams were left
by their clients, and afterwards nothing ran on: {found["idle_at_the_end"]}. Memory of the server in the four quarters
of the time: {memory} MiB, {found["most_memory_mb"]:.0f} MiB at most; of it kept for next questions, which has a bound
of 512 MiB: {kept} MiB.
"""


def _row(name: str, one: dict[str, Any]) -> str:
    alone, together = one["alone_per_s"], one["together_per_s"]
    median_s, late_s, last_s = one["seconds_to_answer"]
    least, _, most = one["answers_of_a_client"]
    return (
        f"| {name} | {alone:.2f} | {together:.2f} | {together / alone:.2f}x | {median_s:.2f} | {late_s:.2f} "
        f"| {last_s:.2f} | {least} to {most} |"
    )


if __name__ == "__main__":
    main()
