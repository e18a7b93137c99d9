"""What is installed: a real wheel is built, looked into, installed apart and used; the locks fit what it asks for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SOURCES = {"videollm": "videollm", "train": "videollm_train", "serve": "videollm_serve"}
"""Folder of the checkout to import name."""


def _source_files(repository: Path) -> Iterator[Path]:
    for folder in SOURCES:
        for path in sorted((repository / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path.relative_to(repository)


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    """The text of pyproject.toml, parsed."""
    return tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy: leftovers of earlier builds must not slip in, nor new ones be left."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, copy)
    for folder in SOURCES:
        shutil.copytree(repository / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
    ]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return target


def _run_installed(installed: Path, code: str) -> str:
    """Runs code that sees the installed wheel before any checkout, and returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=installed,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_wheel_brings_exactly_three_distinctive_names(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(SOURCES.values())


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path, repository: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    expected = {"/".join((SOURCES[path.parts[0]], *path.parts[1:])) for path in _source_files(repository)}
    assert expected - packed == set()
    assert "videollm/py.typed" in packed


def test_every_folder_with_code_is_a_listed_package(project: dict[str, Any], repository: Path) -> None:
    folders = {path.parent for path in _source_files(repository) if path.suffix == ".py"}
    names = {".".join((SOURCES[folder.parts[0]], *folder.parts[1:])) for folder in folders}
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(names)
    assert all((repository / folder / "__init__.py").is_file() for folder in folders)


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (metadata_name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(metadata_name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "torch>=2.11" in metadata.get_all("Requires-Dist")


def test_the_installed_wheel_runs_without_the_checkout(installed: Path) -> None:
    names = sorted(SOURCES.values())
    code = f"import {', '.join(names)}; print(*(module.__file__ for module in ({', '.join(names)})))"
    files = _run_installed(installed, code).split()
    assert [Path(file).relative_to(installed).parts[0] for file in files] == names


def test_the_installed_program_lists_its_verbs_with_those_of_serve_and_train(installed: Path) -> None:
    code = "import sys; from videollm.cli import main; sys.argv = ['videollm', '--help']; main()"
    printed = _run_installed(installed, code)
    for verb in ("ask", "chat", "info", "evaluate", "serve", "train"):
        assert re.search(rf"^\s*{verb}\b", printed, re.MULTILINE), f"no verb {verb!r} in:\n{printed}"


def test_the_built_in_model_loads_from_the_installed_wheel(installed: Path, repository: Path) -> None:
    if not (repository / "videollm/pocket/model.safetensors").exists():
        pytest.skip("the built-in model's weights are not part of this checkout yet")
    code = "import videollm; model = videollm.load_model('pocket'); print(videollm.__file__, model.num_parameters())"
    file, parameters = _run_installed(installed, code).split()
    assert Path(file).is_relative_to(installed)
    assert int(parameters) > 0


def test_the_built_in_model_is_small_enough_to_ship(repository: Path) -> None:
    size = sum(path.stat().st_size for path in (repository / "videollm/pocket").rglob("*") if path.is_file())
    assert size <= 40 * 2**20


def _pins(*locks: Path) -> dict[str, str]:
    """The pinned version of each package of some lock files, for this platform."""
    found = {}
    for lock in locks:
        for line in lock.read_text("utf-8").splitlines():
            if re.match(r"[a-z]", line):
                pin = Requirement(line.rstrip(" \\"))
                (specifier,) = pin.specifier
                if pin.marker is None or pin.marker.evaluate():
                    assert pin.name not in found, f"{pin.name} is pinned twice"
                    found[pin.name] = specifier.version
    return found


@pytest.mark.parametrize(
    ("locks", "extras"),
    [(["", "-torch"], []), (["", "-torch", "-test"], ["test", "bench"])],
    ids=["run", "test"],
)
def test_the_locks_pin_a_version_that_fits_for_everything_asked_for(
    locks: list[str], extras: list[str], project: dict[str, Any], repository: Path
) -> None:
    pinned = _pins(*(repository / f"requirements{lock}.lock" for lock in locks))
    optional = project["project"]["optional-dependencies"]
    for text in (
        *project["project"]["dependencies"],
        *(text for extra in extras for text in optional[extra]),
    ):
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate():
            assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), text


def test_no_lock_names_where_packages_come_from(repository: Path) -> None:
    for lock in repository.glob("*.lock"):
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock.read_text("utf-8")), (
            lock.name
        )
