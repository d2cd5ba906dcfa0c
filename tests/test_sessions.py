"""The replay loop: against every path of a tiny session, a scalar loop, and its own
prefixes and symmetries.
"""

from itertools import accumulate

import numpy as np
import pytest
import reference
from hypothesis import example, given
from hypothesis import strategies as st
from reference import IDENTITY, every_path, trace_of
from scipy import stats

import pickllm as pk
from pickllm.core.replay import choose

TINY = [[1.0, 0.0, 0.5], [0.25, 0.75, 0.5], [1.0, 1.0, 0.0]]
BOTH = {
    "automaton": (pk.LinearRewardInaction(0.2), reference.automaton(0.2)),
    "Q": (pk.QLearning(0.2, epsilon=0.2), reference.q_learning(0.2, 0.2)),
}
#: (learner, its scalar twin, lock, its scalar twin): quick ones, so that a few queries
#: hold a lock.
QUICK = {
    "automaton": (
        pk.LinearRewardInaction(0.9),
        reference.automaton(0.9),
        True,
        reference.sure(),
    ),
    "automaton, free": (
        pk.LinearRewardInaction(0.5),
        reference.automaton(0.5),
        False,
        None,
    ),
    "Q": (
        pk.QLearning(0.5, epsilon=0.3),
        reference.q_learning(0.5, 0.3),
        pk.GreedyUnchanged(2),
        reference.settled(2),
    ),
    "Q, free": (
        pk.QLearning(0.5, epsilon=0.6, initial_value=0.5),
        reference.q_learning(0.5, 0.6, 0.5),
        False,
        None,
    ),
}


def chance_of(observed, law):
    """p-value of counts {outcome: n} under a law {outcome: probability}; an impossible
    outcome gives 0.
    """
    total = sum(observed.values())
    if set(observed) - set(law) or sum(law.values()) != pytest.approx(1, abs=1e-9):
        return 0.0
    rare = {k for k, p in law.items() if p * total < 10}
    cells = [(observed.get(k, 0), p * total) for k, p in law.items() if k not in rare]
    if rare:
        cells.append(
            (sum(observed.get(k, 0) for k in rare), total * sum(law[k] for k in rare))
        )
    seen, expected = np.array(cells).T
    return (
        stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue
        if len(cells) > 1
        else 1.0
    )


def tally(rows):
    values, counts = np.unique(rows, axis=0, return_counts=True)
    return dict(zip(map(tuple, values.tolist()), counts.tolist(), strict=True))


