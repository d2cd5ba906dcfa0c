"""The rooms of the house: whoever stands higher may look down, nobody looks up."""

import ast
import graphlib

import pytest

from pickllm import modules
from pickllm.files import PACKAGE

#: From the top floor down; rooms of one floor do not look into each other.
FLOORS = [
    {"__main__"},
    {"commands"},
    {"publish"},
    {"study"},
    {"analysis"},
    {"sweeps", "scoring"},
    {"experiments", "testing"},
    {"live", "traces", "beyond"},
    {"figures", "core"},
    {"engine"},
    {"identity", "modules", "readers"},
    {"files"},
    {"errors"},
]
FLOOR = {
    room: len(FLOORS) - number for number, rooms in enumerate(FLOORS) for room in rooms
}


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def rooms_entered(path, text):
    """Each import of another room's module, wherever it stands: (line, room)."""
    here = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = list(here[: len(here) - node.level + 1])
            if node.module:
                place += node.module.split(".")
            names = place[:1] or [alias.name for alias in node.names]
            for name in names:
                yield node.lineno, name


def offences(path, text):
    """Lines of a module that look into a room of its own floor, or above."""
    own = room(path)
    for line, other in rooms_entered(path, text):
        if other in FLOOR and other != own and FLOOR[other] >= FLOOR[own]:
            yield (
                f"{path.relative_to(PACKAGE.parent)}:{line}: {own} looks up into"
                f" {other}"
            )


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda p: p.relative_to(PACKAGE).as_posix(),
)
def test_imports_point_down(path):
    if path != PACKAGE / "__init__.py":
        assert room(path) in FLOOR, f"{path}: a room without a floor"
        assert not list(offences(path, path.read_text("utf-8")))


def test_an_import_that_points_up_is_named_with_its_line():
    path = PACKAGE / "core" / "pool.py"
    assert list(offences(path, "import numpy\nfrom ..study import runs\n")) == [
        "pickllm/core/pool.py:2: core looks up into study"
    ]
    assert list(offences(path, "from .. import errors, publish\n")) == [
        "pickllm/core/pool.py:1: core looks up into publish"
    ]
    assert not list(
        offences(path, "from ..errors import InputError\nfrom . import trace\n")
    )


#: A compiled loop is one function: what it calls is inlined into it.
LONG = {
    f"engine/{module}.py: {name}"
    for module in ("general", "kernels")
    for name in ("loop", "sessions")
} | {"engine/general.py: answering"}


def lines_of(function):
    """How long a function is without its docstring."""
    first = function.body[0]
    described = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    documented = first.end_lineno - first.lineno + 1 if described else 0
    return function.end_lineno - function.lineno + 1 - documented


def test_a_function_fits_a_screen():
    too_long = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and lines_of(node) > 60:
                too_long.add(f"{path.relative_to(PACKAGE).as_posix()}: {node.name}")
    assert too_long == LONG


def test_what_is_compiled_knows_no_learner_and_no_name():
    """It takes numbers and functions: nothing of the paper's is imported there."""
    for path in (PACKAGE / "engine").glob("*.py"):
        text = path.read_text("utf-8")
        rooms = {other for _, other in rooms_entered(path, text) if other in FLOOR}
        assert rooms <= {"errors", "files", "engine", "identity", "modules"}


def modules_entered(path):
    """The modules of the package that one imports, wherever the import stands."""
    text = path.read_text("utf-8")
    package = ".".join(("pickllm", *path.relative_to(PACKAGE).parent.parts))
    rooms = {PACKAGE / "__init__.py", path.parent / "__init__.py"}
    return set(modules._imported(text, package)) - rooms - {path}


def test_no_module_comes_back_to_itself():
    """Imports in their order: the standard library's sorter names a circle."""
    inside = [p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py"]
    graph = {path: modules_entered(path) for path in inside}
    list(graphlib.TopologicalSorter(graph).static_order())
