"""Running notebooks of three lines: what is done, has failed, or was interrupted."""

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

from pickllm import files
from pickllm.errors import InputError
from pickllm.files import PACKAGE, root
from pickllm.publish.reproduce import _copy, reproduce
from pickllm.study import runner, study
from pickllm.study.lock import locked
from pickllm.study.parameters import listed, numbers
from pickllm.study.planning import plan
from pickllm.study.results import read_results
from pickllm.study.runs import Run, default_folder
from pickllm.study.study import Study

pytestmark = pytest.mark.xdist_group(
    "study"
)  # one after the other: they are timed against each other's kernels

RESULTS = "from pickllm.study.results import read_results, write_result"
NOTEBOOKS = {
    "first": f"""
        import pandas as pd
        {RESULTS}
        numbers = pd.DataFrame({{"x": [rate]}})
        write_result(result, [f"rate {{rate}}"], numbers=numbers)
    """,
    "second": f"""
        {RESULTS}
        write_result(result, sums=read_results(results, "one*", "numbers"))
    """,
    "wrong": "import pickllm as pk\npk.QLearning(learning_rate=7)",
    "leaves": "import sys\nsys.exit(0)",
    "killed": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "draws": f"""
        import pandas as pd
        from pickllm.files import root
        {RESULTS}
        drawn = f"{{figures}}/drawn.csv"
        (root() / drawn).parent.mkdir(parents=True, exist_ok=True)
        (root() / drawn).write_text(f"x\\n{{rate}}\\n")
        more = {{"more": pd.DataFrame({{"x": [rate]}})}} if name == "more" else {{}}
        write_result(result, [], [drawn], numbers=pd.DataFrame({{"x": [rate]}}), **more)
        assert rate < 1
    """,
    "slow": f"""
        import os, pathlib, time
        {RESULTS}
        pathlib.Path("kernel").write_text(f"{{os.getpid()}}.")
        time.sleep(seconds)
        write_result(result)
    """,
}
PARAMETERS = """
rate = 0.5
seconds = 0
name = "a"
result = "build/x.json"
results = "build"
figures = "build"
"""


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
        PARAMETERS.strip(), metadata={"tags": ["parameters"]}
    )
    book.cells = [
        parameters,
        nbformat.v4.new_code_cell(textwrap.dedent(source).strip()),
        nbformat.v4.new_code_cell(""),
    ]
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(book, place / "notebooks" / f"{name}.ipynb")


def script(place, runs, folder, jobs=2):
    """A process that executes runs there; it prints how many it did, and had."""
    code = f"""
        import json, sys
        from pickllm.study import planning, runner
        from pickllm.study.runs import Run
        from pickllm.study.study import Study
        if __name__ == "__main__":
            runs = json.loads({json.dumps(json.dumps(runs))})
            runs = [Run(*run[:3], tuple(run[3]), *run[4:]) for run in runs]
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
    """Hear interrupts, which a shell's background jobs, and a test in one, ignore."""
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


def test_a_long_run_starts_before_the_others_and_stands_where_it_stood(checkout):
    runs = [TWO[0], ("one-b", "first", {"rate": 0.75}, [], True), TWO[2]]
    assert execute(checkout, runs, "build/t10", jobs=1)[1] == ["3", "0"]
    results = checkout / "build/t10/results"
    written = {p.stem: p.stat().st_mtime_ns for p in results.glob("*.stamp")}
    assert sorted(written, key=written.__getitem__) == ["one-b", "one-a", "both"]


