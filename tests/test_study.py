"""Running notebooks: what counts as done, as failed, as interrupted. In a checkout of its own, with notebooks of three lines."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import nbformat
import pandas as pd
import pytest

from pickllm.files import PACKAGE, root
from pickllm.study import runner
from pickllm.study.parameters import listed, numbers
from pickllm.study.results import read_results
from pickllm.study.runs import Run

pytestmark = pytest.mark.xdist_group(
    "study"
)  # one after the other: they are timed against each other's kernels

NOTEBOOKS = {
    "first": (
        "import pandas as pd\nfrom pickllm.study.results import"
        " write_result\nwrite_result(result, [f'rate {rate}'],"
        " numbers=pd.DataFrame({'x': [rate]}))"
    ),
    "second": (
        "from pickllm.study.results import read_results,"
        " write_result\nwrite_result(result, sums=read_results(results, 'one*',"
        " 'numbers'))"
    ),
    "wrong": "import pickllm as pk\npk.QLearning(learning_rate=7)",
    "leaves": "import sys\nsys.exit(0)",
    "slow": (
        "import os, pathlib, time\nfrom pickllm.study.results import"
        " write_result\npathlib.Path('kernel').write_text(f'{os.getpid()}.')\ntime.sleep(60)\nwrite_result(result)"
    ),
}
PARAMETERS = 'rate = 0.5\nname = "a"\nresult = "build/x.json"\nresults = "build"'


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the package with small notebooks of its own."""
    place = tmp_path_factory.mktemp("checkout")
    shutil.copytree(
        PACKAGE, place / "pickllm", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(root() / "data", place / "data")
    shutil.copy(root() / "pyproject.toml", place)
    (place / "notebooks").mkdir()
    for name, source in NOTEBOOKS.items():
        write_notebook(place, name, source)
    return place


def write_notebook(place, name, source):
    book = nbformat.v4.new_notebook()
    parameters = nbformat.v4.new_code_cell(
        PARAMETERS, metadata={"tags": ["parameters"]}
    )
    book.cells = [
        parameters,
        nbformat.v4.new_code_cell(source),
        nbformat.v4.new_code_cell(""),
    ]
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(book, place / "notebooks" / f"{name}.ipynb")


def script(place, runs, folder, jobs=2):
    """A process that plans and executes runs there, and prints how many it executed and reused."""
    code = f"""
        import json, sys
        from pickllm.study import planning, runner
        from pickllm.study.runs import Run
        from pickllm.study.study import Study
        if __name__ == "__main__":
            runs = json.loads({json.dumps(json.dumps(runs))})
            runs = [Run(*run[:2], run[2], tuple(run[3])) for run in runs]
            study = Study.here({folder!r})
            try:
                planned = planning.plan(study, runs)
                print(*runner.execute(study, planned, {jobs}, progress=False))
            except runner.RunFailed as error:
                print(error, file=sys.stderr)
                sys.exit(3)
    """
    path = place / f"{folder.replace('/', '-')}.py"
    path.write_text(textwrap.dedent(code))
    environment = os.environ | {"PYTHONPATH": str(place)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, str(path)],
        cwd=place,
        env=environment,
        preexec_fn=interruptible,
        **pipes,
    )


