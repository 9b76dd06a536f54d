"""Reads from source which events are emitted where, and with which keys.

Names and keys stand at the call itself or somewhere near it: in a constant of this
module or of another one, in a variable of the function, in an attribute of the class,
in what a function of the project returns. Those are followed; what comes from further
away is not seen here, and is for tests that run the thing.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module


@dataclass(frozen=True, slots=True)
class Emission:
    """One call that has the name of an event among its arguments.

    Attributes:
        maps: the keys of the other arguments, in their order.
    """

    where: str
    name: str
    maps: list[set[str]]


class Module:
    """One file."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text())
        self.name = name
        self.functions = {
            node.name: node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self.imports = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }


class Project:
    """All files, by the names that they are imported by."""

    def __init__(self, roots: Iterable[Path]) -> None:
        modules = [
            Module(path, ".".join(path.relative_to(root).with_suffix("").parts))
            for root in roots
            for path in sorted(root.glob("shmtel*/**/*.py"))
        ]
        self.modules = {each.name.removesuffix(".__init__"): each for each in modules}

    def emissions(self, is_event: Callable[[str], bool]) -> Iterator[Emission]:
        """Yield the calls with the name of an event in them."""
        for module in self.modules.values():
            for scope, call in _calls(module.tree, module.tree):
                arguments = [*call.args, *(k.value for k in call.keywords)]
                for at, argument in enumerate(arguments):
                    text = self._text(module, argument)
                    if text is not None and is_event(text):
                        others = arguments[:at] + arguments[at + 1 :]
                        keys = _Keys(self)
                        maps = [keys.of(module, scope, each) for each in others]
                        where = f"{module.path}:{call.lineno}"
                        yield Emission(where, text, maps)

    def _text(self, module: Module, node: ast.expr) -> str | None:
        """Return the text that an expression is: a literal, or a constant."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if not isinstance(node, ast.Name):
            return None
        for value in _assigned(module.tree.body, node.id):
            return self._text(module, value)
        found = self.imported(module, node.id)
        return self._text(found[0], ast.Name(found[1])) if found else None

    def imported(self, module: Module, name: str) -> tuple[Module, str] | None:
        """Return where a name comes from, if that is in the project."""
        source, original = module.imports.get(name, ("", ""))
        found = self.modules.get(source)
        return (found, original) if found else None


class _Keys:
    """Follows what makes a dictionary, each step once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._seen: set[ast.AST] = set()

    def of(self, module: Module, scope: _Scope, node: ast.expr | None) -> set[str]:
        """Return the keys that are known of an expression."""
        if node is None or node in self._seen:
            return set()
        self._seen.add(node)
        parts: list[ast.expr | None] = []
        keys = set[str]()
        match node:
            case ast.Dict():
                keys = {str(k.value) for k in node.keys if isinstance(k, ast.Constant)}
                pairs = zip(node.keys, node.values, strict=True)
                parts = [value for key, value in pairs if key is None]
            case ast.BinOp(op=ast.BitOr()):
                parts = [node.left, node.right]
            case ast.IfExp():
                parts = [node.body, node.orelse]
            case ast.Name():
                above = _above(scope, node)
                parts = list(_assigned(above, node.id))
                keys = set(_items(above, node.id))
            case ast.Attribute(value=ast.Name(id="self")):
                parts = list(_attributes(module.tree, node.attr))
            case ast.Call():
                return self._returned(module, node)
        return keys.union(*(self.of(module, scope, part) for part in parts))

    def _returned(self, module: Module, call: ast.Call) -> set[str]:
        name = call.func
        known = name.id if isinstance(name, ast.Name) else ""
        if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name):
            known = name.attr if name.value.id == "self" else ""
        if known == "dict":
            return {k.arg for k in call.keywords if k.arg}
        found = self._project.imported(module, known) or (module, known)
        function = found[0].functions.get(found[1])
        if function is None:
            return set()
        returned = (n for n in ast.walk(function) if isinstance(n, ast.Return))
        keys = [self.of(found[0], function, node.value) for node in returned]
        return set().union(*keys)


def _calls(scope: _Scope, node: ast.AST) -> Iterator[tuple[_Scope, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield scope, child
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _calls(child if is_function else scope, child)  # type: ignore[arg-type]


def _assignments(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield each target with what it is set to, or what is added to it by `|=`."""
    for node in nodes:
        match node:
            case ast.Assign(targets=targets, value=value):
                pairs = [(target, value) for target in targets]
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                pairs = [(target, value)]
            case ast.AugAssign(target=target, op=ast.BitOr(), value=value):
                pairs = [(target, value)]
            case _:
                continue
        for target, value in pairs:
            match target, value:
                case ast.Tuple(elts=targets), ast.Tuple(elts=values):
                    yield from zip(targets, values, strict=True)
                case _:
                    yield target, value


def _assigned(nodes: Iterable[ast.AST], name: str) -> Iterator[ast.expr]:
    for target, value in _assignments(nodes):
        if isinstance(target, ast.Name) and target.id == name:
            yield value


def _above(scope: _Scope, variable: ast.Name) -> list[ast.AST]:
    """Return what is in a function up to where a variable is used."""
    nodes = ast.walk(scope)
    return [n for n in nodes if getattr(n, "lineno", 0) <= variable.lineno]


def _items(nodes: Iterable[ast.AST], name: str) -> Iterator[str]:
    """Yield the keys of a variable that are set one by one."""
    for target, _ in _assignments(nodes):
        match target:
            case ast.Subscript(
                value=ast.Name(id=found), slice=ast.Constant(value=str(key))
            ) if found == name:
                yield key


def _attributes(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    """Yield what an attribute of that name is set to."""
    for target, value in _assignments(ast.walk(tree)):
        if isinstance(target, ast.Attribute) and target.attr == name:
            yield value
