"""Imports run one way.

app → {sam3_ui, api} → sessions → {workers, exports} → engines → {media, masks} → {domain, errors}.
Everybody may read the settings, which read nothing. The heavy packages of the optional engines are
imported in their own modules only, and there inside functions, so that the page starts without them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS: tuple[tuple[str, ...], ...] = (
    ("backend.domain", "backend.errors", "backend.owners", "backend.settings", "backend.version"),
    ("backend.media", "backend.masks"),
    ("backend.engines",),
    ("backend.workers", "backend.exports"),
    ("backend.sessions",),
    ("backend.api", "sam3_ui"),
    ("app",),
)
"""From the lowest; a module may import its own room, its layer's rooms below and all lower layers."""

BESIDE = {("backend.domain", "backend.errors"), ("sam3_ui", "backend.api")}
"""Imports within a layer that are allowed; all others between two rooms of one layer are not."""

HEAVY = {
    "torch": ("backend.engines.sam3", "backend.engines.transformers"),
    "torchvision": ("backend.engines.sam3", "backend.engines.transformers"),
    "sam3": ("backend.engines.sam3",),
    "transformers": ("backend.engines.transformers",),
    "ray": ("backend.workers.ray",),
    "onnxruntime": ("backend.engines.lite",),
    "onnx": ("backend.engines.lite",),
}
"""Where each heavy package may be imported."""

OPTIONAL = ("torch", "torchvision", "sam3", "transformers", "ray")
"""Not in the base install: never imported while a module loads, not even in its own module."""


def files() -> list[Path]:
    return [ROOT / "app.py", *sorted((ROOT / "backend").rglob("*.py")), *sorted((ROOT / "sam3_ui").rglob("*.py"))]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def inside(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def place(module: str) -> tuple[int, str] | None:
    """The layer and the room of one of our modules."""
    for level, rooms in enumerate(LAYERS):
        for room in rooms:
            if inside(module, room):
                return level, room
    return None


def imports(tree: ast.AST, package: str) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that is imported anywhere in a file, with its statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            # `from backend import media` imports the room, not the package alone.
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "backend" else [base]
            for name in names:
                yield name, node


def lazy(tree: ast.Module) -> set[ast.stmt]:
    """The statements that run only when a function is called, or never (`if TYPE_CHECKING`)."""
    out: set[ast.stmt] = set()
    for node in ast.walk(tree):
        guarded = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if guarded or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            out |= {child for child in ast.walk(node) if isinstance(child, ast.stmt)}
    return out


def package_of(path: Path) -> str:
    module = module_of(path)
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    module = module_of(path)
    if module == "backend":
        return
    here = place(module)
    assert here is not None, f"{module} has no place: give its room one in LAYERS"
    for name, node in imports(parsed(path), package_of(path)):
        there = place(name)
        if there is None:
            assert name.split(".")[0] not in ("backend", "tests", "assets", "benchmarks"), f"line {node.lineno}: {name}"
            continue
        below = there[0] < here[0]
        beside = there[1] == here[1] or (here[1], there[1]) in BESIDE
        assert below or beside, f"line {node.lineno}: {module} may not import {name}"


def test_the_settings_read_nothing_of_ours() -> None:
    path = ROOT / "backend" / "settings.py"
    assert [name for name, _ in imports(parsed(path), "backend") if place(name)] == []


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_heavy_packages_are_imported_late_and_in_their_own_modules(path: Path) -> None:
    module, tree = module_of(path), parsed(path)
    late = lazy(tree)
    for name, node in imports(tree, package_of(path)):
        package = name.split(".")[0]
        if package in HEAVY:
            homes = HEAVY[package]
            assert any(inside(module, home) for home in homes), f"line {node.lineno}: {package} belongs in {homes}"
        if package in OPTIONAL:
            assert node in late, f"line {node.lineno}: import {package} inside the function that needs it"


def test_the_web_process_starts_without_any_of_them() -> None:
    code = f"import sys, app, sam3_ui.server; print(*sorted(set(sys.modules) & set({list(HEAVY)})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_rules_would_notice() -> None:
    tree = ast.parse("import torch\nfrom backend import api\nfrom ..media import reader\ndef f():\n    import ray\n")
    found = dict(imports(tree, "backend.masks"))
    assert set(found) == {"torch", "backend.api", "backend.media", "ray"}
    assert found["ray"] in lazy(tree)
    assert found["torch"] not in lazy(tree)
    assert place("backend.mediation") is None
    assert place("backend.media.reader") == (1, "backend.media")