@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
@pytest.mark.parametrize(
    "rewards", [TINY, [row[:2] for row in TINY]], ids=["3 LLMs", "2 LLMs"]
)
@pytest.mark.parametrize("case", QUICK)
def test_replay_has_the_law_of_all_paths_of_a_tiny_session(case, rewards, order):
    learner, scalar, lock, rule = QUICK[case]
    steps, sessions = (3 if order == "shuffle" else 4), 30_000
    options = {
        "sessions": sessions,
        "queries": steps,
        "seed": 20,
        "order": order,
        "lock": lock,
    }
    s = pk.replay(
        trace_of(rewards), IDENTITY, learner, **options, checkpoints=range(steps + 1)
    )
    choices, locks, first, second = {}, {}, 0.0, 0.0
    for chance, chosen, history, at, model in every_path(
        rewards, scalar, rule, steps, order
    ):
        choices[chosen] = choices.get(chosen, 0.0) + chance
        locks[at, model] = locks.get((at, model), 0.0) + chance
        first, second = (
            first + chance * np.array(history),
            second + chance * np.array(history) ** 2,
        )
    assert chance_of(tally(s.choices), choices) > 1e-3
    assert (
        chance_of(tally(np.stack([s.locked_at, s.locked_model], axis=1)), locks) > 1e-3
    )
    error = np.sqrt((second - first**2).clip(0) / sessions)
    assert (abs(s.probabilities.mean(axis=0) - first) < 4.5 * error + 1e-12).all()
    assert bool(lock) == (
        len(locks) > 1
    )  # the tiny session is long enough to hold locks


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
@pytest.mark.parametrize("name", BOTH)
def test_single_sessions_are_those_of_a_scalar_loop_to_the_last_bit(name, order, lock):
    learner, scalar = BOTH[name]
    trace, reward, queries = (
        pk.load_trace("bfcl-2024-08-11").select(context="rest"),
        pk.Reward(),
        400,
    )
    s = pk.replay(
        trace,
        reward,
        learner,
        sessions=8,
        queries=queries,
        seed=77,
        order=order,
        lock=lock,
        checkpoints=range(queries + 1),
    )
    unit = (
        reward.within(trace.limits)
        .unit(trace.accuracy, trace.cost_usd, trace.latency_ms)
        .tolist()
    )
    rule = (
        (reference.sure() if name == "automaton" else reference.settled())
        if lock
        else None
    )
    for i in range(8):
        choices, asked, history, at, model = reference.session(
            unit, scalar, rule, seed=77, number=i, queries=queries, order=order
        )
        assert s.choices[i].tolist() == choices
        assert s.queries[i].tolist() == asked
        assert s.probabilities[i].tolist() == history
        assert (s.locked_at[i], s.locked_model[i]) == (at, model)
    assert (s.locked_at > 0).any() == lock


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(any),
    st.floats(0, 1, exclude_max=True),
)
@example([0.0, 1.0], 0.0)
@example([1.0, 3.0], 0.25)  # a draw on a boundary falls beyond it
@example(
    [1.0] * 6 + [0.0], 1 - 2**-53
)  # and one beyond the sum's rounding on the last LLM that can be chosen
def test_the_choice_is_where_the_draw_falls_and_never_an_llm_of_probability_zero(
    weights, u
):
    p = np.array(weights) / sum(weights)
    chosen = int(choose(p[None], np.array([u]))[0])
    totals = [0.0, *accumulate(p.tolist())]
    assert p[chosen] > 0
    assert totals[chosen] <= u
    assert u < totals[chosen + 1] or not p[chosen + 1 :].any()


# Prefixes and independence


def same(a, b, sessions=slice(None), queries=slice(None)):
    return all(
        (getattr(a, f)[sessions, queries] == getattr(b, f)).all()
        for f in ("choices", "queries")
    )


@pytest.mark.parametrize("name", BOTH)
def test_the_first_sessions_of_a_larger_run_are_the_smaller_run(name):
    trace, learner = trace_of(TINY), BOTH[name][0]
    large, small = (
        pk.replay(trace, IDENTITY, learner, sessions=n, queries=150, seed=3)
        for n in (40, 11)
    )
    assert same(large, small, slice(11))
    assert all(
        (getattr(large, f)[:11] == getattr(small, f)).all()
        for f in ("probabilities", "locked_at", "locked_model")
    )


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
def test_a_shorter_session_is_the_beginning_of_the_longer_one(name, order, lock):
    trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    options = {"sessions": 30, "seed": 3, "order": order, "lock": lock}
    long, short = (
        pk.replay(
            trace,
            pk.Reward(),
            BOTH[name][0],
            queries=n,
            checkpoints=range(0, n + 1, 50),
            **options,
        )
        for n in (400, 150)
    )
    assert same(long, short, queries=slice(150))
    assert (long.probabilities[:, :4] == short.probabilities).all()
    assert (
        short.locked_at == np.where(long.locked_at <= 150, long.locked_at, -1)
    ).all()


@pytest.mark.parametrize("name", BOTH)
def test_the_number_of_workers_changes_nothing(name):
    runs = [
        pk.replay(
            trace_of(TINY),
            IDENTITY,
            BOTH[name][0],
            sessions=31,
            queries=200,
            seed=5,
            n_jobs=n,
        )
        for n in (1, 2)
    ]
    for f in (
        "choices",
        "queries",
        "checkpoints",
        "probabilities",
        "locked_at",
        "locked_model",
    ):
        assert (getattr(runs[0], f) == getattr(runs[1], f)).all()


