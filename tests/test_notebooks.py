"""Notebooks stay thin: parameters in one cell, no function, no stored output."""

import ast
import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from pickllm import experiments
from pickllm.files import home
from pickllm.study.planning import declared_parameters
from pickllm.study.runs import ASIDE, EVERYWHERE, PAGES, SIZES, study_runs
from pickllm.study.study import TRACE
from pickllm.traces.sources import load_trace

PATHS = sorted(home("notebooks").glob("*.ipynb"))
RUN = [p for p in PATHS if p.stem not in PAGES]
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
each_that_runs = pytest.mark.parametrize("path", RUN, ids=lambda p: p.stem)


def cells(path, kind="code"):
    return [
        c
        for c in json.loads(path.read_text("utf-8"))["cells"]
        if c["cell_type"] == kind
    ]


def source(cell):
    return "".join(cell["source"])


def tagged(path):
    return [c for c in cells(path) if "parameters" in c["metadata"].get("tags", [])]


def parameters(path):
    """The names and values that the parameters cell assigns, by its syntax alone."""
    (cell,) = tagged(path)
    body = ast.parse(source(cell)).body
    assert all(
        isinstance(s, ast.Assign)
        and len(s.targets) == 1
        and isinstance(s.targets[0], ast.Name)
        for s in body
    )
    return {s.targets[0].id: ast.literal_eval(s.value) for s in body}


def runs(size="full"):
    trace = load_trace("bfcl-2024-08-11")
    return study_runs(trace, size, "bfcl-2024-08-11-second" if size == "full" else None)


def test_there_are_notebooks_and_the_exceptions_are_among_them():
    assert len(PATHS) >= 5
    assert {*PAGES, *ASIDE} <= {p.stem for p in PATHS}


@pytest.mark.xdist_group("notebooks")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(home("notebooks").parent))
    notebook = nbformat.read(home("notebooks") / f"{page}.ipynb", as_version=4)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    assert all(
        output.output_type != "error"
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def test_the_start_page_links_every_notebook_of_the_study():
    text = "\n".join(
        source(c) for c in cells(home("notebooks") / "start.ipynb", "markdown")
    )
    assert all(
        f"]({p.name})" in text for p in PATHS if p.stem not in ("start", "variant")
    )


@each_that_runs
def test_one_cell_is_tagged_parameters_and_holds_json_scalars(path):
    assert len(tagged(path)) == 1
    values = parameters(path)
    assert values
    assert all(v is None or type(v) in (str, int, float, bool) for v in values.values())
    assert set(declared_parameters(path.stem)) == set(values)


@each_that_runs
def test_nothing_stands_before_the_parameters_but_words(path):
    assert cells(path)[0] in tagged(path)


@each_notebook
def test_no_output_and_no_execution_count_is_stored(path):
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in cells(path))


@each_notebook
def test_no_function_or_class_is_defined(path):
    for cell in cells(path):
        if path.stem == "own-learner" and "class " in source(cell):
            continue  # the one notebook about a class of one's own
        assert "def " not in source(cell)
        tree = ast.parse(source(cell))
        assert not [
            n
            for n in ast.walk(tree)
            if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        ]


@each_notebook
def test_cells_are_short(path):
    too_long = [
        c["id"]
        for c in cells(path)
        if c not in tagged(path)
        and "class " not in source(c)
        and len(source(c).splitlines()) > 12
    ]
    assert not too_long


def test_a_learner_of_ones_own_takes_less_than_25_lines():
    (cell,) = (
        source(c)
        for c in cells(home("notebooks") / "own-learner.ipynb")
        if "class " in source(c)
    )
    assert len(cell.splitlines()) < 25


@each_that_runs
def test_the_last_cell_writes_the_result(path):
    last = ast.parse(source(cells(path)[-1]))
    calls = [ast.unparse(n.func) for n in ast.walk(last) if isinstance(n, ast.Call)]
    assert "write_result" in calls
    (call,) = (
        n
        for n in ast.walk(last)
        if isinstance(n, ast.Call) and ast.unparse(n.func) == "write_result"
    )
    assert ast.unparse(call.args[0]) == "result"


@each_that_runs
def test_every_parameter_is_used_and_no_result_goes_elsewhere(path):
    used = {
        n.id
        for c in cells(path)
        if c not in tagged(path)
        for n in ast.walk(ast.parse(source(c)))
        if isinstance(n, ast.Name)
    }
    assert set(parameters(path)) <= used


