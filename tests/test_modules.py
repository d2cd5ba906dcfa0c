"""What a run depends on is what its notebook reaches by imports, and nothing else."""

import ast
import json
import shutil
import subprocess
import sys

import pytest

from pickllm.files import PACKAGE, home, root
from pickllm.modules import code_hash, reached
from pickllm.study.planning import code_of


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A checkout of its own, whose code may be changed."""
    place = tmp_path_factory.mktemp("checkout")
    shutil.copytree(
        PACKAGE, place / "pickllm", ignore=shutil.ignore_patterns("__pycache__")
    )
    for folder in ("data", "notebooks"):
        shutil.copytree(root() / folder, place / folder)
    shutil.copy(root() / "pyproject.toml", place)
    return place


def inputs(place, notebook="sessions"):
    """Input hash of a run of a notebook there, planned by a process of its own."""
    code = (
        "from pickllm.study.planning import plan\n"
        "from pickllm.study.runs import Run\n"
        "from pickllm.study.study import Study\n"
        f"print(plan(Study.here(), [Run('x', {notebook!r})])[0]['input'])"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture(scope="module")
def base(copy):
    """The hash before anything is changed."""
    return inputs(copy)


def change(place, module, old, new):
    path = place / "pickllm" / module
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"balanced": 0.1', '"balanced": 0.2'),
        ("\nEPSILON = 0.1", "\nEPSILON = 0.2"),
        ("\nRATE = 0.1", "\nRATE = 0.2"),
    ],
)
def test_a_changed_experiment_is_run_again(copy, base, old, new):
    change(copy, "experiments.py", old, new)
    assert inputs(copy) != base
    change(copy, "experiments.py", new, old)


def test_what_no_notebook_of_the_study_imports_reruns_nothing(copy, base):
    change(copy, "testing.py", '"""', '"""More: ')
    assert inputs(copy) == base


def test_a_simulation_does_not_depend_on_how_it_is_drawn():
    stems = {path.stem for path in reached(code_of("convergence"))}
    assert {
        "learners",
        "reward",
        "sessions",
        "kernels",
        "statistics",
        "experiments",
    } <= stems
    assert not {"panels", "report", "testing", "scoring", "recording"} & stems


def test_a_learner_of_another_module_is_reached_through_its_public_name():
    assert "contextual" in {
        path.stem for path in reached("import pickllm as kit\nkit.LinUCB()")
    }
    assert "contextual" in {path.stem for path in reached("from pickllm import LinUCB")}
    assert reached("import numpy as np\nnp.mean") == []


def test_every_import_statement_of_the_package_is_followed():
    """What a process has imported after running a module was reached by reading it."""
    for module in (
        "core.sessions",
        "experiments",
        "traces.summary",
        "figures.single",
        "analysis.claims",
    ):
        code = (
            f"import json, sys, pickllm.{module}; print(json.dumps([m for m in"
            " sys.modules if m.startswith('pickllm.')]))"
        )
        loaded = json.loads(
            subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, text=True
            ).stdout
        )
        found = {
            ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts)
            for p in reached(f"import pickllm.{module}")
        }
        assert set(loaded) <= found | {name.removesuffix(".__init__") for name in found}


def test_the_hash_is_of_bytes_and_places(copy):
    one, other = (
        copy / "pickllm" / "core" / "locking.py",
        copy / "pickllm" / "errors.py",
    )
    with pytest.raises(ValueError, match="subpath"):
        code_hash(one)  # not of this package
    assert code_hash("from pickllm.core import locking") != code_hash(
        "from pickllm import errors"
    )
    assert other.read_bytes() != one.read_bytes()


def test_notebooks_are_read_without_their_shell_lines():
    for path in home("notebooks").glob("*.ipynb"):
        ast.parse(code_of(path.stem))