def interruptible():
    """A shell's background jobs ignore interrupts, and so would what a test starts from one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def execute(place, runs, folder, jobs=2):
    process = script(place, runs, folder, jobs)
    out, error = process.communicate(timeout=120)
    return process.returncode, out.split(), error


TWO = [
    ("one-a", "first", {"rate": 0.25}, []),
    ("one-b", "first", {"rate": 0.75}, []),
    ("both", "second", {}, ["one-a", "one-b"]),
]


def test_only_what_has_changed_runs_again(checkout):
    results = checkout / "build/t1/results"
    assert execute(checkout, TWO, "build/t1") == (0, ["3", "0"], "")
    assert pd.read_parquet(results / "both.sums.parquet").x.tolist() == [0.25, 0.75]
    assert execute(checkout, TWO, "build/t1")[1] == ["0", "3"]
    assert execute(
        checkout, [("one-a", "first", {"rate": 0.125}, []), *TWO[1:]], "build/t1"
    )[1] == [
        "2",
        "1",
    ]  # it, and what reads it
    assert pd.read_parquet(results / "both.sums.parquet").x.tolist() == [0.125, 0.75]
    (results / "one-b.numbers.parquet").write_bytes(b"tampered with")
    assert execute(
        checkout, [("one-a", "first", {"rate": 0.125}, []), *TWO[1:]], "build/t1"
    )[1] == ["1", "2"]
    assert execute(checkout, TWO[:2], "build/t1")[1] == ["1", "1"]
    assert not list(
        results.glob("both*")
    )  # a result that is no longer in the plan cannot be read by mistake


def test_a_failing_notebook_shows_its_own_traceback_and_where_it_stands(checkout):
    code, _, error = execute(
        checkout, [TWO[0], ("bad", "wrong", {}, [])], "build/t2", jobs=1
    )
    assert code == 3
    assert "bad: InputError: QLearning: learning_rate must be in (0, 1], got 7" in error
    assert "pk.QLearning(learning_rate=7)" in error
    assert "\x1b" not in error
    failed = checkout / "build/t2/notebooks/bad.failed.ipynb"
    assert f"executed copy: {failed}" in error
    assert "QLearning" in failed.read_text()
    assert not (checkout / "build/t2/results/bad.json").exists()
    assert not list((checkout / "build/t2").rglob("*.part.ipynb"))
    assert execute(checkout, [TWO[0]], "build/t2")[1] == [
        "0",
        "1",
    ]  # what had finished is kept


def test_a_notebook_that_leaves_before_its_result_has_failed(checkout):
    code, _, error = execute(checkout, [("gone", "leaves", {}, [])], "build/t3")
    assert code == 3
    assert "gone: the notebook ended without writing its result" in error


def test_an_interrupt_keeps_what_is_finished_and_stops_the_rest(checkout):
    process = script(checkout, [TWO[0], ("long", "slow", {}, [])], "build/t4", jobs=2)
    stamp, kernel = checkout / "build/t4/results/one-a.stamp", checkout / "kernel"
    while (
        not (stamp.exists() and kernel.exists() and kernel.read_text().endswith("."))
        and process.poll() is None
    ):
        time.sleep(0.05)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode
    assert time.monotonic() - start < 20
    while (
        pathlib.Path("/proc", kernel.read_text().rstrip(".")).exists()
        and time.monotonic() - start < 20
    ):
        time.sleep(0.05)
    assert time.monotonic() - start < 20  # the kernel does not go on alone
    assert not (checkout / "build/t4/results/long.json").exists()
    assert execute(checkout, [TWO[0]], "build/t4")[1] == ["0", "1"]


def test_a_build_folder_that_cannot_be_written_is_one_line(checkout):
    (checkout / "blocked").write_text("a file")
    code, _, error = execute(checkout, [TWO[0]], "blocked/t5")
    assert code == 1
    assert "InputError: cannot write" in error.splitlines()[-1]
    assert "choose a folder that you may write" in error.splitlines()[-1]


# Planning, without a run


def test_a_parameter_that_the_notebook_does_not_declare_is_an_error_before_anything_runs(
    tmp_path,
):
    with pytest.raises(
        runner.InputError,
        match=(
            "notebook 'convergence' declares no parameter 'learning_rat'; did you mean"
            " 'learning_rates'"
        ),
    ):
        runner.plan([Run("x", "convergence", {"learning_rat": "0.1"})], tmp_path, {})


def test_a_notebook_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(
        runner.InputError,
        match="no notebook .*convergense.ipynb; did you mean 'convergence'",
    ):
        runner.plan([Run("x", "convergense", {})], tmp_path, {})


def test_the_hash_follows_what_a_run_depends_on(tmp_path):
    def inputs(parameters, **common):
        return runner.plan(
            [Run("x", "convergence", parameters)],
            tmp_path,
            {"fingerprint": "a"} | common,
        )[0]["input"]

    base = inputs({"context": "rest"})
    assert base == inputs({"context": "rest"})
    assert (
        len(
            {
                base,
                inputs({"context": "simple"}),
                inputs({"context": "rest"}, fingerprint="b"),
                inputs({"context": "rest"}, seed=1),
            }
        )
        == 4
    )


@pytest.mark.parametrize(
    ("text", "found"), [("a, b", ["a", "b"]), ("all", ["a", "b", "c"]), ("c", ["c"])]
)
def test_lists_of_names(text, found):
    assert listed(text, ("a", "b", "c"), "context") == found


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: listed("a, d", ("a", "b"), "context"), "unknown context 'd'"),
        (lambda: numbers("0.1; 0.2"), "not a list of numbers"),
    ],
)
def test_wrong_lists_are_one_line(call, message):
    with pytest.raises(runner.InputError, match=message):
        call()


def test_the_results_folder_says_what_to_run_first(tmp_path):
    with pytest.raises(
        runner.InputError,
        match="no result 'sessions' of runs 'sessions-.*' in .*; run `make reproduce`",
    ):
        read_results(pathlib.Path(tmp_path), "sessions-*", "sessions")