@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
def test_every_learner_meets_the_same_queries(order):
    trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    learners = [
        *(mine for mine, _ in BOTH.values()),
        pk.UniformRandom(),
        pk.Always(trace.models[1]),
        pk.Oracle(),
    ]
    runs = [
        pk.replay(
            trace, pk.Reward(), learner, sessions=9, queries=60, seed=5, order=order
        )
        for learner in learners
    ]
    assert all((run.queries == runs[0].queries).all() for run in runs)
    other = pk.replay(
        trace, pk.Reward(), learners[0], sessions=9, queries=60, seed=6, order=order
    )
    assert (other.queries != runs[0].queries).mean() > 0.9
    assert (other.choices != runs[0].choices).any()


def test_the_same_state_and_draws_give_the_same_choices():
    learners = (
        pk.LinearRewardInaction(),
        pk.QLearning(epsilon=1.0),
        pk.UniformRandom(),
    )  # each LLM alike at the first query
    runs = [
        pk.replay(trace_of(TINY), IDENTITY, learner, sessions=500, queries=1, seed=5)
        for learner in learners
    ]
    assert (runs[0].choices == runs[1].choices).all()
    assert (runs[0].choices == runs[2].choices).all()


def test_a_shuffled_session_asks_every_query_once_and_a_bootstrapped_one_all_alike():
    trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    s = pk.replay(
        trace,
        pk.Reward(),
        pk.UniformRandom(),
        sessions=3,
        queries=trace.n_queries,
        order="shuffle",
    )
    assert (np.sort(s.queries, axis=1) == np.arange(trace.n_queries)).all()
    counts = np.bincount(
        pk.replay(
            trace_of(TINY * 4), IDENTITY, pk.UniformRandom(), sessions=200, queries=100
        ).queries.ravel(),
        minlength=12,
    )
    assert stats.chisquare(counts).pvalue > 1e-3


PERMUTED = {
    "automaton": pk.LinearRewardInaction(0.3),
    "Q": pk.QLearning(0.3, epsilon=0.2),
}


@pytest.mark.parametrize("name", PERMUTED)
def test_permuting_the_llms_of_the_trace_changes_nothing_in_law(name):
    trace, sessions = pk.load_trace("bfcl-2024-08-11").select(context="simple"), 3000
    learner = PERMUTED[name]

    def shares_and_times(order, seed):
        moved = trace.select(models=[trace.models[i] for i in order])
        s = pk.replay(
            moved,
            pk.Reward(),
            learner,
            sessions=sessions,
            queries=500,
            seed=seed,
            checkpoints=2,
        )
        return (
            np.array([(s.locked_model == order.index(i)).mean() for i in range(4)]),
            s.locked_at,
        )

    (a, times), (b, moved_times) = (
        shares_and_times([0, 1, 2, 3], 1),
        shares_and_times([2, 0, 3, 1], 2),
    )
    error = np.sqrt((a * (1 - a)).clip(1 / sessions) * 2 / sessions)
    assert (abs(a - b) < 4 * error).all()
    assert (
        a.max() - a.min() > 10 * error.max()
    )  # the LLMs differ, so a wrong place would show
    assert stats.ks_2samp(times, moved_times, method="asymp").pvalue > 1e-3


# What is reported


