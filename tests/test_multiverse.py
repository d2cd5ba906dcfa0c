"""The multiverse: specifications as data, and each row found again another way."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pickllm as pk
from pickllm.analysis import multiverse, worlds
from pickllm.analysis.choices import CHOICES, Choice, Places
from pickllm.sweeps import blocks

TRACE = pk.load_trace("bfcl-2024-08-11-all")
POSSIBLE, REFUSED = multiverse.specifications(TRACE, 600, seed=5)
SHORT = POSSIBLE[POSSIBLE.queries <= 300]
FEW = pd.concat(
    [SHORT[SHORT.learner == name].head(10) for name in ("automaton", "qlearning")]
).reset_index(drop=True)


def alone(row, unit, rng):
    """One session in plain Python: the LLM asked each time, and when and on what it
    locked. Nothing of the package runs here.
    """
    m, n = len(unit[0]), row.queries
    automaton = row.learner == "automaton"
    order = list(rng.permutation(m)) if row.ties != "first" else list(range(m))
    first = row.initial_value == "first reward"
    start = 1 / m if automaton else 0.0 if first else float(row.initial_value)
    value, count, chosen = [start] * m, [0] * m, []
    low, high, run, calm, followed = math.inf, -math.inf, 0, 0, 0
    for t in range(n):
        epsilon = 0.0 if automaton else row.epsilon
        if row.exploration == "falling":
            epsilon = 1 / (1 + 0.05 * t)
        best = max(order, key=lambda j: value[j])
        if automaton:
            arm = int(rng.choice(m, p=np.array(value) / sum(value)))
        else:
            arm = int(rng.integers(m)) if rng.random() < epsilon else int(best)
        reward = unit[rng.integers(len(unit))][arm]
        chosen.append(arm)
        if row.mapping == "running extremes":
            low, high = min(low, reward), max(high, reward)
            reward = (reward - low) / (high - low) if high > low else 0.5
        count[arm] += 1
        if automaton:
            step = row.learning_rate * reward
            value = [v * (1 - step) + step * (j == arm) for j, v in enumerate(value)]
            best = int(np.argmax(value))
            if value[best] >= float(row.p_lock.split()[-1]):
                return chosen + [best] * (n - t - 1), t + 1, best
            continue
        rate = row.learning_rate
        if row["values"] == "averages":
            rate = 1 / count[arm]
        elif first and count[arm] == 1:
            rate = 1.0
        moved = rate * (reward - value[arm])
        value[arm] += moved
        if t == 0 and followed == 0:
            followed = max(order, key=lambda j: start)
        best = max(order, key=lambda j: value[j])
        run, followed = (run + 1 if best == followed else 0), best
        largest = sorted(value)[-2:]
        settled = {"values": abs(moved) <= 0.01, "gap": largest[1] - largest[0] >= 0.05}
        calm = calm + 1 if settled.get(row.q_lock.split()[0]) else 0
        longest = int(row.q_lock.split()[-1]) if "for" in row.q_lock else 0
        faded = row.q_lock.startswith("epsilon")
        later = 1 / (1 + 0.05 * (t + 1)) if faded else 1.0
        locks = later <= 0.05 if faded else max(calm, 0) >= longest
        if row.q_lock.startswith("greedy"):
            locks = run >= longest
        if locks:
            return chosen + [best] * (n - t - 1), t + 1, best
    return chosen, -1, -1


@pytest.mark.parametrize("number", range(len(FEW)))
def test_a_row_is_found_again_by_a_loop_in_plain_python(number):
    table = multiverse.multiverse(TRACE, FEW.iloc[[number]], sessions=400)
    row = table.iloc[0]
    part = TRACE.select(context=row.context, models=row.pool.split("|"))
    cents, ms = 100 * part.cost_usd, part.latency_ms
    delay = row.w_latency * np.log10(ms) / row.t_scaling
    raw = {
        "ratio": (part.accuracy - row.w_cost_cents * cents) / delay,
        "product": part.accuracy
        - row.w_cost_cents * cents * row.w_latency * np.log10(ms) * row.t_scaling,
        "linear": part.accuracy - row.w_cost_cents * cents - delay,
    }[row.form]
    unit = (raw - row.bounds_low) / (row.bounds_high - row.bounds_low)
    unit = unit.clip(0, 1)
    rng = np.random.default_rng(number)
    sessions = [alone(row, unit.tolist(), rng) for _ in range(200)]
    locked = np.array([model for _, _, model in sessions])
    best = int(raw.mean(axis=0).argmax())
    for name, which in (("locked", locked >= 0), ("locked_on_best", locked == best)):
        p = (which.mean() * 200 + row[name] * 400) / 600
        error = math.sqrt(max(p * (1 - p), 1 / 600) * (1 / 200 + 1 / 400))
        assert abs(which.mean() - row[name]) < 4 * error, name
    mean = part.cost_usd.mean(axis=0)
    costs = np.array([mean[chosen].mean() for chosen, _, _ in sessions])
    theirs = costs / mean.max() - 1
    error = math.hypot(theirs.std() / math.sqrt(200), row.cost_vs_dearest_se)
    assert abs(theirs.mean() - row.cost_vs_dearest) < 4 * error + 1e-9


@pytest.mark.parametrize("number", range(0, len(FEW), 2))
def test_a_row_is_replay_exactly(number):
    row = multiverse.multiverse(TRACE, FEW.iloc[[number]], sessions=60).iloc[0]
    places = Places(TRACE)
    world = places.world(FEW.iloc[number].to_dict())
    reward = pk.Reward(
        row.form,
        w_cost=row.w_cost_cents,
        w_latency=row.w_latency,
        t_scaling=row.t_scaling,
        bounds=(row.bounds_low, row.bounds_high),
    )
    part = TRACE.select(context=row.context, models=row.pool.split("|"))
    options = {"sessions": 60, "queries": int(row.queries), "seed": int(row.seed)}
    options |= {"lock": world.lock, "ties": world.ties}
    table = pk.replay(part, reward, world.learner, **options).table()
    assert (table.locked_at >= 0).mean() == row.locked
    assert table.locked_on_best.fillna(False).astype(bool).mean() == row.locked_on_best
    latency, random = table.latency_ms.mean(), part.latency_ms.mean()
    assert latency / random - 1 == pytest.approx(row.latency_vs_random, abs=1e-12)
    error = table.accuracy.std(ddof=1) / math.sqrt(60)
    assert error == pytest.approx(row.accuracy_vs_best_se, rel=1e-9)


def test_permuting_every_pool_changes_nothing_beyond_chance():
    """But where ties go to the first LLM, which is the old reading."""
    fair = SHORT[SHORT.ties != "first"].head(120).reset_index(drop=True)
    turned = fair.pool.map(lambda pool: "|".join(pool.split("|")[::-1]))
    moved = fair.assign(pool=turned, seed=fair.seed + 10_000)
    one, other = (multiverse.multiverse(TRACE, x) for x in (fair, moved))
    for effect in ("cost_vs_dearest", "latency_vs_random", "accuracy_vs_best"):
        error = np.hypot(one[f"{effect}_se"], other[f"{effect}_se"])
        z = ((one[effect] - other[effect]) / error)[error > 0]
        assert abs(z.mean()) < 4 / math.sqrt(len(z))
        assert 0.7 < z.std() < 1.3


def test_every_candidate_is_drawn_as_often_as_any_other():
    table, _ = multiverse.specifications(TRACE, 4096)
    for name, choice in CHOICES.items():
        mine = table[name].dropna()
        if choice.spread:
            assert (mine == 0).mean() == pytest.approx(choice.none, abs=0.02)
            logs = np.log(mine[mine > 0] / choice.candidates[0])
            width = math.log(choice.candidates[1] / choice.candidates[0])
            assert stats.kstest(logs / width, "uniform").pvalue > 1e-3
        elif name not in ("exploration", "q_lock"):  # impossible together
            counts = mine.value_counts()
            assert len(counts) == len(choice.candidates)
            assert counts.min() > 0.9 * counts.max() - 5
    assert table.pool.nunique() > 3000
    assert (table.pool.str.split("|").map(lambda x: len(set(x))) == 4).all()


def test_impossible_specifications_are_refused_with_their_reason_and_counted():
    assert len(POSSIBLE) + len(REFUSED) == 600
    assert REFUSED.reason.str.contains("a constant epsilon never falls").all()
    assert 0 < len(REFUSED) < 60


def test_threads_and_a_file_in_between_change_no_byte(tmp_path):
    plain = multiverse.multiverse(TRACE, FEW, sessions=20)
    multiverse.save(FEW, tmp_path / "some.csv")
    again = pk.multiverse(TRACE, tmp_path / "some.csv", sessions=20, n_jobs=2)
    pd.testing.assert_frame_equal(plain, again, check_dtype=False)


def test_shares_and_quantiles_are_counts():
    table = multiverse.multiverse(TRACE, FEW, sessions=50)
    shares = worlds.shares(table).set_index(["claim", "learner"])
    for learner in ("automaton", "qlearning"):
        mine = table[table.learner == learner]
        number = sum(value >= 0.95 for value in mine.locked)
        assert shares.share["converges", learner] == number / len(mine)
        cheaper = [
            row.cost_vs_random + 1.96 * row.cost_vs_random_se < 0
            for row in mine.itertuples()
        ]
        assert shares.share["cheaper than random", learner] == np.mean(cheaper)
        low, high = stats.binomtest(sum(cheaper), len(mine)).proportion_ci(
            method="wilson"
        )
        found = shares.loc[("cheaper than random", learner)]
        assert (found.low, found.high) == pytest.approx((low, high))
    quantiles = worlds.stated_quantiles(table)
    row = quantiles[(quantiles.effect == "cost_vs_dearest")].iloc[0]
    mine = table[table.learner == row.learner].cost_vs_dearest
    assert row["quantile"] == (mine < row.stated).mean()


def test_the_nearest_world_is_nearer_than_any_other():
    table = multiverse.multiverse(TRACE, FEW, sessions=50)
    nearest = worlds.nearest_worlds(table).set_index("stated").loc["both of these"]
    away = [
        max(abs(row.cost_vs_dearest + 0.6), abs(row.latency_vs_random + 0.52))
        for row in table.itertuples()
    ]
    assert nearest.distance == pytest.approx(min(away))
    assert nearest.id == table.id.iloc[int(np.argmin(away))]


def test_a_curve_holds_every_world_once():
    table = multiverse.multiverse(TRACE, FEW, sessions=20)
    curve = worlds.curve(table, "cost_vs_random", bins=4)
    effects = curve[curve.choice == ""]
    assert effects.value.is_monotonic_increasing
    chunks = np.array_split(np.sort(table.cost_vs_random), 4)
    assert effects.value.to_numpy() == pytest.approx([np.median(x) for x in chunks])
    forms = curve[curve.choice == "form"].pivot_table(
        index="bin", columns="level", values="value"
    )
    overall = table.form.value_counts(normalize=True)
    assert (forms * overall).sum(axis=1).to_numpy() == pytest.approx(1)


def test_what_decides_is_what_varies():
    """With one candidate left of a choice nothing is decided by it; the pool does."""
    found = worlds.indices(TRACE, number=8, sessions=10)
    assert set(found.learner) == {"automaton", "qlearning"}
    mine = found[(found.learner == "automaton") & (found.measure == "locked")]
    assert set(mine.choice) == {"context", "pool"} | {
        name
        for name, choice in CHOICES.items()
        if choice.learner in ("", "automaton") and name != "learner"
    }
    # a common factor of every reward in the ratio, cancelled by the bounds
    quiet = mine[mine.choice == "t_scaling"].total.iloc[0]
    loud = mine[mine.choice == "learning_rate"].total.iloc[0]
    assert quiet < 0.1 < loud


@pytest.mark.parametrize(
    ("times", "errors", "said"),
    [
        ([np.inf, 300, 120], [0, 9, 5], True),
        ([300, 310, 120], [9, 9, 5], True),
        ([300, 350, 120], [9, 9, 5], False),
        ([300, np.inf, 120], [9, 0, 5], False),
        ([300, 300, 300], [1, 1, 1], False),
    ],
)
def test_times_that_fall(times, errors, said):
    assert worlds.falls(np.array(times, float), np.array(errors, float)) is said


def three():
    return TRACE.select(models=list(TRACE.models[:3]))


def altered(**values):
    return FEW.head(1).assign(**values)


def of_another_version(tmp_path):
    path = tmp_path / "old.csv"
    path.write_text("# pickllm specifications 0\nid\n1\n")
    return path


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda _: pk.multiverse(three(), 4), "a pool has 4 LLMs, the trace has 3"),
        (lambda _: Choice("mapping", (), "ours"), "'mapping' has no candidates"),
        (lambda p: pk.multiverse(TRACE, of_another_version(p)), "of another version"),
        (
            lambda _: pk.multiverse(TRACE, altered(context="simpel")),
            "unknown context 'simpel'",
        ),
        (
            lambda _: pk.multiverse(TRACE, altered(form="sum")),
            "unknown reading 'sum'",
        ),
        (lambda _: pk.multiverse(TRACE, FEW.drop(columns="pool")), "column 'pool'"),
        (lambda _: pk.multiverse(TRACE, 0), "specifications must be a whole number"),
        (lambda _: pk.multiverse(TRACE, altered(pool="a|b|c|d")), "'a'"),
        (lambda _: pk.multiverse(TRACE, 4, sessions=0), "sessions must be"),
    ],
)
def test_bad_input_is_one_line(call, said, tmp_path):
    with pytest.raises(pk.InputError) as error:
        call(tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_choice_is_data():
    assert {f.name for f in dataclasses.fields(Choice)} >= {"candidates", "source"}
    assert all(choice.source for choice in CHOICES.values())


# In blocks


def test_blocks_are_the_same_worlds_and_go_on_where_they_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 7)
    plain = pk.multiverse(TRACE, 20, sessions=5, seed=3)
    first = pk.multiverse(TRACE, 20, sessions=5, seed=3, folder=tmp_path)
    pd.testing.assert_frame_equal(first, plain, check_dtype=False)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 3
    gone = sorted(files)[1]
    gone.unlink()
    measured, plainly = [], multiverse.measured
    monkeypatch.setattr(
        multiverse, "measured", lambda *a: measured.append(a) or plainly(*a)
    )
    again = pk.multiverse(TRACE, 20, sessions=5, seed=3, folder=tmp_path)
    pd.testing.assert_frame_equal(again, first)
    assert len(measured) == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_same_files(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(blocks, "BLOCK", 7)
    with (
        distributed.LocalCluster(
            n_workers=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pk.multiverse(
            TRACE, 20, sessions=5, seed=3, folder=tmp_path / "there", scheduler=client
        )
    pk.multiverse(TRACE, 20, sessions=5, seed=3, folder=tmp_path / "here")
    here, there = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("here", "there")
    )
    assert here == there


def test_a_scheduler_without_a_folder_is_refused():
    with pytest.raises(pk.InputError, match="a scheduler needs a folder"):
        pk.multiverse(TRACE, 4, scheduler="tcp://127.0.0.1:1")
