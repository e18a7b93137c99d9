"""The documents tell the truth: commands parse, targets and files exist, the example prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from videollm.cli import app

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/describe.md")


def _blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def _shell_lines(document: Path) -> Iterator[str]:
    for block in _blocks(document, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.partition(" #")[0].strip()


def _commands(repository: Path, program: str) -> list[str]:
    lines = (line for name in DOCUMENTS for line in _shell_lines(repository / name))
    return sorted({line for line in lines if line.startswith(f"{program} ")})


def _parse(command: str) -> None:
    """Parses a command line as the program would, down to its last verb, without running it."""
    name, *rest = shlex.split(command)
    parser = typer.main.get_command(app)
    while isinstance(parser, TyperGroup):
        name, *rest = rest
        parser = parser.commands[name]
    parser.make_context(name, rest)


def test_every_command_of_the_documents_parses(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").touch()
    commands = _commands(repository, "videollm")
    assert len(commands) >= 5
    for command in commands:
        _parse(command)


def test_a_wrong_command_would_be_noticed() -> None:
    with pytest.raises(Exception, match="no-such-option"):
        _parse("videollm serve --no-such-option")


def test_every_make_target_of_the_documents_exists(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = " ".join((repository / name).read_text("utf-8") for name in DOCUMENTS)
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    assert {"serve", "test"} <= named <= targets


def test_every_link_of_the_documents_leads_to_a_file(repository: Path) -> None:
    for name in (*DOCUMENTS, "CHANGELOG.md", "docs/compression.md"):
        document = repository / name
        for target in re.findall(r"\]\(([^)#]+)", document.read_text("utf-8")):
            assert target.startswith("https://") or (document.parent / target).exists(), (
                f"{name} links to {target}"
            )


def test_every_python_block_of_the_documents_compiles(repository: Path) -> None:
    blocks = [block for name in DOCUMENTS for block in _blocks(repository / name, "python")]
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("name", ["README.md", "docs/compression.md"])
def test_the_python_examples_print_what_the_document_says(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    examples, expected = (_blocks(repository / name, language) for language in ("python", "text"))
    assert examples
    monkeypatch.chdir(tmp_path)
    # A later example of a document goes on from the one before.
    names: dict[str, object] = {}
    for example, output in zip(examples, expected, strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(example, name, "exec"), names)
        assert printed.getvalue() == output
