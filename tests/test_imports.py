"""The way imports go: one direction through the rooms, no cycle, programs above the library, reading without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

# Rooms from the ground up; those of one row do not know each other. The root package gathers all of them.
ROWS = (
    ("errors", "clock"),
    ("values",),
    ("video",),
    ("model",),
    ("checkpoints",),
    ("synthetic",),
    ("encodings",),
    ("media",),
    ("data",),
    ("answering",),
    ("asking",),
    ("chat",),
    ("describe",),
    ("evaluation",),
    ("commands",),
    ("cli",),
    ("__init__", "__main__"),
)
FLOOR = {room: floor for floor, row in enumerate(ROWS) for room in row}

# Folder of each distribution package, by import name.
FOLDERS = {"videollm": "videollm", "videollm_train": "train", "videollm_serve": "serve"}

# Names no file may import: the folders' own, which exist only in a checkout.
FOLDER_NAMES = {"train", "serve", "tests", "benchmarks"}


@dataclass(frozen=True)
class Import:
    """One import of a file: the module meant, absolute, and the name taken from it if any."""

    module: str
    name: str | None
    line: int
    relative: bool
    for_types: bool
    """Whether it stands under ``if TYPE_CHECKING``."""


@dataclass(frozen=True)
class Module:
    """A file of the project: its import name, its path and what it imports."""

    name: str
    path: Path
    imports: tuple[Import, ...]

    @property
    def is_package(self) -> bool:
        return self.path.stem == "__init__"

    @property
    def room(self) -> str:
        """The room of a library module: what follows ``videollm.``, or its file's own name at the root."""
        _, *parts = self.name.split(".")
        return parts[0] if parts else "__init__"


def _names_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _import_nodes(
    node: ast.AST, for_types: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yields every import below a node, those inside functions too, and whether only type checkers run it."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node, for_types
    elif isinstance(node, ast.If) and _names_type_checking(node.test):
        for child in node.body:
            yield from _import_nodes(child, True)
        for child in node.orelse:
            yield from _import_nodes(child, for_types)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _import_nodes(child, for_types)


def read_imports(source: str, name: str, is_package: bool) -> tuple[Import, ...]:
    """Returns the imports of a file, relative ones made absolute."""
    found = []
    for node, for_types in _import_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, None, node.lineno, False, for_types) for alias in node.names]
            continue
        base = node.module or ""
        if node.level:
            parts = name.split(".") if is_package else name.split(".")[:-1]
            above = parts[: len(parts) - (node.level - 1)]
            base = ".".join([*above, *([node.module] if node.module else [])])
        found += [Import(base, alias.name, node.lineno, bool(node.level), for_types) for alias in node.names]
    return tuple(found)


def _read_modules(repository: Path) -> dict[str, Module]:
    modules = {}
    for package, folder in FOLDERS.items():
        for path in sorted((repository / folder).rglob("*.py")):
            relative = path.relative_to(repository / folder).with_suffix("")
            parts = [part for part in relative.parts if part != "__init__"]
            name = ".".join([package, *parts])
            imports = read_imports(path.read_text("utf-8"), name, path.stem == "__init__")
            modules[name] = Module(name, path, imports)
    return modules


@pytest.fixture(scope="module")
def modules(repository: Path) -> dict[str, Module]:
    return _read_modules(repository)


def _target(imported: Import, modules: dict[str, Module]) -> str:
    """The module an import reads: ``from .video import plan`` means ``videollm.video.plan`` if that is a file."""
    inner = f"{imported.module}.{imported.name}"
    return inner if inner in modules else imported.module


def _places(module: Module, imports: Iterable[Import]) -> list[str]:
    return [f"{module.name}:{one.line} imports {one.module} {one.name or ''}".rstrip() for one in imports]


