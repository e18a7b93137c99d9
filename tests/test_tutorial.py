"""The tutorial's commands, as they stand in its page, on few videos and for few steps."""

import contextlib
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from videollm.cli import app

TUTORIAL = Path("docs/tutorial")
# What shortens the commands, by what they begin with.
SHORTER = {
    "python docs/tutorial/hexagons.py": ["--videos", "16", "--tests", "4"],
    "videollm evaluate world": None,  # tested elsewhere, and long
    "videollm train instruct": ["steps=4", "batch_size=4", "tokens_per_pass=256", "evaluate_every=4"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, repository):
    """A directory in which the tutorial is worked through, with its files where the repository has them."""
    place = tmp_path_factory.mktemp("tutorial")
    (place / "docs").symlink_to(repository / "docs")
    return place


def commands(repository):
    blocks = re.findall(
        r"```sh\n(.*?)```", (repository / TUTORIAL / "README.md").read_text("utf-8"), re.DOTALL
    )
    return [line for block in blocks for line in block.splitlines()]


def run(line, place):
    more = next((more for start, more in SHORTER.items() if line.startswith(start)), [])
    if more is None:
        return
    program, *arguments = [*shlex.split(line), *more]
    with contextlib.chdir(place):
        if program == "videollm" and arguments[0] != "train":
            # In this process: starting one takes longer than most commands.
            done = CliRunner().invoke(app, arguments)
            assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
        else:  # training decides on its precision once in a process
            start = [sys.executable] if program == "python" else [sys.executable, "-m", "videollm"]
            subprocess.run([*start, *arguments], check=True)


@pytest.fixture(scope="module")
def worked_through(place, repository):
    for line in commands(repository):
        run(line, place)
    return place


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def answer(row):
    return row["messages"][1]["content"]


def test_the_data_is_what_the_page_says(worked_through):
    learnt, old = (rows(worked_through / "hexagons" / f"{name}.jsonl") for name in ("train", "old"))
    assert len(learnt) == 24
    assert sorted(answer(row) for row in learnt if row["kind"] == "is there") == ["no"] * 2 + ["yes"] * 2
    assert len(old) / (len(old) + len(learnt)) <= 0.3
    left = [row for row in learnt if row["kind"] == "left of"]
    said_first = Counter()
    for row in left:
        question, further = row["messages"][0]["content"], answer(row).removeprefix("the ")
        named = re.findall(r"(?:the|or the) (\w+ \w+)(?= or|\?| more)", question)
        assert further in named
        first = question.index(further) < max(question.index(name) for name in named)
        said_first["hexagon" in question, first] += 1
    assert said_first == {(True, True): 7, (True, False): 7, (False, True): 1, (False, False): 1}


def test_training_leaves_an_adapter_that_answers_and_exports(worked_through):
    samples = json.loads((worked_through / "runs" / "hexagons" / "samples.json").read_text())
    assert {sample["expected"] for sample in samples}
    assert (worked_through / "runs" / "hexagons" / "final" / "adapter_model.safetensors").is_file()
    assert (worked_through / "hexagon-pocket" / "model.safetensors").is_file()
    assert (worked_through / "hexagons" / "check.html").is_file()
