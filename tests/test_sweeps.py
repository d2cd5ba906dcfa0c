"""Sweeps: the same numbers as single replays, the same bytes however they are run, and
no finished setting lost.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from reference import IDENTITY, trace_of

import pickllm as pk
from pickllm.core.replay import replay
from pickllm.sweeps import rows as sweep_rows
from pickllm.sweeps import run, settings, store, work, workers
from pickllm.sweeps.grid import grid
from pickllm.sweeps.totals import merged, totals

REWARDS = {"ratio": pk.Reward(), "linear": pk.Reward(form="linear")}
LEARNERS = {
    "automaton": pk.LinearRewardInaction(0.3),
    "Q": pk.QLearning(0.2),
    "oracle": pk.Oracle(),
}


@pytest.fixture(scope="module")
def trace():
    return pk.load_trace("bfcl-2024-08-11")


def files(folder):
    """Each result's bytes by its name."""
    return {
        p.name: p.read_bytes() for p in sorted(pathlib.Path(folder).glob("*.parquet"))
    }


def everything(folder):
    """Every file's bytes by its path, journals and what was set aside included."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(pathlib.Path(folder).rglob("*"))
        if p.is_file()
    }


def test_a_sweep_is_its_replays_one_after_the_other(trace):
    table = pk.sweep(
        trace,
        REWARDS,
        LEARNERS,
        contexts=["simple", "rest"],
        sessions=7,
        queries=40,
        seed=3,
    )
    assert (
        list(table.groupby(["context", "reward_form", "learner"], sort=False).size())
        == [7] * 12
    )
    for (context, form, name), rows in table.groupby(
        ["context", "reward_form", "learner"], sort=False
    ):
        alone = replay(
            trace.select(context=context),
            REWARDS[form],
            LEARNERS[name],
            sessions=7,
            queries=40,
            seed=3,
        ).table()
        pd.testing.assert_frame_equal(rows[alone.columns].reset_index(drop=True), alone)


@pytest.mark.parametrize("learner", LEARNERS)
def test_chunks_and_threads_change_no_session(trace, learner, monkeypatch):
    whole = pk.sweep(
        trace, pk.Reward(), LEARNERS[learner], contexts="rest", sessions=101, queries=30
    )
    monkeypatch.setattr(settings, "TABULATED", 33 * 30)
    for n_jobs in (1, 3):
        pd.testing.assert_frame_equal(
            pk.sweep(
                trace,
                pk.Reward(),
                LEARNERS[learner],
                contexts="rest",
                sessions=101,
                queries=30,
                n_jobs=n_jobs,
            ),
            whole,
            check_exact=True,
        )


@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("learner", ["automaton", "Q"])
def test_a_reduced_row_is_the_statistics_of_the_sessions_table(
    trace, learner, engine, order, monkeypatch
):
    monkeypatch.setattr(settings, "REDUCED", 64 * 120)  # several chunks, merged
    options = {
        "sessions": 500,
        "queries": 120,
        "seed": 8,
        "order": order,
        "checkpoints": 9,
    }
    (row,) = pk.sweep(
        trace,
        pk.Reward(),
        LEARNERS[learner],
        contexts="java_js",
        reduce=True,
        engine=engine,
        **options,
    ).to_dict("records")
    s = replay(
        trace.select(context="java_js"),
        pk.Reward(),
        LEARNERS[learner],
        engine="numpy",
        **options,
    )
    table = s.table()
    assert row["sessions"] == 500
    assert row["queries"] == 120
    for name in ("cost_usd", "latency_ms", "accuracy", "reward", "regret", "clipped"):
        np.testing.assert_allclose(
            [row[name], row[f"{name}_sd"]],
            [table[name].mean(), table[name].std()],
            rtol=1e-9,
            atol=1e-12,
        )
    assert row["locked"] == (table.locked_at >= 0).sum()
    assert row["locked_on_best"] == table.locked_on_best.fillna(False).sum()
    ranked = np.sort(np.where(s.locked_at < 0, np.inf, s.locked_at))
    for q in (0.1, 0.25, 0.5, 0.75, 0.9):
        expected = ranked[int(np.ceil(q * 500)) - 1]
        assert row[f"locked_at_q{100 * q:.0f}"] == (
            expected if np.isfinite(expected) else None
        )
    for j, model in enumerate(trace.models):
        assert row[f"share:{model}"] == pytest.approx((s.choices == j).mean())
        assert row[f"locked_on:{model}"] == (s.locked_model == j).sum()
        np.testing.assert_allclose(
            row[f"probability:{model}"], s.probabilities[..., j].mean(axis=0), rtol=1e-9
        )
        np.testing.assert_allclose(
            row[f"probability_sd:{model}"],
            s.probabilities[..., j].std(axis=0),
            atol=1e-7,
        )
        np.testing.assert_allclose(
            row[f"selection:{model}"],
            s.selection()[..., j].mean(axis=0),
            rtol=1e-9,
            atol=1e-15,
        )
    assert row["checkpoint"] == s.checkpoints.tolist()
    assert {at: n for at, n in enumerate(row["locked_at"]) if n} == table.locked_at[
        table.locked_at >= 0
    ].value_counts().to_dict()


def test_totals_add_up_in_any_grouping(trace):
    here, options = trace.select(context="rest"), {"queries": 50, "seed": 1}
    parts = [
        totals(
            here, pk.Reward(), LEARNERS["automaton"], first=first, sessions=n, **options
        )
        for first, n in ((0, 5), (5, 1), (6, 60))
    ]
    a, b = (
        merged(merged(parts[0], parts[1]), parts[2]),
        merged(parts[0], merged(parts[1], parts[2])),
    )
    whole = totals(here, pk.Reward(), LEARNERS["automaton"], sessions=66, **options)
    for t in (a, b):
        for name in ("mean", "squares", "moments"):
            np.testing.assert_allclose(
                getattr(t, name), getattr(whole, name), rtol=1e-9, atol=1e-15
            )
        for name in ("sessions", "asked", "locked_on", "locked_at"):
            np.testing.assert_array_equal(getattr(t, name), getattr(whole, name))


# Many settings


def plan_of(trace, **options):
    """Settings of several pools, rewards and learners, as a study would draw them."""
    pools = [trace.models, trace.models[:2], trace.models[::-1], trace.models[1:]]
    learners = {
        "automaton": pk.LinearRewardInaction(0.3),
        "Q": pk.QLearning(0.2),
        "UCB": pk.UCB1(),
        "oracle": pk.Oracle(),
    }
    options = {"sessions": 33, "queries": 50, "reduce": True} | options
    plan = []
    for context in ("simple", "rest"):
        for pool in pools:
            part = trace.select(context=context, models=pool)
            plan += settings.settings(part, REWARDS, learners, **options)
    return plan


@pytest.mark.parametrize("reduce", [True, False])
def test_one_table_is_the_settings_tables_put_together(trace, reduce):
    results, _ = run.execute(plan_of(trace, reduce=reduce))
    assert len(results) == 64
    expected = pd.concat(list(results), ignore_index=True)
    pd.testing.assert_frame_equal(results.frame(), expected, check_exact=True)


def test_cells_of_every_kind_come_out_as_in_single_tables():
    kinds = [
        {"a": 1, "b": "x", "c": None, "d": True, "e": 1},
        {"a": 2, "b": "y", "c": 1.5, "d": False, "e": 0.5, "f": 3},
        {"b": "z", "e": 2, "f": 4, "g": "late", "h": True, "i": 0.5},
    ]
    expected = pd.concat([pd.DataFrame([row]) for row in kinds], ignore_index=True)
    pd.testing.assert_frame_equal(sweep_rows.frame(kinds), expected, check_exact=True)


def test_a_setting_is_to_the_bit_the_same_alone_and_among_many(trace, monkeypatch):
    """Alone it is small and NumPy's; among many it is compiled, in threads."""
    plan = plan_of(trace, checkpoints=7)
    alone = [run.execute([setting])[0][0] for setting in plan]
    monkeypatch.setattr(work, "BATCH", 5 * 33 * 50)
    monkeypatch.setattr(work, "pays", lambda decisions, engine: True)
    for n_jobs in (1, 3):
        for one, other in zip(alone, run.execute(plan, n_jobs=n_jobs)[0], strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_the_decisions_of_the_plan_say_whether_compiling_pays(trace):
    small, large = plan_of(trace)[:8], plan_of(trace, sessions=600)[:8]
    for plan, worthwhile in ((small, False), (large, True)):
        assert all(setting.decisions < 200_000 for setting in plan)
        batches = work.batches(plan, range(len(plan)))
        assert {w.worthwhile for b in batches for w in b.works} == {worthwhile}


def test_small_settings_go_in_batches_and_large_ones_in_chunks(trace, monkeypatch):
    monkeypatch.setattr(settings, "REDUCED", 64 * 50)
    monkeypatch.setattr(work, "BATCH", 64 * 50)
    plan = plan_of(trace)[:8] + plan_of(trace, sessions=200)[8:16]
    batches = list(work.batches(plan, range(16)))
    sizes = [sum(w.decisions for w in batch.works) for batch in batches]
    assert max(sizes) <= 64 * 50
    assert len(batches[0].works) == 1  # 33 sessions; two would be 66
    found = sorted(place for batch in batches for place in batch.places)
    expected = [(i, j) for i, s in enumerate(plan) for j in range(len(s.chunks()))]
    assert found == expected
    # one trace and reward, one table
    assert len({id(batch.shared) for batch in batches}) == 4


def test_tables_are_made_once_for_a_trace_and_a_reward(trace, monkeypatch):
    made = []
    of = work.Tables.of

    def counted(trace, reward):
        made.append(reward)
        return of(trace, reward)

    plan = plan_of(trace)
    monkeypatch.setattr(work.Tables, "of", counted)
    run.execute(plan[::2] + plan[1::2], n_jobs=2)
    assert len(made) == 2 * 4 * 2


def test_the_compiled_loop_groups_sessions_as_its_numpy_twin_does():
    from pickllm.engine import lanes
    from pickllm.sweeps import totals

    assert totals.LANE == lanes.LANES


@pytest.mark.parametrize("n_models", [2, 4, 17])
@pytest.mark.parametrize("learner", ["automaton", "Q"])
def test_totals_are_the_same_bits_by_either_engine(learner, n_models):
    rewards = np.random.default_rng(n_models).random((50, n_models))
    options = {"sessions": 100, "queries": 90, "checkpoints": 5}
    found = [
        totals(
            trace_of(rewards.tolist()),
            IDENTITY,
            LEARNERS[learner],
            engine=engine,
            **options,
        )
        for engine in ("numpy", "compiled")
    ]
    for name in ("mean", "squares", "asked", "locked_on", "locked_at", "moments"):
        one, other = (getattr(t, name) for t in found)
        np.testing.assert_array_equal(one, other, err_msg=name, strict=True)


# Kept results


def swept(trace, folder, n_jobs=1, **options):
    options = {"sessions": 40, "queries": 30, "reduce": True} | options
    plan = settings.settings(trace, REWARDS, LEARNERS, ["simple", "rest"], **options)
    return run.execute(plan, folder, n_jobs=n_jobs)


@pytest.mark.parametrize("reduce", [True, False])
def test_the_same_files_come_out_of_one_thread_and_of_three(trace, tmp_path, reduce):
    for n_jobs in (1, 3):
        swept(trace, tmp_path / str(n_jobs), n_jobs, reduce=reduce)
    assert len(files(tmp_path / "1")) == (1 if reduce else 12)
    assert everything(tmp_path / "1") == everything(tmp_path / "3")


def test_finished_settings_are_reused_and_give_the_same_table(trace, tmp_path):
    first, counts = swept(trace, tmp_path)
    assert counts == {"computed": 12, "reused": 0, "set_aside": []}
    again, counts = swept(trace, tmp_path)
    assert counts == {"computed": 0, "reused": 12, "set_aside": []}
    for a, b in zip(first, again, strict=True):
        scalars = [name for name in a if a[name].map(np.ndim).eq(0).all()]
        pd.testing.assert_frame_equal(
            a[scalars], b[scalars], check_exact=True, check_dtype=False
        )
    assert (
        swept(trace, tmp_path, seed=1)[1]["computed"] == 12
    )  # another seed is another setting, beside the others
    assert swept(trace, tmp_path)[1]["reused"] == 12


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-100],
        lambda b: b"",
        lambda b: b[:200] + bytes([b[200] ^ 255]) + b[201:],
        lambda b: b"not parquet",
    ],
)
@pytest.mark.parametrize("reduce", [True, False])
def test_a_damaged_file_is_named_set_aside_and_computed_again(
    trace, tmp_path, damage, reduce, monkeypatch
):
    monkeypatch.setattr(store, "TOGETHER", 5)
    swept(trace, tmp_path, reduce=reduce)
    before = files(tmp_path)
    assert len(before) == (3 if reduce else 12)
    name = max(before, key=lambda name: len(before[name]))
    (tmp_path / name).write_bytes(damage(before[name]))
    _, counts = swept(trace, tmp_path, reduce=reduce)
    assert counts["computed"] == (5 if reduce else 1)
    assert counts["reused"] == 12 - counts["computed"]
    (line,) = counts["set_aside"]
    assert name in line
    assert "damaged" in line
    assert "\n" not in line
    assert len(list((tmp_path / "_set-aside").iterdir())) == 1
    assert files(tmp_path) == before


