"""The learners: their equations against closed forms, the replicator equation and
another library.
"""

import math

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import IDENTITY, trace_of
from scipy import stats
from scipy.integrate import solve_ivp

import pickllm as pk

RATES = st.floats(0, 1, exclude_min=True)
UNITS = st.floats(0, 1)


@st.composite
def tapes(draw):
    """(n_models, [(arm, reward), ...]): what one session could meet."""
    n = draw(st.integers(2, 6))
    return n, draw(st.lists(st.tuples(st.integers(0, n - 1), UNITS), max_size=40))


def run(learner, n, tape):
    """The learner's state after each step of a tape, for one session."""
    states = [learner.start(1, n)]
    for arm, reward in tape:
        states.append(learner.update(states[-1], np.array([arm]), np.array([reward])))
    return states


# The simplex and the equations


@given(RATES, tapes())
def test_the_automaton_stays_on_the_simplex(rate, world):
    for p in run(pk.LinearRewardInaction(rate), *world):
        assert (p >= 0).all()
        assert (p <= 1).all()
        assert math.fsum(p[0]) == pytest.approx(1, abs=1e-12)


@given(RATES, UNITS, UNITS, tapes())
def test_q_stays_in_the_unit_interval_and_its_probabilities_on_the_simplex(
    rate, epsilon, initial, world
):
    learner = pk.QLearning(rate, epsilon=epsilon, initial_value=initial)
    for q in run(learner, *world):
        p = learner.probabilities(q)
        assert (q >= 0).all()
        assert (q <= 1).all()
        assert (p >= 0).all()
        assert math.fsum(p[0]) == pytest.approx(1, abs=1e-12)


@given(RATES, tapes())
def test_both_learners_follow_their_scalar_equations_exactly(rate, world):
    n, tape = world
    for learner, (start, probabilities, update) in (
        (pk.LinearRewardInaction(rate), reference.automaton(rate)),
        (
            pk.QLearning(rate, epsilon=0.3, initial_value=0.25),
            reference.q_learning(rate, 0.3, 0.25),
        ),
    ):
        state = start(n)
        for mine, step in zip(run(learner, n, tape), [*tape, None], strict=True):
            assert mine[0].tolist() == state
            assert learner.probabilities(mine)[0].tolist() == probabilities(state)
            state = update(state, *step) if step else None


def test_reward_zero_is_inaction_and_reward_one_at_rate_one_is_certainty():
    p = np.array([[0.2, 0.5, 0.3]])
    assert (
        pk.LinearRewardInaction(0.7).update(p, np.array([1]), np.array([0.0])) == p
    ).all()
    assert pk.LinearRewardInaction(1.0).update(
        p, np.array([2]), np.array([1.0])
    ).tolist() == [[0.0, 0.0, 1.0]]


def test_epsilon_greedy_explores_every_llm_alike_and_gives_ties_to_the_first():
    p = pk.QLearning(epsilon=0.3).probabilities(
        np.array([[0.1, 0.7, 0.7], [0.0, 0.0, 0.0], [0.2, 0.1, 0.3]])
    )
    assert p == pytest.approx(
        np.array([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    )


@given(RATES, st.lists(st.tuples(UNITS, st.floats(1e-3, 1)), min_size=2, max_size=6))
def test_one_step_of_the_automaton_is_the_replicator_equation_on_average(rate, llms):
    d, p = (np.array(x) for x in zip(*llms, strict=True))
    p = p / p.sum()
    after = [
        pk.LinearRewardInaction(rate).update(p[None], np.array([i]), d[[i]])[0]
        for i in range(len(p))
    ]
    assert p @ after - p == pytest.approx(rate * p * (d - p @ d), abs=1e-12)


# Symmetry and purity


PERMUTED = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.permutations(range(n)), st.lists(UNITS, min_size=n, max_size=n, unique=True)
    )
)


@given(PERMUTED, RATES, UNITS, st.integers(0, 5))
def test_permuting_the_llms_permutes_probabilities_and_update(world, rate, reward, arm):
    order, values = np.array(world[0]), np.array([world[1]])
    arm = arm % len(order)
    moved = np.array([order.tolist().index(arm)])
    for learner, state in (
        (pk.LinearRewardInaction(rate), values / max(values.sum(), 1e-300)),
        (pk.QLearning(rate, epsilon=0.2), values),
    ):
        after = learner.update(state, np.array([arm]), np.array([reward]))
        assert (
            learner.probabilities(state[:, order])
            == learner.probabilities(state)[:, order]
        ).all()
        assert (
            learner.update(state[:, order], moved, np.array([reward]))
            == after[:, order]
        ).all()