def test_the_table_holds_the_sums_and_means_of_what_was_asked():
    trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    reward = pk.Reward(w_cost=0.3)
    s = pk.replay(
        trace, reward, pk.LinearRewardInaction(0.2), sessions=5, queries=120, seed=8
    )
    table = s.table()
    outcome = [trace.accuracy, trace.cost_usd, trace.latency_ms]
    raw = [
        [float(reward.raw(*(o[q, j] for o in outcome))) for j in range(4)]
        for q in range(trace.n_queries)
    ]
    best = max(range(4), key=lambda j: sum(row[j] for row in raw))
    for i, row in enumerate(table.to_dict("records")):
        asked = list(zip(s.queries[i].tolist(), s.choices[i].tolist(), strict=True))
        assert row["cost_usd"] == pytest.approx(
            sum(trace.cost_usd[pair] for pair in asked)
        )
        assert row["latency_ms"] == pytest.approx(
            sum(trace.latency_ms[pair] for pair in asked) / 120
        )
        assert row["accuracy"] == pytest.approx(
            sum(trace.accuracy[pair] for pair in asked) / 120
        )
        assert row["reward"] == pytest.approx(sum(raw[q][j] for q, j in asked) / 120)
        assert row["regret"] == pytest.approx(
            sum(raw[q][best] - raw[q][j] for q, j in asked)
        )
        for j, model in enumerate(trace.models):
            assert row[f"share:{model}"] == pytest.approx(
                sum(k == j for _, k in asked) / 120
            )
        locked = s.locked_at[i] >= 0
        assert row["locked_at"] == s.locked_at[i]
        assert row["session"] == i
        assert (
            (row["locked_model"] == trace.models[s.locked_model[i]])
            if locked
            else table.locked_model.isna()[i]
        )
        assert (
            (row["locked_on_best"] == (s.locked_model[i] == best))
            if locked
            else table.locked_on_best.isna()[i]
        )
    assert 0 < (s.locked_at >= 0).mean() <= 1


def test_always_the_best_llm_has_no_regret_and_the_oracle_less():
    trace = pk.load_trace("bfcl-2024-08-11").select(context="relevance")
    controls = (pk.BestSingle, pk.Oracle, pk.UniformRandom)
    regret = {
        c: (
            pk.replay(trace, pk.Reward(), c(), sessions=4, queries=200, seed=1)
            .table()
            .regret
        )
        for c in controls
    }
    assert (regret[pk.BestSingle] == 0).all()
    assert (regret[pk.Oracle] < 0).all()
    assert (regret[pk.UniformRandom] > 0).all()


@pytest.mark.parametrize(
    ("asked", "marks"),
    [
        (1, [0]),
        (2, [0, 10]),
        (6, [0, 2, 4, 6, 8, 10]),
        (99, list(range(11))),
        ([7, 3, 3], [3, 7]),
    ],
)
def test_checkpoints_are_numbers_of_answered_queries(asked, marks):
    s = pk.replay(
        trace_of(TINY),
        IDENTITY,
        BOTH["Q"][0],
        sessions=2,
        queries=10,
        checkpoints=asked,
    )
    full = pk.replay(
        trace_of(TINY),
        IDENTITY,
        BOTH["Q"][0],
        sessions=2,
        queries=10,
        checkpoints=range(11),
    )
    assert s.checkpoints.tolist() == marks
    assert (s.probabilities == full.probabilities[:, marks]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sessions": 0}, "sessions must be a whole number >= 1, got 0"),
        ({"queries": 2.5}, "queries must be a whole number >= 1, got 2.5"),
        ({"queries": True}, "queries must be a whole number >= 1, got True"),
        ({"order": "shufle"}, "unknown order 'shufle'; did you mean 'shuffle'"),
        ({"order": "shuffle", "queries": 4}, "queries must be <= 3, got 4"),
        ({"checkpoints": [0, 11]}, r"checkpoints must lie in \[0, 10\], got \[0, 11\]"),
        ({"checkpoints": 0}, "checkpoints must be a whole number >= 1, got 0"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(wrong, message):
    with pytest.raises(pk.InputError, match=message) as error:
        pk.replay(
            trace_of(TINY),
            IDENTITY,
            pk.UniformRandom(),
            **({"sessions": 2, "queries": 10} | wrong),
        )
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "p", [[0.5, 0.6, 0.1], [-0.1, 0.6, 0.5], [float("nan")] * 3, [0.5, 0.5]]
)
def test_a_learner_whose_probabilities_are_none_is_refused(p):
    class Wrong(pk.UniformRandom):
        def probabilities(self, state):
            return np.tile(p, (len(state), 1))

    with pytest.raises(pk.InputError, match="Wrong: probabilities must"):
        pk.replay(trace_of(TINY), IDENTITY, Wrong(), sessions=2, queries=2)
