"""Reads the imports of a package out of its source and says which of them its architecture forbids.

Nothing is imported to find out: what a function or a `TYPE_CHECKING` block hides is seen as well.
The rules themselves are data, in `test_architecture`.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Import:
    """One import: `target` is a dotted name as written, `name` what is taken from it, if anything."""

    line: int
    target: str
    name: str
    hidden: bool  # inside a function, or asked for by a call of import_module
    typing_only: bool  # under TYPE_CHECKING


@dataclass(frozen=True, slots=True)
class Module:
    """One source file of the package."""

    name: str
    path: Path
    tree: ast.Module
    lines: int
    imports: tuple[Import, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What an architecture asks for; names of modules may be patterns with `*`."""

    parts: Mapping[str, tuple[str, ...]]  # part -> the modules that make it up; first match wins
    may_import: Mapping[str, frozenset[str]]  # part -> parts, itself included
    doors: Mapping[str, tuple[str, ...]]  # foreign library -> the modules that may import it
    pure: Mapping[str, frozenset[str]] = field(default_factory=dict)  # part -> forbidden modules
    pure_calls: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # part -> forbidden calls
    may_hide: frozenset[str] = frozenset()  # parts whose functions may import
    never_named: frozenset[str] = frozenset()  # words that no module is named by
    longest_file: int = 400
    long_function: int = 30
    long_functions: float = 0.1  # at most this share


def read(root: Path) -> dict[str, Module]:
    """Every module below the package folder `root`, by dotted name."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        names = [root.name, *path.relative_to(root).with_suffix("").parts]
        name = ".".join(names[:-1] if names[-1] == "__init__" else names)
        text = path.read_text()
        tree = ast.parse(text)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        imports = tuple(_imports(tree, package))
        modules[name] = Module(name, path, tree, len(text.splitlines()), imports)
    return modules


def _imports(
    node: ast.AST, package: str, *, hidden: bool = False, typing_only: bool = False
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for target, name in _named(child, package):
            called = isinstance(child, ast.Call)
            line = getattr(child, "lineno", 0)
            yield Import(line, target, name, hidden or called, typing_only)
        inside = hidden or isinstance(child, (*_FUNCTIONS, ast.Lambda))
        asleep = typing_only or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        )
        yield from _imports(child, package, hidden=inside, typing_only=asleep)


def _named(node: ast.AST, package: str) -> Iterator[tuple[str, str]]:
    """(module, name taken from it) for each thing that a statement or a call imports."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        target = ".".join([*above, *([node.module] if node.module else [])])
        yield from ((target, alias.name) for alias in node.names)
    elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
        first = node.args[0] if node.args else None
        literal = (
            first.value if isinstance(first, ast.Constant) else "?"
        )  # "?": computed, so unknown
        yield str(literal), ""


def _called(node: ast.Call) -> str:
    """The last name of what is called: `Path(x).open(…)` calls `open`."""
    called = node.func
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def ours(modules: Mapping[str, Module], module: Module) -> Iterator[tuple[Import, str]]:
    """The imports of our own modules: `from package import module` is an import of that module."""
    package = next(iter(modules)).split(".")[0]
    for found in module.imports:
        if found.target.split(".")[0] == package:
            inner = f"{found.target}.{found.name}"
            yield found, inner if inner in modules else found.target


def violations(modules: Mapping[str, Module], rules: Rules) -> list[str]:
    """Everything that the rules forbid, one line each, with its place."""
    found = [line for module in modules.values() for line in _of_module(modules, module, rules)]
    return found + _cycle(modules) + _long_functions(modules, rules)


def _of_module(modules: Mapping[str, Module], module: Module, rules: Rules) -> Iterator[str]:
    part = part_of(module.name, rules)
    if not part:
        yield f"{module.name}: has no place in the architecture"
        return
    for rule in (_arrows, _doors, _hidden, _impure):
        yield from (f"{module.name}:{line}" for line in rule(modules, module, part, rules))
    if module.lines > rules.longest_file:
        yield f"{module.name}: {module.lines} lines, more than {rules.longest_file}"
    words = set(module.name.rpartition(".")[2].split("_")) & rules.never_named
    if words:
        yield f"{module.name}: a module named {', '.join(words)} says nothing about what it does"


def part_of(name: str, rules: Rules) -> str:
    """The part that a module belongs to, "" for none."""
    for part, patterns in rules.parts.items():
        if any(name == p or fnmatchcase(name, p) for p in patterns):
            return part
    return ""


def _arrows(
    modules: Mapping[str, Module], module: Module, part: str, rules: Rules
) -> Iterator[str]:
    for found, target in ours(modules, module):
        other = part_of(target, rules)
        if target not in modules:
            yield f"{found.line}: imports {target}, which does not exist"
        elif other not in rules.may_import[part]:
            yield f"{found.line}: {part} may not import {other or 'nothing known'} ({target})"


def _doors(modules: Mapping[str, Module], module: Module, part: str, rules: Rules) -> Iterator[str]:
    package = module.name.split(".")[0]
    for found in module.imports:
        library = found.target.split(".")[0]
        door = rules.doors.get(library)
        if door is not None and not any(fnmatchcase(module.name, pattern) for pattern in door):
            yield f"{found.line}: {library} enters only through {', '.join(door)}"
        elif door is None and library not in (package, "?", *sys.stdlib_module_names):
            yield f"{found.line}: {library} is a foreign library without a door"


def _hidden(
    modules: Mapping[str, Module], module: Module, part: str, rules: Rules
) -> Iterator[str]:
    for found in module.imports:
        if found.hidden and part not in rules.may_hide:
            yield f"{found.line}: hides an import of {found.target} in a function"


def _impure(
    modules: Mapping[str, Module], module: Module, part: str, rules: Rules
) -> Iterator[str]:
    for found in module.imports:
        whole = {found.target, found.target.split(".")[0], f"{found.target}.{found.name}"}
        if whole & rules.pure.get(part, frozenset()):
            yield f"{found.line}: {part} is pure and may not import {found.target}"
    calls = rules.pure_calls.get(part, frozenset())
    for node in ast.walk(module.tree) if calls else ():
        if isinstance(node, ast.Call) and _called(node) in calls:
            yield f"{node.lineno}: {part} is pure and may not call {_called(node)}"
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"{node.lineno}: {part} is pure and awaits nothing"


def _cycle(modules: Mapping[str, Module]) -> list[str]:
    graph = {
        name: sorted({to for _, to in ours(modules, module)}) for name, module in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["an import cycle: " + " -> ".join(reversed(error.args[1]))]
    return []


def _long_functions(modules: Mapping[str, Module], rules: Rules) -> list[str]:
    lengths = {
        f"{module.name}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, _FUNCTIONS)
    }
    long = {name: length for name, length in lengths.items() if length >= rules.long_function}
    if len(long) <= rules.long_functions * len(lengths):
        return []
    listed = ", ".join(f"{name} ({length})" for name, length in sorted(long.items()))
    return [f"{len(long)} of {len(lengths)} functions are long: {listed}"]


def closure(modules: Mapping[str, Module], start: str, *, hidden: bool) -> set[str]:
    """The modules that are loaded by importing `start`; `hidden`: and by all of its functions."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in modules and name not in seen:
            seen.add(name)
            todo.append(name.rpartition(".")[0])  # a package is loaded before what is in it
            for found, target in ours(modules, modules[name]):
                if not found.typing_only and (hidden or not found.hidden):
                    todo.append(target)
    return seen