@pytest.mark.parametrize(
    "learner",
    [pk.LinearRewardInaction(0.3), pk.QLearning(0.3, epsilon=0.2), pk.UniformRandom()],
)
def test_the_three_functions_leave_their_inputs_alone(learner):
    state = learner.start(3, 4)
    state.setflags(write=False)  # writing to it would raise
    arm, reward = np.array([0, 1, 3]), np.array([1.0, 0.5, 0.0])
    first = learner.update(state, arm, reward)
    assert (learner.update(state, arm, reward) == first).all()
    assert (learner.probabilities(state) == learner.probabilities(state)).all()
    assert arm.tolist() == [0, 1, 3]
    assert reward.tolist() == [1.0, 0.5, 0.0]
    assert (state == learner.start(3, 4)).all()


@pytest.mark.parametrize(
    "learner", [pk.LinearRewardInaction(0.3), pk.QLearning(0.3, epsilon=0.2)]
)
def test_sessions_do_not_touch_one_another(learner):
    rng = np.random.default_rng(1)
    together, alone = learner.start(5, 3), [learner.start(1, 3) for _ in range(5)]
    for _ in range(20):
        arm, reward = rng.integers(3, size=5), rng.random(5)
        together = learner.update(together, arm, reward)
        alone = [
            learner.update(state, arm[[i]], reward[[i]])
            for i, state in enumerate(alone)
        ]
    assert (together == np.concatenate(alone)).all()


# Closed forms


@given(RATES, UNITS, UNITS, st.integers(0, 60))
def test_q_under_a_constant_reward_after_k_answers(rate, reward, initial, k):
    q = run(pk.QLearning(rate, initial_value=initial), 2, [(1, reward)] * k)[-1][0]
    assert q == pytest.approx(
        [initial, reward + (initial - reward) * (1 - rate) ** k], abs=1e-12
    )


def test_mean_q_under_pure_exploration_has_its_closed_form():
    rewards, rate, initial, steps, sessions = (
        [[0.0, 0.9, 0.25], [1.0, 0.6, 0.25], [0.0, 0.0, 0.25]],
        0.2,
        0.5,
        25,
        20_000,
    )
    learner = pk.QLearning(rate, epsilon=1.0, initial_value=initial)
    s = pk.replay(
        trace_of(rewards),
        IDENTITY,
        learner,
        sessions=sessions,
        queries=steps,
        seed=4,
        lock=False,
    )
    q = learner.start(sessions, 3)
    for t in range(steps):
        q = learner.update(q, s.choices[:, t], s.outcome("accuracy")[:, t])
        kept = (1 - rate / 3) ** (
            t + 1
        )  # an LLM is asked with chance 1/3, and then 1 - rate of its Q is kept
        expected = kept * initial + (1 - kept) * np.mean(rewards, axis=0)
        assert (
            abs(q.mean(axis=0) - expected) < 5 * q.std(axis=0) / np.sqrt(sessions)
        ).all()


def test_the_mean_path_of_a_slow_automaton_solves_the_replicator_equation():
    rewards, rate, steps, sessions = (
        [[1.0, 0.2, 0.6], [0.0, 0.8, 0.6], [1.0, 0.2, 0.3]],
        0.005,
        2000,
        800,
    )
    d = np.mean(rewards, axis=0)
    flow = solve_ivp(
        lambda _, p: p * (d - p @ d),
        (0, rate * steps),
        [1 / 3] * 3,
        dense_output=True,
        rtol=1e-8,
        atol=1e-10,
    )
    s = pk.replay(
        trace_of(rewards),
        IDENTITY,
        pk.LinearRewardInaction(rate),
        sessions=sessions,
        queries=steps,
        seed=2,
        lock=False,
        checkpoints=21,
    )
    gap = s.probabilities.mean(axis=0) - flow.sol(rate * s.checkpoints).T
    error = s.probabilities.std(axis=0) / np.sqrt(sessions)
    assert (
        abs(gap) < 4 * error + 2 * rate
    ).all()  # the equation is the limit of rate -> 0: its error is of that order
    assert s.probabilities[:, -1].mean(axis=0).argmax() == d.argmax()