def _in(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_imports_are_read_as_python_reads_them() -> None:
    source = (
        "import os.path\nfrom . import plan\nfrom ..values import Span as S\n"
        "if TYPE_CHECKING:\n    import torch\nelse:\n    import json\n"
        "def late():\n    from ...videollm.cli import main\n"
    )
    module = read_imports(source, "videollm.video.decode", is_package=False)
    package = read_imports("from .plan import plan_frames", "videollm.video", is_package=True)
    assert [(one.module, one.name, one.for_types) for one in (*module, *package)] == [
        ("os.path", None, False),
        ("videollm.video", "plan", False),
        ("videollm.values", "Span", False),
        ("torch", None, True),
        ("json", None, False),
        ("videollm.cli", "main", False),
        ("videollm.video.plan", "plan_frames", False),
    ]


def test_every_library_module_stands_in_a_known_room(modules: dict[str, Module]) -> None:
    library = [module for module in modules.values() if _in(module.name, "videollm")]
    assert {module.room for module in library} <= set(FLOOR)


def test_library_imports_go_down_only(modules: dict[str, Module]) -> None:
    wrong = []
    for module in modules.values():
        if not _in(module.name, "videollm"):
            continue
        for one in module.imports:
            target = modules.get(_target(one, modules))
            if target is None or not _in(target.name, "videollm") or target.room == module.room:
                continue
            if FLOOR[target.room] >= FLOOR[module.room]:
                wrong += _places(module, [one])
    assert not wrong


def test_the_library_never_imports_the_programs_and_they_never_each_other(modules: dict[str, Module]) -> None:
    forbidden = {
        "videollm": ("videollm_train", "videollm_serve"),
        "videollm_train": ("videollm_serve",),
        "videollm_serve": ("videollm_train",),
    }
    wrong = []
    for module in modules.values():
        banned = (*forbidden[module.name.split(".")[0]], *FOLDER_NAMES)
        wrong += _places(module, (one for one in module.imports if _in(one.module, *banned)))
    assert not wrong


def test_siblings_are_imported_relatively_and_the_library_by_name(modules: dict[str, Module]) -> None:
    wrong = []
    for module in modules.values():
        own = module.name.split(".")[0]
        wrong += _places(module, (one for one in module.imports if not one.relative and _in(one.module, own)))
    assert not wrong


def test_every_module_that_is_imported_exists(modules: dict[str, Module]) -> None:
    wrong = []
    for module in modules.values():
        wrong += _places(
            module, (one for one in module.imports if _in(one.module, *FOLDERS) and one.module not in modules)
        )
    assert not wrong


def test_there_is_no_import_cycle(modules: dict[str, Module]) -> None:
    graph: dict[str, set[str]] = {}
    for module in modules.values():
        # What the root package names for type checkers is what it imports on demand; nothing below may import it.
        imports = [one for one in module.imports if not (one.for_types and module.name == "videollm")]
        graph[module.name] = {_target(one, modules) for one in imports} & set(modules) - {module.name}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("import cycle: " + " <- ".join(error.args[1]))


def test_reading_video_and_the_values_name_torch_for_type_checkers_only(modules: dict[str, Module]) -> None:
    wrong = []
    for module in modules.values():
        if _in(module.name, "videollm.errors", "videollm.values", "videollm.video"):
            heavy = (
                one
                for one in module.imports
                if not one.for_types and _in(one.module, "torch", "transformers")
            )
            wrong += _places(module, heavy)
    assert not wrong


def test_reading_video_loads_no_torch_through_any_detour(modules: dict[str, Module]) -> None:
    light = [name for name in modules if _in(name, "videollm.errors", "videollm.values", "videollm.video")]
    assert _frameworks_after_importing(light) == []


def test_the_modules_that_bring_verbs_are_light(modules: dict[str, Module]) -> None:
    light = [name for name in modules if _in(name, "videollm.cli", "videollm.commands")]
    assert _frameworks_after_importing([*light, "videollm_serve.command", "videollm_train.command"]) == []


def _frameworks_after_importing(names: list[str]) -> list[str]:
    """The heavy packages that a fresh interpreter holds after importing the named modules."""
    check = (
        f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(*sorted({'torch', 'transformers', 'gradio', 'peft'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()
