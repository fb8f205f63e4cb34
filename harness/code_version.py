"""Fingerprints of code: a cell of a bench is named by the code that made it.

Imports are read from the source, never run, so that this costs milliseconds and works for agents
whose packages are not installed.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from functools import cache
from importlib import metadata
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import NamedTuple

OWN_PACKAGES = frozenset({"simulator", "agents", "harness", "lookup_tables", "collectors"})

_LISTS_ONLY = frozenset({"agents.registry"})
"""Modules whose lists do not count: a new agent must not make every old cell stale."""


class Imported(NamedTuple):
    """A module's source and what it imports; `required` leaves out what `try` guards."""

    source: bytes
    modules: tuple[str, ...]
    required: tuple[str, ...]


def _read(module: str) -> Imported | None:
    """A module's source and imports; None where it has no source or does not exist."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or not isinstance(spec.loader, SourceFileLoader) or spec.origin is None:
        return None
    source = Path(spec.origin).read_bytes()
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    tree, visitor = ast.parse(source), _Imports(package)
    visitor.visit(tree)
    if module in _LISTS_ONLY:
        kept = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        source = "\n".join(map(ast.unparse, kept)).encode()
    if spec.submodule_search_locations is not None:
        source += _data(Path(spec.origin).parent)
    return Imported(source, tuple(visitor.found), tuple(visitor.required))


def _data(folder: Path) -> bytes:
    """Prompts and parameters beside a package's code; those of packages inside it are theirs."""
    parts = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not (path / "__init__.py").exists():
            parts.append(_data(path))
        elif path.suffix in (".j2", ".json", ".toml"):
            parts.append(path.name.encode() + b"\0" + path.read_bytes())
    return b"".join(parts)


class _Imports(ast.NodeVisitor):
    def __init__(self, package: str) -> None:
        self.package, self.guarded = package, 0
        self.found: dict[str, None] = {}
        self.required: dict[str, None] = {}

    def _add(self, name: str) -> None:
        self.found[name] = None
        if not self.guarded:
            self.required[name] = None

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        dots = "." * node.level
        base = resolve_name(dots + (node.module or ""), self.package) if dots else node.module or ""
        self._add(base)
        for alias in node.names:
            # `from package import module` names a module or a value: what is no module is dropped.
            self.found[f"{base}.{alias.name}"] = None

    def visit_Try(self, node: ast.Try) -> None:
        self.guarded += 1
        self.generic_visit(node)
        self.guarded -= 1

    def visit_If(self, node: ast.If) -> None:
        typing_only = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for child in node.orelse if typing_only else [*node.body, *node.orelse]:
            self.visit(child)


class Closure(NamedTuple):
    """Modules of the project and of the agent's own package, and the other packages they need."""

    modules: dict[str, bytes]
    others: frozenset[str]
    required: frozenset[str]


Sources = dict[str, Imported | None]
"""Modules already read, shared by the calls of one bench."""


def closure(*modules: str, sources: Sources | None = None) -> Closure:
    """Everything that these modules import, within this project and their own packages."""
    known: Sources = {} if sources is None else sources
    own = OWN_PACKAGES | {module.partition(".")[0] for module in modules}
    contents: dict[str, bytes] = {}
    others: set[str] = set()
    required: set[str] = set()
    waiting = list(modules)
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module not in known:
            known[module] = _read(module)
        read = known[module]
        if read is None:
            continue
        contents[module] = read.source
        for name in read.modules:
            top = name.partition(".")[0]
            if top in own:
                waiting.append(name)
                waiting.extend(_parents(name))
            elif top not in sys.stdlib_module_names:
                others.add(top)
        required.update(
            top
            for name in read.required
            if (top := name.partition(".")[0]) not in own and top not in sys.stdlib_module_names
        )
    return Closure(contents, frozenset(others), frozenset(required))


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def fingerprint(*modules: str, sources: Sources | None = None) -> str:
    """A hash of the code that these modules run: their sources and other packages' versions."""
    found = closure(*modules, sources=sources)
    digest = hashlib.sha256(f"python {sys.version_info[:2]}\n".encode())
    for module in sorted(found.modules):
        digest.update(f"{module} {len(found.modules[module])}\n".encode())
        digest.update(found.modules[module])
    for package, version in sorted(versions(found.others).items()):
        digest.update(f"{package}=={version}\n".encode())
    return digest.hexdigest()[:16]


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def versions(packages: frozenset[str]) -> dict[str, str]:
    """Installed versions of the distributions that hold these import packages."""
    found = {}
    for package in packages:
        for name in _distributions().get(package, ()):
            found[name] = metadata.version(name)
    return found


def missing_packages(target: str, sources: Sources | None = None) -> list[str]:
    """Packages that an agent (`module:Class`) needs and that are not installed."""
    module = target.partition(":")[0]
    if _read(module) is None and not _found(module):
        return [module]
    return sorted(name for name in closure(module, sources=sources).required if not _found(name))


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