def left(folder):
    """Every file of a study but its locks: path -> bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_only_what_has_changed_runs_again_and_reads_what_it_needs(checkout):
    results = checkout / "build/t1/results"
    assert execute(checkout, TWO, "build/t1") == (0, ["3", "0"], "")
    assert pd.read_parquet(results / "both.sums.parquet").x.tolist() == [0.25, 0.75]
    changed = [("one-a", "first", {"rate": 0.125}, []), *TWO[1:]]
    assert execute(checkout, changed, "build/t1")[1] == ["2", "1"]  # and what reads it
    assert pd.read_parquet(results / "both.sums.parquet").x.tolist() == [0.125, 0.75]
    (results / "one-b.numbers.parquet").write_bytes(b"tampered with")
    needs_one = ("sum", "second", {}, ["one-a"])
    assert execute(checkout, [*changed, needs_one], "build/t1")[1] == ["2", "2"]
    assert pd.read_parquet(results / "sum.sums.parquet").x.tolist() == [0.125]
    assert execute(checkout, [changed[0]], "build/t1")[1] == ["0", "1"]
    assert execute(checkout, changed, "build/t1")[1] == ["0", "3"]  # nothing was lost
    found = left(checkout / "build/t1")
    assert not [path for path in found if path.startswith(".")]
    assert not [path for path, content in found.items() if b".running" in content]
    notebook = found["notebooks/both.ipynb"].decode()
    assert 'results = \\"build/t1/results\\"' in notebook


def test_a_rerun_that_fails_leaves_what_was_finished_as_it_was(checkout):
    run = [("drawn", "draws", {"rate": 0.25, "name": "more"}, [])]
    assert execute(checkout, run, "build/t7")[1] == ["1", "0"]
    before = left(checkout / "build/t7")
    assert {"figures/drawn.csv", "results/drawn.more.parquet"} <= set(before)
    stamp = json.loads(before["results/drawn.stamp"])
    assert stamp["files"].keys() == {
        f"build/t7/{path}" for path in before if path.startswith(("results", "figures"))
    } - {"build/t7/results/drawn.stamp"}
    code, _, error = execute(
        checkout, [("drawn", "draws", {"rate": 2}, [])], "build/t7"
    )
    assert code == 3
    assert "drawn: AssertionError" in error
    assert ".running" not in error
    after = left(checkout / "build/t7")
    assert "rate = 2" in after.pop("notebooks/drawn.failed.ipynb").decode()
    assert after == before
    assert execute(checkout, run, "build/t7")[1] == ["0", "1"]
    again = [("drawn", "draws", {"rate": 0.5}, [])]
    assert execute(checkout, again, "build/t7")[1] == ["1", "0"]
    after = left(checkout / "build/t7")
    assert after["figures/drawn.csv"] == b"x\n0.5\n"
    assert "results/drawn.more.parquet" not in after  # the successor has no such table
    assert "notebooks/drawn.failed.ipynb" not in after


def test_a_worker_that_is_killed_is_said_to_be(checkout):
    code, _, error = execute(checkout, [("gone", "killed", {}, [])], "build/t9")
    assert code == 3
    assert error.splitlines()[-1].startswith("gone: the process was ended from outside")
    assert "Traceback" not in error


def test_runs_that_left_the_plan_are_forgotten_when_all_others_are_done(tmp_path):
    study = Study(tmp_path, pathlib.Path("build"))
    files = {
        "kept": ["build/results/kept.json", "build/figures/both.csv"],
        "gone": [
            "build/results/gone.json",
            "build/results/gone.numbers.parquet",
            "build/figures/gone.csv",
            "build/figures/both.csv",
            "figures/gone.csv",
        ],
    }
    for name, paths in files.items():
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(name)
        study.stamp(name).write_text(json.dumps({"files": dict.fromkeys(paths, "")}))
    runner.forget_others(study, [{"run": Run("kept", "first")}])
    there = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")}
    assert there == {*files["kept"], "build/results/kept.stamp", "figures/gone.csv"}


# Two at once


def test_a_folder_in_use_is_refused_in_one_line_with_the_process_that_holds_it(
    tmp_path,
):
    message = f"{tmp_path} is in use by .*process {os.getpid()}.*; wait until it ends"
    with locked(tmp_path):
        with pytest.raises(InputError, match=message), locked(tmp_path):
            pass
        with pytest.raises(InputError, match=message), locked(tmp_path, shared=True):
            pass
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True):
        with pytest.raises(InputError, match=message), locked(tmp_path):
            pass
        with locked(tmp_path, "a"), locked(tmp_path, "b"):
            pass
    with locked(tmp_path):
        pass


def test_a_second_study_in_the_same_folder_begins_nothing(tmp_path):
    study = Study(root(), tmp_path)
    with locked(tmp_path), pytest.raises(InputError, match="in use by another run"):
        reproduce(study, size="smoke")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def command(place, *arguments):
    """The command line in a checkout."""
    return subprocess.Popen(
        [sys.executable, "-m", "pickllm", *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place)},
        preexec_fn=interruptible,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_notebook_alone_leaves_others_and_is_not_run_twice_at_once(checkout):
    shutil.rmtree(checkout / "build/explore", ignore_errors=True)
    (checkout / "kernel").unlink(missing_ok=True)
    slow = command(checkout, "run", "slow", "-p", "seconds=60")
    while not (checkout / "kernel").exists() and slow.poll() is None:
        time.sleep(0.05)
    again = command(checkout, "run", "slow", "-p", "seconds=60")
    _, error = again.communicate(timeout=60)
    assert again.returncode == 2
    assert error.count("\n") == 1
    assert f"slow is in use by another run of the kit (process {slow.pid})" in error
    other = command(checkout, "run", "first")
    assert other.communicate(timeout=60)[0] == (
        "build/explore/notebooks/first.ipynb (executed)\n"
    )
    slow.send_signal(signal.SIGINT)
    assert (
        slow.communicate(timeout=30)[1]
        .splitlines()[-1]
        .startswith("pickllm: interrupted; what was finished is kept")
    )
    assert slow.returncode == 130
    third = command(checkout, "run", "draws")
    assert "(executed)" in third.communicate(timeout=60)[0]
    results = {p.name for p in (checkout / "build/explore/results").glob("*.json")}
    assert results == {"first.json", "draws.json"}


def test_a_notebook_that_fails_alone_shows_its_own_traceback_and_no_other(checkout):
    failing = command(checkout, "run", "wrong")
    out, error = failing.communicate(timeout=60)
    assert failing.returncode == 2
    assert not out
    assert error.count("Traceback (most recent call last)") == 1
    assert "runner.py" not in error
    assert error.splitlines()[-1].startswith(
        "pickllm: a notebook failed; its traceback"
    )


def test_the_record_is_never_half_written(tmp_path, monkeypatch):
    (tmp_path / "new.svg").write_text("new")
    (tmp_path / "old.svg").write_text("old")

    def killed(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            _copy(tmp_path / "new.svg", tmp_path / "old.svg")
    assert (tmp_path / "old.svg").read_text() == "old"
    _copy(tmp_path / "new.svg", tmp_path / "old.svg")
    assert (tmp_path / "old.svg").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


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
    (checkout / "kernel").unlink(missing_ok=True)
    quick = ("long", "slow", {"seconds": 0}, [])
    assert execute(checkout, [quick], "build/t4")[1] == ["1", "0"]
    finished = left(checkout / "build/t4")
    (checkout / "kernel").unlink()
    process = script(
        checkout, [TWO[0], ("long", "slow", {"seconds": 60}, [])], "build/t4", jobs=2
    )
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
    assert finished.items() <= left(checkout / "build/t4").items()
    assert execute(checkout, [TWO[0], quick], "build/t4")[1] == ["0", "2"]


def test_a_build_folder_that_cannot_be_written_is_one_line(checkout):
    (checkout / "blocked").write_text("a file")
    code, _, error = execute(checkout, [TWO[0]], "blocked/t5")
    assert code == 1
    assert "InputError: cannot write" in error.splitlines()[-1]
    assert "choose a folder that you may write" in error.splitlines()[-1]


# Planning, without a run


def planned(notebook, folder, parameters, **common):
    (one,) = plan(Study(root(), folder), [Run("x", notebook, parameters)], common)
    return one


def test_a_parameter_that_is_not_declared_is_an_error_before_anything_runs(tmp_path):
    with pytest.raises(
        InputError,
        match=(
            "notebook 'convergence' declares no parameter 'learning_rat'; did you mean"
            " 'learning_rates'"
        ),
    ):
        planned("convergence", tmp_path, {"learning_rat": "0.1"})


@pytest.mark.parametrize("name", ["result", "figures", "run"])
def test_where_a_run_leaves_its_files_is_no_parameter_of_the_users(tmp_path, name):
    with pytest.raises(
        InputError, match=f"parameter '{name}' says where .* with --folder"
    ):
        planned("readings", tmp_path, {name: "elsewhere"})


def test_a_notebook_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(
        InputError,
        match=r"no notebook .*convergense\.ipynb; did you mean 'convergence'",
    ):
        planned("convergense", tmp_path, {})


def test_the_hash_follows_what_a_run_depends_on(tmp_path):
    def inputs(parameters, **common):
        return planned("convergence", tmp_path, parameters, **common)["input"]

    base = inputs({"context": "rest"})
    assert base == inputs({"context": "rest"})
    others = {
        inputs({"context": "simple"}),
        inputs({"context": "rest", "trace": "bfcl-2024-08-11-second"}),
        inputs({"context": "rest"}, trace="bfcl-2024-08-11-second"),
        inputs({"context": "rest"}, seed=1),
    }
    assert base not in others
    assert len(others) == 3  # whoever names the trace


ROWS = "query_id,context,model,accuracy,input_tokens,output_tokens,latency_ms\n"
PRICES = (
    "model,vendor,usd_per_million_input_tokens,usd_per_million_output_tokens,"
    "as_of,source\na,v,1,2,2024-01-01,s\nb,v,3,4,2024-01-01,s\n"
)


def test_a_trace_whose_file_has_changed_is_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(accuracy):
        rows = [f"1,c,{model},{accuracy},10,5,400\n" for model in "ab"]
        pathlib.Path("mine.csv").write_text(ROWS + "".join(rows))

    def inputs():
        names = {"trace": "mine.csv", "prices": "prices.csv"}
        own = planned("pool", tmp_path, names)["input"]
        common = planned("pool", tmp_path, {}, **names)["input"]
        assert own == common
        return own

    pathlib.Path("prices.csv").write_text(PRICES)
    write(1)
    first = inputs()
    assert inputs() == first
    write(0)
    second = inputs()
    pathlib.Path("prices.csv").write_text(PRICES.replace(",4,", ",5,"))
    assert len({first, second, inputs()}) == 3
    write(1)
    pathlib.Path("prices.csv").write_text(PRICES)
    assert inputs() == first


def test_a_file_that_a_parameter_names_is_an_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("queries.csv", "models.yaml", "mine.py"):
        pathlib.Path(name).write_text("1")
    names = {"queries": "queries.csv", "models": "models.yaml", "scorer": "mine.py:f"}

    def inputs():
        return planned("live", tmp_path, names)["input"]

    seen = {inputs()}
    for name in ("queries.csv", "models.yaml", "mine.py"):
        assert inputs() in seen
        pathlib.Path(name).write_text("2")
        assert inputs() not in seen
        seen.add(inputs())
    assert len(seen) == 4


def test_a_state_that_a_live_run_leaves_is_no_input_of_it(tmp_path, monkeypatch):
    """The same command again must not ask, and pay, once more."""
    monkeypatch.chdir(tmp_path)
    names = {"queries": "queries.csv", "state": "router.json"}
    pathlib.Path("queries.csv").write_text("1")
    before = planned("live", tmp_path, names)["input"]
    pathlib.Path("router.json").write_text("{}")
    assert planned("live", tmp_path, names)["input"] == before


def test_a_trace_that_cannot_be_loaded_is_an_error_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match="unknown trace 'nowhere'"):
        planned("pool", tmp_path, {"trace": "nowhere"})
    assert not list(tmp_path.iterdir())


# Where a study stands


def test_a_study_is_in_the_folder_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Study.here() == Study(root(), pathlib.Path("build"))
    assert Study.here().renews_record
    assert Study.here("mine").path == tmp_path / "mine"
    assert Study.here(root() / "build" / "smoke") == Study.here().inside("smoke")
    assert not Study.here("mine").renews_record
    assert not Study.here().inside("verify").renews_record


def test_outside_a_checkout_a_study_stands_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "checkout", lambda: None)
    monkeypatch.setattr(study, "root", pathlib.Path.cwd)
    assert Study.here() == Study(tmp_path, pathlib.Path("pickllm-study"))
    assert Study.here("mine") == Study(tmp_path, pathlib.Path("mine"))
    assert not Study.here("build").renews_record


def test_a_project_beside_which_the_kit_is_installed_is_no_checkout_of_it(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "PACKAGE", tmp_path / "pickllm")
    pyproject = tmp_path / "pyproject.toml"
    for name, found in (("mine", None), ("pickllm", tmp_path)):
        pyproject.write_text(f'[project]\nname = "{name}"\n')
        assert files.checkout.__wrapped__() == found
    pyproject.unlink()
    assert files.checkout.__wrapped__() is None


def test_every_study_but_the_records_has_a_folder_of_its_own():
    settings = [
        {},
        {"trace": "bfcl-2024-08-11.csv"},
        {"trace": "bfcl-2024-08-11-second"},
        {"size": "smoke"},
        {"trace": "smoke.csv"},
        {"prices": "dear.csv"},
        {"prices": "cheap.csv"},
        {"seed": 1},
    ]
    folders = [default_folder(**setting) for setting in settings]
    assert folders[0] == ""
    assert len({*folders, "explore", "verify"}) == len(settings) + 2


# Parameters as text


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
    with pytest.raises(InputError, match=message):
        call()


def test_the_results_folder_says_what_to_run_first(tmp_path):
    with pytest.raises(
        InputError,
        match=r"no result 'sessions' of runs 'sessions-.*' in .*; run `make reproduce`",
    ):
        read_results(pathlib.Path(tmp_path), "sessions-*", "sessions")