def test_at_rate_one_the_first_rewarded_answer_decides():
    rewards = [
        [1, 1, 0],
        [1, 0, 0],
        [1, 0, 1],
        [0, 0, 0],
    ]  # 0 or 1, with means .75, .25, .25
    d, sessions = np.mean(rewards, axis=0), 20_000
    s = pk.replay(
        trace_of(rewards),
        IDENTITY,
        pk.LinearRewardInaction(1.0),
        sessions=sessions,
        queries=60,
        seed=3,
    )
    first = (s.outcome("accuracy") > 0).argmax(axis=1)
    assert (s.locked_at == first + 1).all()
    assert (s.locked_model == s.choices[np.arange(sessions), first]).all()
    assert (
        stats.chisquare(np.bincount(s.locked_model), sessions * d / d.sum()).pvalue
        > 1e-3
    )
    times = np.bincount(s.locked_at.clip(max=12), minlength=13)[1:]
    law = stats.geom(
        d.mean()
    )  # each answer is rewarded with the pool's mean chance until one is
    assert (
        stats.chisquare(
            times, sessions * np.append(law.pmf(np.arange(1, 12)), law.sf(11))
        ).pvalue
        > 1e-3
    )


def test_with_one_llm_ever_rewarded_the_time_to_lock_is_a_sum_of_geometric_times():
    rate, n, sessions = 0.3, 4, 20_000
    rewards = [
        [0, 1, 0, 0],
        [0, 0, 0, 0],
    ]  # LLM 1 succeeds on half the queries, the others never
    wins = math.ceil(
        math.log(0.01 * n / (n - 1)) / math.log(1 - rate)
    )  # so many until 1 - (1 - 1/n)(1 - b)^k >= 0.99
    chance = [0.5 * (1 - (1 - 1 / n) * (1 - rate) ** k) for k in range(wins)]
    s = pk.replay(
        trace_of(rewards),
        IDENTITY,
        pk.LinearRewardInaction(rate),
        sessions=sessions,
        queries=400,
        seed=6,
    )
    assert (s.locked_model == 1).all()
    mean, variance = sum(1 / c for c in chance), sum((1 - c) / c**2 for c in chance)
    assert abs(s.locked_at.mean() - mean) < 4 * math.sqrt(variance / sessions)
    law = np.zeros(401)
    law[0] = 1.0
    for c in chance:
        law = np.convolve(law, np.append(0, c * (1 - c) ** np.arange(400)))[:401]
    counts = np.bincount(s.locked_at, minlength=401)
    bins = np.searchsorted(law.cumsum(), np.arange(1, 20) / 20)
    observed, expected = (
        np.add.reduceat(x, np.append(0, bins + 1)) for x in (counts, sessions * law)
    )
    assert stats.chisquare(observed, expected * sessions / expected.sum()).pvalue > 1e-3


def test_equal_llms_are_locked_on_alike():
    s = pk.replay(
        trace_of([[0.4] * 3, [0.8] * 3]),
        IDENTITY,
        pk.LinearRewardInaction(0.3),
        sessions=6000,
        queries=300,
        seed=8,
    )
    assert (s.locked_at > 0).all()
    assert stats.chisquare(np.bincount(s.locked_model, minlength=3)).pvalue > 1e-3


# Another library


class SampleMean:
    """epsilon-greedy on sample means, in the three functions of any learner.

    Its state is a pair of arrays. LLM 0 starts with one answer of reward 0, since the
    other library's `fit` needs a first row: it knows the pool as it is listed.
    """

    lock_rule = None

    def start(self, n_sessions, n_models):
        return np.zeros((n_sessions, n_models)), np.tile(
            np.arange(n_models) == 0, (n_sessions, 1)
        ).astype(float)

    def probabilities(self, state):
        total, count = state
        best = (total / np.maximum(count, 1)).argmax(axis=1)
        return 0.8 * np.eye(total.shape[1])[best] + 0.2 / total.shape[1]

    def update(self, state, arm, reward):
        asked = np.eye(state[0].shape[1])[arm]
        return state[0] + asked * reward[:, None], state[1] + asked


