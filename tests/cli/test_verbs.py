"""The program as a whole: quick help, verbs of other programs, ``info`` and ``evaluate``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]
Clips = tuple[Path, Path]

IMPORTED = """
import sys
from videollm.cli import main
sys.argv = ["videollm", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("verb", [[], ["ask"], ["chat"], ["info"], ["evaluate"], ["cache"]])
def test_help_imports_neither_torch_nor_what_is_as_heavy(verb: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *verb, "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: videollm" in done.stdout
    heavy = {"torch", "transformers", "gradio", "av", "decord", "matplotlib", "numpy"}
    assert not heavy & set(done.stderr.split())


def test_every_verb_is_listed(run: Run) -> None:
    listed = run("--help").stdout
    assert all(verb in listed for verb in ("ask", "chat", "info", "evaluate", "cache", "serve"))


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"videollm {version('videollm')}\n"


def test_without_a_verb_the_help_is_shown(run: Run) -> None:
    assert "Usage:" in run().output


def test_an_unknown_verb_is_refused(run: Run) -> None:
    result = run("dance")
    assert result.exit_code == 2
    assert "No such command 'dance'" in result.stderr


def test_installed_programs_bring_verbs_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "greeter.py").write_text(
        "from videollm.errors import ConfigError\n"
        "def register(app):\n"
        "    @app.command()\n"
        "    def greet(name: str):\n"
        "        if name == 'nobody':\n"
        "            raise ConfigError('there is nobody to greet')\n"
        "        print('hello', name)\n",
        encoding="utf-8",
    )
    (tmp_path / "greeter-1.dist-info").mkdir()
    (tmp_path / "greeter-1.dist-info" / "entry_points.txt").write_text(
        "[videollm.commands]\ngreet = greeter:register\n", encoding="utf-8"
    )
    (tmp_path / "greeter-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: greeter\nVersion: 1\n", encoding="utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}

    def greet(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "videollm", "greet", name]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert greet("world").stdout == "hello world\n"
    failed = greet("nobody")
    assert (failed.returncode, failed.stderr) == (2, "error: there is nobody to greet\n")


def test_info_of_a_video_says_what_it_holds_and_would_cost(run: Run, clip_files: Clips) -> None:
    arguments = ("info", clip_files[0], "--model", "{model}", "--max-visual-tokens", "9", "--json")
    facts = json.loads(run(*arguments).stdout)
    assert facts["codec"] == "h264"
    assert facts["duration_s"] >= 2
    plan = facts["plan"]
    assert plan["frames"] == len(plan["times_s"])
    assert plan["visual_tokens"] <= 9
    answer = run("ask", clip_files[0], "Why?", "--model", "{model}", "--max-visual-tokens", "9", "--json")
    usage = json.loads(answer.stdout)["usage"]
    assert (usage["frames"], usage["visual_tokens"]) == (plan["frames"], plan["visual_tokens"])


def test_info_of_a_model_counts_its_parameters_by_component(run: Run, tiny_checkpoint: Path) -> None:
    from videollm import load_model

    facts = json.loads(run("info", "{model}", "--json").stdout)
    model = load_model(tiny_checkpoint)
    counted = {
        name: sum(weight.numel() for weight in part.parameters()) for name, part in model.named_children()
    }
    assert facts["parameters"] == {"all": sum(counted.values()), **counted}
    assert facts["licence"] == "mit"
    assert facts["what_it_sees"] == "A model with random weights. It sees nothing."
    assert facts["video"]["max_frames"] == 8


def test_info_alone_says_what_is_installed(run: Run) -> None:
    shown = run("info").stdout
    assert "transformers: " in shown
    assert "CPU with" in shown


def test_info_of_what_is_neither_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("info", tmp_path / "missing.mp4")
    assert result.exit_code == 2
    assert "there is no such file" in result.stderr


def test_evaluate_world_prints_the_figures_and_writes_the_files(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("evaluate", "world", "--model", "{model}", "--questions", "21", "--no-descriptions")
    result = run(*arguments, "--pairs", "0", "--out", out)
    assert result.exit_code == 0
    assert "mean over 21 kinds" in result.stdout
    assert "encoded" in result.stderr
    assert {path.name for path in out.iterdir()} >= {"rows.jsonl", "report.json", "report.md", "report.png"}
    refused = run(*arguments, "--pairs", "0", "--out", out)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    resumed = run(*arguments, "--pairs", "0", "--out", out, "--resume", "--json")
    assert json.loads(resumed.stdout, parse_constant=pytest.fail)["clips"] > 0
    assert "right lines of dense descriptions: not asked" in result.stdout


def test_results_cannot_go_where_a_file_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        result = run("evaluate", "world", "--model", "{model}", "--questions", "21", "--out", out)
        assert result.exit_code == 2
        assert f"{out} cannot be made a directory" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["moon.json"],
            "there is no file moon.json; give a data file (see 'videollm data formats'), or 'world'",
        ),
        (["docs"], "docs is a directory; give a data file"),
        (["world", "--max-bad-fraction", "0.1"], "belong to a data file, not to the world"),
        (["world", "--resume"], "--resume needs the --out directory"),
        (["world", "--blind"], "belong to a data file, not to the world"),
        (["README.md", "--seed", "3"], "belong to the world, not to a data file"),
    ],
)
def test_mistakes_in_evaluate_are_explained(run: Run, arguments: list[str], message: str) -> None:
    result = run("evaluate", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