@each_notebook
def test_cell_ids_are_unique_and_the_notebook_is_valid(path):
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = [c["id"] for c in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert (
        notebook.nbformat,
        notebook.nbformat_minor,
    ) >= (4, 5)


@each_notebook
def test_a_notebook_begins_with_what_it_is_about(path):
    first = json.loads(path.read_text("utf-8"))["cells"][0]
    assert first["cell_type"] == "markdown"
    assert source(first).startswith("# ")


@pytest.mark.parametrize("size", SIZES)
def test_the_study_sets_only_parameters_that_its_notebooks_declare(size):
    declared = {p.stem: set(parameters(p)) for p in RUN}
    for run in runs(size):
        assert set(run.parameters) <= declared[run.notebook], run.name
        assert all(
            type(v) in (str, int, float, bool) for v in run.parameters.values()
        ), run.name
        assert "result" in declared[run.notebook]


@pytest.mark.parametrize("size", SIZES)
def test_the_study_uses_every_notebook_but_those_named_each_after_its_needs(size):
    planned = runs(size)
    assert {r.notebook for r in planned} == {p.stem for p in RUN} - set(ASIDE)
    names = [r.name for r in planned]
    assert len(set(names)) == len(names)
    for position, run in enumerate(planned):
        assert set(run.needs) <= set(names[:position]), run.name


def test_the_full_study_covers_every_learner_context_rate_and_weight_setting():
    trace, planned = load_trace("bfcl-2024-08-11"), runs()
    convergence = {
        (r.parameters["learner"], r.parameters["context"])
        for r in planned
        if r.notebook == "convergence"
    }
    assert convergence == {
        (learner, c) for learner in experiments.ROUTERS for c in trace.contexts
    }
    assert {
        r.parameters["learning_rates"] for r in planned if r.notebook == "convergence"
    } == {"0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7"}
    assert {
        r.parameters["weights"] for r in planned if r.name.startswith("sessions-")
    } == set(experiments.WEIGHTS)
    assert {
        (r.parameters.get("sessions"), r.parameters.get("queries"))
        for r in planned
        if r.notebook in ("convergence", "sessions", "readings")
    } == {(1000, 1000)}


#: What `experiments` names: a notebook's parameter -> the values that it may have.
NAMED = {
    "trace": [TRACE, *EVERYWHERE],
    "learning_rate": [experiments.RATE],
    "learning_rates": [", ".join(f"{rate:g}" for rate in experiments.RATES)],
    "epsilon": [experiments.EPSILON],
    "weights": [experiments.MAIN_WEIGHTS],
    "w_cost": [experiments.WEIGHTS[experiments.MAIN_WEIGHTS]],
    "learner": list(experiments.ROUTERS),
}


@each_that_runs
def test_a_default_that_experiments_names_is_the_one_there(path):
    defaults = parameters(path)
    assert {
        name: value
        for name, value in defaults.items()
        if value not in NAMED.get(name, [value])
    } == {}


def test_every_setting_that_experiments_names_is_given_from_there(tmp_path):
    """In a checkout where they are others, whatever the notebooks' cells say."""
    for folder in ("pickllm", "data", "notebooks"):
        shutil.copytree(home("data").parent / folder, tmp_path / folder)
    shutil.copy(home("data").parent / "pyproject.toml", tmp_path)
    path = tmp_path / "pickllm" / "experiments.py"
    text = path.read_text("utf-8")
    for old, new in (
        ("\nRATE = 0.1\n", "\nRATE = 0.25\n"),
        ('MAIN_WEIGHTS = "balanced"', 'MAIN_WEIGHTS = "cost first"'),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    code = """
        import json
        from pickllm.study.planning import plan
        from pickllm.study.runs import study_runs
        from pickllm.study.study import SECOND_TRACE, TRACE, Study
        from pickllm.traces.sources import load_trace
        runs = study_runs(load_trace(TRACE), "full", SECOND_TRACE)
        planned = plan(Study.here(), runs, {"trace": TRACE, "prices": "", "seed": 0})
        values = {p["run"].name: p["defaults"] | p["parameters"] for p in planned}
        print(json.dumps(values))
    """
    printed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    values = json.loads(printed)
    rates = {v["learning_rate"] for v in values.values() if "learning_rate" in v}
    assert rates == {0.25}
    weights = {name: v["weights"] for name, v in values.items() if "weights" in v}
    varied = {name for name in weights if name.startswith("sessions-")}
    assert len(varied) == 3
    assert {weights[name] for name in weights.keys() - varied} == {"cost first"}
    assert len(weights) > 2 + len(varied)


@each_that_runs
def test_what_a_notebook_reads_it_needs(path):
    """Runs that read others' results wait for them: patterns as in the notebook."""
    import fnmatch
    import re

    patterns = re.findall(
        r'read_results\(results, "([^"]+)"', "\n".join(source(c) for c in cells(path))
    )
    planned = runs()
    for run in (r for r in planned if r.notebook == path.stem):
        for pattern in patterns:
            assert {r.name for r in planned if fnmatch.fnmatch(r.name, pattern)} <= set(
                run.needs
            ), (run.name, pattern)
