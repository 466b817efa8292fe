"""What every module keeps to: says what it is, says what is public, holds no state, stays readable in one sitting."""

import ast

import pytest

from tests.architecture.source import Module, modules

MAX_LINES = 400
MAX_TEST_LINES = 600
MUTABLE_DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTABLE_CALLS = frozenset(
    {"list", "dict", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict", "WeakValueDictionary"}
)
MUTATORS = frozenset(
    {
        *("append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "add", "discard", "update"),
        *("setdefault", "popitem", "appendleft", "popleft"),
    }
)
SOURCE = modules("src/baton")
ALL = (*SOURCE, *modules("tests"), *modules("scripts"), *modules("benchmarks"))


def assignments(module: Module) -> list[tuple[str, ast.expr, int]]:
    """Names assigned at module or class level, with their values."""
    found: list[tuple[str, ast.expr, int]] = []
    scopes: list[ast.Module | ast.ClassDef] = [module.tree]
    while scopes:
        for node in scopes.pop().body:
            if isinstance(node, ast.ClassDef):
                scopes.append(node)
            elif isinstance(node, ast.Assign):
                found += [(ast.unparse(target), node.value, node.lineno) for target in node.targets]
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                found.append((ast.unparse(node.target), node.value, node.lineno))
    return found


def is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        function = value.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        return name in MUTABLE_CALLS
    return isinstance(value, MUTABLE_DISPLAYS)


def written_names(module: Module) -> set[str]:
    """Names that some statement of the module writes into."""
    written: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            written.add(ast.unparse(node.func.value))
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            written.add(ast.unparse(node.value))
        elif isinstance(node, ast.AugAssign):
            written.add(ast.unparse(node.target))
    return {name.removeprefix("self.").removeprefix("cls.") for name in written}


def is_private_table(name: str, module: Module) -> bool:
    """A literal table that only this module reads and nothing in it writes."""
    return name.startswith("_") and name.isupper() and name not in written_names(module)


def test_first_line_of_each_docstring_says_what_the_module_is() -> None:
    missing = [
        module.where
        for module in (*SOURCE, *modules("scripts"), *modules("benchmarks"))
        if module.tree.body
        and not (ast.get_docstring(module.tree) or "").partition("\n")[0].rstrip().endswith((".", "?", "``."))
    ]
    assert not missing, missing


def test_no_module_or_class_holds_mutable_state() -> None:
    found = [
        f"{module.where}:{line} {name}"
        for module in SOURCE
        for name, value, line in assignments(module)
        if name != "__all__" and is_mutable(value) and not is_private_table(name, module)
    ]
    assert not found, found


def test_no_function_assigns_module_names() -> None:
    found = [
        f"{module.where}:{node.lineno}"
        for module in SOURCE
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ]
    assert not found, found


def test_no_module_is_longer_than_one_sitting() -> None:
    found = [
        f"{module.where}: {module.lines} lines"
        for module in ALL
        if module.lines > (MAX_LINES if module in SOURCE else MAX_TEST_LINES)
    ]
    assert not found, found


def test_modules_state_their_public_names() -> None:
    missing = [
        module.where
        for module in SOURCE
        if any(
            isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
            for node in module.tree.body
        )
        and not any(name == "__all__" for name, _, _ in assignments(module))
        and module.path.name != "__main__.py"
    ]
    assert not missing, missing


def test_stated_public_names_exist() -> None:
    wrong: list[str] = []
    for module in SOURCE:
        defined = {name for name, _, _ in assignments(module)}
        defined |= {node.name for node in module.tree.body if hasattr(node, "name")}
        defined |= {arrow.target.rpartition(".")[2] for arrow in module.imports}
        for name, value, line in assignments(module):
            if name == "__all__":
                wrong += [f"{module.where}:{line} {item}" for item in ast.literal_eval(value) if item not in defined]
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("x = []", True), ("x = dict(a=1)", True), ("x = ()", False), ("x = MappingProxyType({1: 2})", False)],
)
def test_mutable_values_are_recognised(text: str, verdict: bool) -> None:  # noqa: FBT001  # a parameter of the table
    statement = ast.parse(text).body[0]
    assert isinstance(statement, ast.Assign)
    assert is_mutable(statement.value) is verdict


@pytest.mark.parametrize("text", ["_X['a'] = 1", "_X.update(a=1)", "del _X['a']", "_X |= {}"])
def test_a_table_that_is_written_is_state(text: str) -> None:
    module = Module(path=SOURCE[0].path, name="x", tree=ast.parse(f"_X = {{}}\n{text}"), lines=2, imports=())
    assert not is_private_table("_X", module)