def test_a_learner_written_here_agrees_with_mabwiser_in_law():
    from mabwiser.mab import MAB, LearningPolicy

    rewards, sessions, steps = (
        np.array([[0, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 1, 1]]),
        250,
        60,
    )
    s = pk.replay(
        trace_of(rewards),
        IDENTITY,
        SampleMean(),
        sessions=4000,
        queries=steps,
        seed=9,
        ties="first",
    )
    ours = np.stack(
        [
            *(s.choices == np.arange(3)[:, None, None]).mean(axis=2),
            s.outcome("accuracy").mean(axis=1),
        ]
    )

    theirs = np.empty((4, sessions))
    for k in range(sessions):
        rng = np.random.default_rng([9, k])
        bandit = MAB([0, 1, 2], LearningPolicy.EpsilonGreedy(epsilon=0.2), seed=k)
        bandit.fit(np.array([0]), np.array([0.0]))
        arms, gains = np.empty(steps, int), np.empty(steps)
        for t in range(steps):
            arms[t] = bandit.predict()
            gains[t] = rewards[rng.integers(5), arms[t]]
            bandit.partial_fit(arms[[t]], gains[[t]])
        theirs[:, k] = [*np.bincount(arms, minlength=3) / steps, gains.mean()]
    for a, b in zip(ours, theirs, strict=True):
        assert stats.ks_2samp(a, b, method="asymp").pvalue > 1e-3
        assert abs(a.mean() - b.mean()) < 4 * np.hypot(
            a.std() / np.sqrt(a.size), b.std() / np.sqrt(b.size)
        )


# Controls and parameters


def test_controls_choose_what_their_names_say():
    trace = pk.Trace(
        models=("a", "b", "c"),
        query_id=["q0", "q1"],
        context=["c", "c"],
        accuracy=[[0, 1, 0.5], [0, 0, 0.9]],
        cost_usd=[[2e-3, 4e-3, 1e-3], [2e-3, 1e-3, 1e-3]],
        latency_ms=[[100.0, 100.0, 100.0]] * 2,
        input_tokens=[[1, 1, 1]] * 2,
        output_tokens=[[1, 1, 1]] * 2,
    )
    reward = pk.Reward("linear", w_cost=0, w_latency=0)
    for control, llm in (
        (pk.Always("b"), 1),
        (pk.Cheapest(), 2),
        (pk.MostExpensive(), 1),
        (pk.BestSingle(), 2),
    ):
        s = pk.replay(trace, reward, control, sessions=4, queries=9)
        assert (s.choices == llm).all()
        assert (s.probabilities == np.eye(3)[llm]).all()
        assert (s.locked_at == -1).all()
    s = pk.replay(trace, reward, pk.Oracle(), sessions=4, queries=9)
    assert (s.choices == np.array([1, 2])[s.queries]).all()
    assert {*s.queries.ravel()} == {0, 1}


def test_the_random_control_is_uniform_and_never_locks():
    s = pk.replay(
        trace_of([[0, 1, 0, 1]]),
        IDENTITY,
        pk.UniformRandom(),
        sessions=100,
        queries=400,
        seed=1,
    )
    assert stats.chisquare(np.bincount(s.choices.ravel(), minlength=4)).pvalue > 1e-3
    assert (s.locked_at == -1).all()
    assert (s.probabilities == 0.25).all()


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (pk.LinearRewardInaction, "learning_rate", 0),
        (pk.LinearRewardInaction, "learning_rate", 1.5),
        (pk.LinearRewardInaction, "learning_rate", float("nan")),
        (pk.LinearRewardInaction, "learning_rate", "0.1"),
        (pk.LinearRewardInaction, "learning_rate", True),
        (pk.QLearning, "learning_rate", -0.1),
        (pk.QLearning, "epsilon", 1.01),
        (pk.QLearning, "epsilon", None),
        (pk.QLearning, "initial_value", 2),
    ],
)
def test_a_parameter_out_of_range_is_refused_in_one_line(make, name, value):
    with pytest.raises(
        pk.InputError, match=f"{make.__name__}: {name} must be in"
    ) as error:
        make(**{name: value})
    assert f"got {value!r}" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_llm_outside_the_pool_is_refused_and_the_likeliest_named():
    with pytest.raises(pk.InputError, match=r"unknown model 'bb'.*known: a, b"):
        pk.replay(trace_of([[0, 1]]), IDENTITY, pk.Always("bb"), sessions=1, queries=1)
