"""The source as data: which module imports what, and the files that version control knows."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["GENERATED", "ROOT", "Import", "Module", "modules", "tracked_files"]

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("src/baton/wire/pb/", "tests/peer/pb/")
"""Folders whose code a program wrote."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import of one name; ``target`` is the dotted path of what is imported, a module or a name in one."""

    target: str
    line: int
    deferred: bool
    """Made inside a function, or for the type checker only: the program may run without it."""


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file."""

    path: Path
    name: str
    tree: ast.Module
    lines: int
    imports: tuple[Import, ...]

    @property
    def where(self) -> str:
        """Path from the root of the checkout."""
        return self.path.relative_to(ROOT).as_posix()


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files that version control knows or would take, and that exist."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return tuple(path for name in sorted(listing.split("\0")) if name and (path := ROOT / name).is_file())


@cache
def modules(folder: str) -> tuple[Module, ...]:
    """The Python files below ``folder`` of the checkout, generated ones left out."""
    found = [
        path
        for path in tracked_files()
        if path.suffix == ".py"
        and path.relative_to(ROOT).as_posix().startswith(folder + "/")
        and not path.relative_to(ROOT).as_posix().startswith(GENERATED)
    ]
    return tuple(_read(path) for path in found)


def _read(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    parts = path.relative_to(ROOT).with_suffix("").parts
    dotted = ".".join(parts[1:] if parts[0] == "src" else parts).removesuffix(".__init__")
    package = dotted if path.name == "__init__.py" else dotted.rpartition(".")[0]
    return Module(path=path, name=dotted, tree=tree, lines=text.count("\n"), imports=tuple(_imports(tree, package)))


def _imports(tree: ast.Module, package: str) -> list[Import]:
    found: list[Import] = []

    def walk(node: ast.AST, *, deferred: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend(Import(alias.name, child.lineno, deferred) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    above = package.split(".")[: len(package.split(".")) - child.level + 1]
                    base = ".".join([*above, base] if base else above)
                found.extend(Import(f"{base}.{alias.name}", child.lineno, deferred) for alias in child.names)
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_types_only(child)
            walk(child, deferred=deferred or later)

    walk(tree, deferred=False)
    return found


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