def test_results_of_other_code_are_set_aside(trace, tmp_path, monkeypatch):
    swept(trace, tmp_path)
    monkeypatch.setattr(settings, "code", lambda *_: "other")
    _, counts = swept(trace, tmp_path)
    assert counts["computed"] == 12
    assert all("superseded (made by version 0" in line for line in counts["set_aside"])


def test_a_file_in_place_of_the_folder_is_one_line(trace, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(pk.InputError, match="taken is a file; name a folder"):
        swept(trace, tmp_path / "taken")


GRID = [
    "-s",
    "context=simple,rest",
    "-s",
    "learning_rate=0.05,0.1,0.2,0.3,0.5,0.7",
    "-s",
    "sessions=2000",
    "-s",
    "reduce=false",
]


def command(folder):
    return [
        sys.executable,
        "-m",
        "pickllm",
        "sweep",
        *GRID,
        "--jobs",
        "1",
        "--folder",
        str(folder),
    ]


def interruptible():
    """A shell's background jobs ignore interrupts, and so would what a test starts from
    one.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_plan_that_grows_leaves_files_alone_and_adds_its_own(trace, tmp_path):
    swept(trace, tmp_path)
    before = files(tmp_path)
    more = settings.settings(
        trace,
        REWARDS | {"product": pk.Reward(form="product")},
        LEARNERS,
        ["simple", "rest"],
        sessions=40,
        queries=30,
        reduce=True,
    )
    results, counts = run.execute(more, tmp_path)
    assert (counts["computed"], counts["reused"]) == (6, 12)
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == 2
    fresh, _ = run.execute(more)
    pd.testing.assert_frame_equal(results.frame(), fresh.frame(), check_exact=True)


def test_a_setting_that_stands_twice_in_a_plan_is_reused_twice(trace, tmp_path):
    plan = settings.settings(trace, REWARDS, LEARNERS, "rest", 40, 30, 0, True)
    twice = [*plan, *plan[:2]]
    first, counts = run.execute(twice, tmp_path)
    assert counts["computed"] == len(twice)
    again, counts = run.execute(twice, tmp_path)
    assert counts["reused"] == len(twice)
    assert len(files(tmp_path)) == 1
    pd.testing.assert_frame_equal(first.frame(), again.frame(), check_exact=True)


def test_rows_of_other_code_take_only_themselves_along(trace, tmp_path, monkeypatch):
    """What still holds of a file that is set aside is not computed again."""
    swept(trace, tmp_path)
    before = files(tmp_path)

    def code(*imports):
        return "other" if "import pickllm.core.learners.QLearning" in imports else same

    same = settings.code()
    monkeypatch.setattr(settings, "code", code)
    (plan,) = [settings.settings(trace, REWARDS, LEARNERS, ["rest"], 40, 30, 0, True)]
    inputs = [setting.inputs for setting in plan]
    assert len(set(inputs)) == len(inputs)
    _, counts = swept(trace, tmp_path)
    assert 0 < counts["computed"] < 12
    (line,) = counts["set_aside"]
    assert "its settings are computed again" in line
    assert files(tmp_path).keys() != before.keys()
    assert swept(trace, tmp_path)[1]["reused"] == 12


def test_a_file_holds_the_table_and_what_each_row_is(trace, tmp_path):
    results, _ = swept(trace, tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    held = pd.read_parquet(path)
    table = results.frame()
    order = held.sort_values(["context", "reward_form", "learner"]).index
    expected = table.sort_values(["context", "reward_form", "learner"]).index
    for name in ("cost_usd", "locked", "context", "share:command-r-plus"):
        assert held[name][order].tolist() == table[name][expected].tolist()
    identities = [json.loads(text) for text in held["_identity"]]
    assert [i["labels"]["context"] for i in identities] == held["context"].tolist()
    assert {i["trace"] for i in identities} == {
        trace.select(context=context).fingerprint() for context in ("simple", "rest")
    }
    assert held["_setting"].is_unique


KILLED = """
import os, random, signal, sys, time
import joblib, pandas, pyarrow.parquet, tqdm
import pickllm as pk
from pickllm.sweeps import run, settings, store

trace = pk.load_trace("bfcl-2024-08-11")
store.TOGETHER, store.OFTEN = 7, 0.02
learners = {f"b={b}": pk.LinearRewardInaction(b / 20) for b in range(1, 13)}
rewards = [pk.Reward(), pk.Reward(form="linear")]
options = dict(sessions=20, queries=150, reduce=True, engine="numpy")
plan = settings.settings(trace, rewards, learners, ["simple", "rest"], **options)

def sweep(folder):
    child = os.fork()
    if not child:
        run.execute(plan, folder, n_jobs=2, keep=False)
        os._exit(0)
    return child

chance, killed = random.Random(1), 0
for _ in range(20):
    child = sweep(sys.argv[1])
    time.sleep(chance.uniform(0.0, 0.3))
    os.kill(child, signal.SIGKILL)
    killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
for folder in sys.argv[1:]:
    assert os.waitpid(sweep(folder), 0)[1] == 0
print(killed)
"""


def test_a_batched_sweep_that_is_killed_twenty_times_leaves_the_same_bytes(tmp_path):
    folders = [str(tmp_path / "killed"), str(tmp_path / "undisturbed")]
    script = [sys.executable, "-c", KILLED, *folders]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 3  # in the midst of it
    killed = everything(tmp_path / "killed")
    assert len(killed) == 7  # 48 settings, 7 to a file, and no journal left
    assert killed == everything(tmp_path / "undisturbed")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = subprocess.run(command(folder), capture_output=True, text=True, check=True)
    assert "24 settings computed, 0 reused" in done.stdout
    assert "dec/s" in done.stderr
    return files(folder)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_was_stopped_goes_on_where_it_was(tmp_path, undisturbed, how):
    process = subprocess.Popen(
        command(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    )
    while len(files(tmp_path)) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    _, error = process.communicate()
    here = files(tmp_path)
    assert 3 <= len(here) < 24
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert "interrupted; what was finished is kept" in error
        assert "Traceback" not in error
    assert all(undisturbed[name] == content for name, content in here.items())
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=True)
    assert f"{24 - len(here)} settings computed, {len(here)} reused" in done.stdout
    assert files(tmp_path) == undisturbed


# Grids


def test_a_grid_is_the_product_of_its_axes_without_what_a_learner_ignores():
    plan = grid(
        {
            "context": ["simple", "rest"],
            "learning_rate": [0.1, 0.2],
            "epsilon": [0.1, 0.3],
            "w_cost": [0, 0.5],
            "sessions": 5,
        }
    )
    assert len(plan) == 2 * 2 * (2 + 2 * 2)  # epsilon is not the automaton's
    assert {s.labels["reward_form"] for s in plan} == {
        "ratio w_cost=0",
        "ratio w_cost=0.5",
    }
    assert {s.labels["learner"] for s in plan} == {"automaton", "qlearning"}
    assert {s.options["sessions"] for s in plan} == {5}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {"learning_rat": 1},
            "unknown key 'learning_rat'; did you mean 'learning_rate'",
        ),
        ({"epsilon": []}, "the axis 'epsilon' is empty"),
        ({"context": []}, "the axis 'context' is empty"),
        ({"sessions": [1, 2]}, "sessions takes one value"),
        ({"order": "random"}, "unknown order 'random'"),
        ({"seed": -1}, r"seed must be a whole number in \[0, 2\*\*63\), got -1"),
        ({"queries": 0}, "queries must be a whole number >= 1, got 0"),
        (
            {"learner": "automaton2"},
            "unknown learner 'automaton2'; did you mean 'automaton'",
        ),
        ({"learning_rate": [0.1, 7]}, r"learning_rate must be in \(0, 1\], got 7"),
        ({"form": "quotient"}, "quotient"),
        ({"context": "simpel"}, "simpel"),
        ({"lock": 5}, "lock must be True, False or a lock rule, got 5"),
        ({"order": "shuffle", "queries": 99_999}, "uses each query once"),
    ],
)
def test_a_wrong_grid_is_one_line_before_anything_runs(values, text):
    with pytest.raises(pk.InputError, match=text) as caught:
        grid(values)
    assert "\n" not in str(caught.value)


def test_a_grid_file_is_read_and_its_mistakes_are_told(tmp_path):
    from pickllm.sweeps.grid import read_grid

    (tmp_path / "g.yaml").write_text(
        "learning_rate: [0.1, 0.2]\ncontext: rest\nreduce: false\n"
    )
    assert read_grid(tmp_path / "g.yaml") == {
        "learning_rate": [0.1, 0.2],
        "context": "rest",
        "reduce": False,
    }
    (tmp_path / "bad.yaml").write_text("learning_rate: [0.1\ncontext: rest")
    with pytest.raises(pk.InputError, match=r"bad\.yaml is not YAML"):
        read_grid(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(pk.InputError, match="must hold `name: value` lines, got list"):
        read_grid(tmp_path / "list.yaml")
    with pytest.raises(FileNotFoundError, match="no grid file"):
        read_grid(tmp_path / "none.yaml")


# A cluster


@contextmanager
def processes(folder, n_workers):
    """A Dask scheduler and some workers, each a process, over loopback: the scheduler's
    address, and the workers.
    """
    file = folder / "scheduler.json"
    quiet = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "cwd": folder,
        "env": os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    }
    dask = [sys.executable, "-m", "dask"]
    scheduler = subprocess.Popen(
        [
            *dask,
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(file),
        ],
        **quiet,
    )
    worker = [
        *dask,
        "worker",
        "--scheduler-file",
        str(file),
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
        "--memory-limit",
        "0",
    ]
    workers = []
    try:
        while not (file.exists() and file.read_text().endswith("}")):
            time.sleep(0.05)
        workers += [subprocess.Popen(worker, **quiet) for _ in range(n_workers)]
        yield json.loads(file.read_text())["address"], workers
    finally:
        for process in [*workers, scheduler]:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory):
    with processes(tmp_path_factory.mktemp("cluster"), 3) as cluster_:
        yield cluster_


def test_a_cluster_that_loses_a_worker_gives_the_bytes_of_one_process(
    trace, dask_cluster, tmp_path
):
    from distributed import Client

    address, started = dask_cluster
    rates = {
        f"b={rate}": pk.LinearRewardInaction(rate)
        for rate in np.linspace(0.05, 0.6, 12).round(3).tolist()
    }
    plan = settings.settings(
        trace,
        pk.Reward(),
        rates,
        ["simple", "rest"],
        sessions=1000,
        queries=600,
        engine="numpy",
    )
    run.execute(plan, tmp_path / "here")
    with Client(address) as client:  # as from a notebook
        client.wait_for_workers(3)

        def kill_one():
            while len(files(tmp_path / "there")) < 3:
                time.sleep(0.01)
            started[0].kill()  # with work in its hands

        killer = threading.Thread(target=kill_one)
        killer.start()
        run.execute(plan, tmp_path / "there", client)
        killer.join()
        assert len(client.scheduler_info()["workers"]) == 2
    assert len(files(tmp_path / "here")) == 24
    assert files(tmp_path / "here") == files(tmp_path / "there")


def test_an_address_is_enough(trace, dask_cluster):
    options = {"contexts": "rest", "sessions": 30, "queries": 40, "reduce": True}
    there = pk.sweep(trace, pk.Reward(), LEARNERS, scheduler=dask_cluster[0], **options)
    pd.testing.assert_frame_equal(
        there, pk.sweep(trace, pk.Reward(), LEARNERS, **options), check_exact=True
    )


def test_many_settings_of_many_pools_are_the_same_files_from_a_cluster(
    trace, dask_cluster, tmp_path
):
    plan = plan_of(trace)
    there, _ = run.execute(plan, tmp_path / "there", dask_cluster[0])
    here, _ = run.execute(plan, tmp_path / "here", n_jobs=2)
    pd.testing.assert_frame_equal(there.frame(), here.frame(), check_exact=True)
    assert everything(tmp_path / "there") == everything(tmp_path / "here")


def test_on_a_cluster_no_setting_s_table_stands_for_another_s(trace, dask_cluster):
    from pickllm.beyond.scenarios import unanswered

    rest = trace.select(context="rest")
    learner = {"automaton": pk.Hindered(pk.LinearRewardInaction(0.3))}
    plan = [
        settings.settings(t, pk.Reward(), learner, sessions=20, queries=300)[0]
        for t in (rest, unanswered(rest, 0.9))
    ]
    there, _ = run.execute(plan, scheduler=dask_cluster[0])
    assert not there[0].equals(there[1])
    for one, other in zip(there, run.execute(plan)[0], strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_workers_of_another_version_are_refused(trace, dask_cluster, monkeypatch):
    monkeypatch.setattr(settings, "code", lambda *_: "other")  # here alone
    with pytest.raises(
        pk.InputError,
        match=(
            r"the worker tcp://.* runs other code than this process; install the same"
            r" version"
        ),
    ):
        pk.sweep(
            trace,
            pk.Reward(),
            LEARNERS["Q"],
            contexts="rest",
            sessions=3,
            queries=4,
            scheduler=dask_cluster[0],
        )


def test_a_scheduler_that_does_not_answer_is_one_line(trace, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    with pytest.raises(
        pk.InputError,
        match=(
            r"no answer from the scheduler tcp://127.0.0.1:9 within 1 s.*dask scheduler"
        ),
    ) as caught:
        pk.sweep(trace, pk.Reward(), LEARNERS["Q"], scheduler="tcp://127.0.0.1:9")
    assert "\n" not in str(caught.value)
    with pytest.raises(pk.InputError, match="no scheduler of the kind 5"):
        pk.sweep(trace, pk.Reward(), LEARNERS["Q"], scheduler=5)


def test_a_scheduler_without_workers_is_one_line(trace, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 1)
    with (
        processes(tmp_path, 0) as (address, _),
        pytest.raises(
            pk.InputError, match="has no worker after 3 s; start some with `dask worker"
        ),
    ):
        pk.sweep(trace, pk.Reward(), LEARNERS["Q"], scheduler=address)
