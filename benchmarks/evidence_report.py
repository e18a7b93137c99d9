"""What ``evidence.py`` says of its figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videollm.evaluation.metrics import wilson_interval

_CAVEATS = """\
Right, all: of the questions answered rightly, and of all, the share whose best-lit stretch has its middle in the true
time of the event (95 % interval, Wilson). Any named: the same of the right ones, if any event counts that the question
or its answer names, such as the one that another comes after. Overlap: intersection over union of that stretch and the
true time, mean over the right answers. Lit: how much of the clip all stretches together cover, mean and most. The way
in bold is what `VideoChat` fills `answer.evidence` with; it is the same as "attention of the answer, best of heads",
with all that came before the answer taken from the kept cache. It was chosen on other test clips. Asked is about clips
of at least two events, where what is asked about takes at most half of the clip; of a colour the true time is as long
as its object can be seen. Several questions are about one clip, so the intervals are a little narrow."""

#: What each way has to compute besides the answer.
COSTS = {
    "the library's": "the answer read again, attention kept",
    "attention": "prompt and answer read again, attention kept (with `gradients` for those)",
    "gradients": "backwards through all of it",
    "hiding each second": "the question and the answer read once for each second of video",
    "hiding each token": "the same for each visual token",
}


def report(
    lines: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    kinds: Sequence[Mapping[str, Any]],
    command: str,
    out: Path,
) -> None:
    """Prints the tables, and writes ``evidence.json`` and ``evidence.md``."""
    out.mkdir(parents=True, exist_ok=True)
    record = {"settings": settings, "ways": lines, "kinds": kinds}
    (out / "evidence.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    best_first = sorted(lines, key=lambda line: (line["way"].startswith("baseline"), -line["pointed_right"]))
    text = "\n\n".join(
        [
            "# Which seconds an answer rests on",
            f"`{command}`",
            f"{settings['questions']} questions about {settings['clips']} test clips, {lines[0]['right']} answered "
            f"rightly by the built-in model ({settings['machine']}).",
            _table("way", best_first),
            _CAVEATS,
            "The library's way, by kind of question:",
            _table("kind", kinds),
            "What it costs, seconds a question and against answering it:",
            _costs(settings["seconds"]),
        ]
    )
    (out / "evidence.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def _table(what: str, lines: Sequence[Mapping[str, Any]]) -> str:
    head = f"| {what} | right, % | 95 % | any named, % | all, % | 95 % | overlap, % | lit, % | most lit, % |"
    return "\n".join([head, "|---|---:|---|---:|---:|---|---:|---:|---:|", *map(_row, lines)])


def _row(line: Mapping[str, Any]) -> str:
    name = f"**{line['way']}**" if line["way"] == "the library's" else line["way"]
    cells = [
        name,
        *_share(line["pointed_right"], line["right"]),
        _share(line["pointed_named_right"], line["right"])[0],
        *_share(line["pointed"], line["asked"]),
        f"{100 * line['overlap_right']:.0f}",
        f"{100 * line['lit_share']:.0f}",
        f"{100 * line['most_lit_share']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _share(hits: int, asked: int) -> tuple[str, str]:
    share = wilson_interval(hits, asked)
    return f"{100 * share.value:.1f}", f"[{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _costs(seconds: Mapping[str, float]) -> str:
    lines = ["| besides the answer | s | ratio | what is computed |", "|---|---:|---:|---|"]
    answering = seconds["answering"]
    lines.append(f"| (answering) | {answering:.3f} | 1 | the prompt, and the answer token by token |")
    lines += [
        f"| {name} | {seconds[name]:.3f} | {seconds[name] / answering:.2f} | {what} |"
        for name, what in COSTS.items()
    ]
    return "\n".join(lines)
