"""Which of the package's modules some code reaches by its imports, and a hash of them.

What a result depends on is read from the code itself: nobody keeps a list of modules by
hand.
"""

import ast
import functools
from pathlib import Path

from .files import PACKAGE, digest


def code_hash(*sources: str | Path) -> str:
    """Hash of every module of the package that some code reaches by its imports.

    Parameters
    ----------
    *sources : str or Path
        Code as text, or modules of the package by their files.

    Returns
    -------
    str
        SHA-256 over the modules' paths and bytes, in order of their paths.
    """
    paths = reached(*sources)
    return digest([path.relative_to(PACKAGE).as_posix() for path in paths], *paths)


def reached(*sources: str | Path) -> list[Path]:
    """Return the modules that some code imports, and those that these import.

    An import counts wherever it stands. The package's own ``__init__`` is left out: it
    only says where public names live, and they are followed to where that is.

    Parameters
    ----------
    *sources : str or Path
        Code as text, or modules of the package by their files; the latter are among
        the result.

    Returns
    -------
    list of Path
        Sorted.

    Examples
    --------
    >>> [path.name for path in reached("from pickllm import InputError")]
    ['errors.py']
    """
    waiting: list[Path] = []
    for source in sources:
        if isinstance(source, Path):
            waiting.append(source)
        else:
            waiting += _imported(source, "pickllm")
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            package = ".".join(("pickllm", *path.relative_to(PACKAGE).parent.parts))
            waiting += _imported(path.read_text("utf-8"), package)
    return sorted(found - {PACKAGE / "__init__.py"})


@functools.cache
def _imported(text: str, package: str) -> list[Path]:
    """Return the files of the package's modules that a text imports.

    `package` is where its relative imports start.
    """
    tree = ast.parse(text)
    names: set[str] = set()
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
                aliases[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names.add(base)
            names |= {f"{base}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):  # `import pickllm as pk`, then `pk.replay`
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = aliases.get(node.value.id)
            names.add(f"{module}.{node.attr}")
    return sorted({path for name in names for path in _files(name)})


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Return the module that ``from ... import`` names, without dots in front."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join(parts + ([node.module] if node.module else []))


def _files(name: str) -> list[Path]:
    """Return the files behind a dotted name: module, and ``__init__`` on the way."""
    from . import HOMES

    first, *parts = name.split(".")
    if first != "pickllm":
        return []
    if len(parts) == 1 and parts[0] in HOMES:
        parts = HOMES[parts[0]].split(".")
    found: list[Path] = []
    for depth in range(1, len(parts) + 1):
        module = PACKAGE.joinpath(*parts[:depth])
        if (module / "__init__.py").exists():
            found.append(module / "__init__.py")
        elif module.with_suffix(".py").exists():
            found.append(module.with_suffix(".py"))
    return found
