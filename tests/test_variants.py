"""Automata, bandits and identification: equations by hand, closed forms, limits, and
other libraries.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import IDENTITY, trace_of
from scipy import optimize, stats
from scipy.integrate import simpson

import pickllm as pk
from pickllm import experiments
from pickllm.beyond import automata, bandits, identification
from pickllm.core.prepared import Tables
from pickllm.core.state import map_state

LEARNERS = {
    "L_R-P": pk.LinearRewardPenalty(0.3, 0.2),
    "L_R-epsilon-P": pk.LinearRewardEpsilonPenalty(0.3, 0.1),
    "pursuit": pk.Pursuit(0.1, trials=2),
    "discretised pursuit": pk.DiscretisedPursuit(7, trials=2),
    "generalised pursuit": pk.GeneralisedPursuit(0.1, trials=2),
    "decaying epsilon": pk.DecayingEpsilon(0.2, 0.8, 0.1),
    "softmax": pk.Softmax(0.2, 0.1),
    "gradient": pk.GradientBandit(1.0),
    "UCB1": pk.UCB1(),
    "KL-UCB": pk.KLUCB(),
    "Thompson, normal": pk.ThompsonGaussian(),
    "Thompson, Beta": pk.ThompsonBeta(),
    "Exp3": pk.Exp3(0.2),
    "successive elimination": pk.SuccessiveElimination(0.3, 0.2),
    "LUCB": pk.LUCB(0.3, 0.2),
    "Track-and-Stop": pk.TrackAndStop(0.3, 0.2),
}
each_learner = pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
IDENTIFIERS = [pk.SuccessiveElimination, pk.LUCB, pk.TrackAndStop]


def taught(learner, arms, rewards, n_models):
    """The state of one session after a tape of answers."""
    state = learner.start(n_models)
    for arm, reward in zip(arms, rewards, strict=True):
        learner.update(state, int(arm), float(reward))
    return state


def known(total, count):
    """What is known after answers of these sums and counts."""
    total, count = np.array(total, float), np.array(count, float)
    return bandits.Means(total, count, total / np.maximum(count, 1.0))


def after(learner, state, arm, reward):
    """The state after one more answer; the given one stays."""
    state = map_state(np.copy, state)
    learner.update(state, arm, reward)
    return state


def chances(learner, state):
    """The chance of each LLM at the next query, however the learner says it."""
    if hasattr(learner, "chances"):
        return learner.chances(state)
    if not hasattr(learner, "choose"):
        return learner.probabilities(state).copy()
    (n,) = state.count.shape
    return np.eye(n)[learner.choose(state)]


def tape(seed, steps, n_models):
    """Every LLM twice, then any, with rewards that hold no ties."""
    rng = np.random.default_rng(seed)
    any_arm = rng.integers(n_models, size=steps)
    arms = np.concatenate([np.repeat(np.arange(n_models), 2), any_arm])
    return arms, rng.random(len(arms))


# Laws of every learner


@each_learner
@given(n=st.integers(1, 6), steps=st.integers(0, 60), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_probabilities_stay_on_the_simplex(learner, n, steps, seed):
    arms, rewards = tape(seed, steps, n)
    rewards[rewards < 0.3] = 0.0
    rewards[rewards > 0.8] = 1.0
    state = learner.start(n)
    for arm, reward in zip(arms.tolist(), rewards.tolist(), strict=True):
        learner.update(state, arm, reward)
        p = chances(learner, state)
        assert p.shape == (n,)
        assert p.dtype == np.float64
        assert (p >= 0).all()
        assert (p <= 1).all()
        assert abs(p.sum() - 1) < 1e-12


@each_learner
@pytest.mark.parametrize("seed", range(6))
def test_permuting_the_llms_permutes_what_is_learned(learner, seed):
    n = 4
    arms, rewards = tape(seed, 60, n)
    order = np.array([2, 0, 3, 1])  # LLM order[k] stands at k
    p = chances(learner, taught(learner, arms, rewards, n))
    moved = chances(learner, taught(learner, np.argsort(order)[arms], rewards, n))
    assert moved == pytest.approx(p[order], abs=1e-9)


@each_learner
def test_asking_changes_nothing_that_is_learned(learner):
    arms, rewards = tape(6, 30, 3)
    rarely = taught(learner, arms, rewards, 3)
    often = learner.start(3)
    for arm, reward in zip(arms.tolist(), rewards.tolist(), strict=True):
        learner.update(often, arm, reward)
        assert (chances(learner, often) == chances(learner, often)).all()
    assert (chances(learner, often) == chances(learner, rarely)).all()


@each_learner
def test_sessions_share_no_memory(learner):
    one, other = learner.start(3), learner.start(3)
    for arm, reward in zip(*(a.tolist() for a in tape(6, 30, 3)), strict=True):
        learner.update(one, arm, reward)
    untouched = chances(learner, learner.start(3))
    assert (chances(learner, other) == untouched).all()


@each_learner
def test_the_better_of_two_llms_far_apart_is_asked_more(learner):
    s = pk.replay(
        trace_of([[0.1, 0.9], [0.2, 1.0], [0.0, 0.8]]),
        IDENTITY,
        learner,
        sessions=1000,
        queries=400,
        seed=1,
        engine="compiled",
    )
    assert (s.choices == 1).mean() > 0.7
    assert (s.locked_model[s.locked_at >= 0] == 1).mean() > (
        0.7 if "Linear" in repr(learner) else 0.95
    )


@each_learner
def test_the_live_router_picks_and_locks_as_replay_does_and_survives_a_restart(
    learner, tmp_path
):
    rewards = np.random.default_rng(3).random((7, 3)) * [0.4, 1.0, 0.7]
    s = pk.replay(trace_of(rewards), IDENTITY, learner, sessions=3, queries=70, seed=9)
    router = pk.Router("abc", learner, IDENTITY, seed=9, session=2)
    for t in range(70):
        if t == 30:
            router.save(tmp_path / "router.json")
            router = pk.Router.load(tmp_path / "router.json")
        model = router.pick()
        assert model == "abc"[s.choices[2, t]]
        router.learn(model, float(rewards[s.queries[2, t], s.choices[2, t]].round(12)))
    assert router.locked == ("abc"[s.locked_model[2]] if s.locked_at[2] >= 0 else None)


# Automata


@given(st.floats(0, 1, exclude_min=True), st.integers(2, 5), st.integers(0, 2**32))
def test_without_penalty_both_are_the_papers_automaton(rate, n, seed):
    arms, rewards = tape(seed, 20, n)
    expected = taught(pk.LinearRewardInaction(rate).one_session(), arms, rewards, n)
    for learner in (
        pk.LinearRewardPenalty(rate, 0.0),
        pk.LinearRewardEpsilonPenalty(rate, 0.0),
    ):
        found = taught(learner, arms, rewards, n)
        assert found == pytest.approx(expected, abs=1e-12)


def test_one_step_of_reward_penalty_by_hand():
    p = np.array([0.5, 0.3, 0.2])
    # up: a r = 0.1, down: b (1 - r) = 0.15
    expected = [0.5 - 0.05 + 0.15 * 0.0, 0.3 + 0.07 - 0.045, 0.2 - 0.02 + 0.15 * 0.3]
    for learner in (
        pk.LinearRewardPenalty(0.4, 0.2),
        pk.LinearRewardEpsilonPenalty(0.4, 0.5),
    ):
        assert after(learner, p, 1, 0.25) == pytest.approx(expected)


def test_reward_penalty_settles_where_two_llms_fail_alike_often():
    """With two LLMs and a = b, E p -> c_2 / (c_1 + c_2), c the chances of failure
    (Narendra and Thathachar 1989, ch. 4).
    """
    rewards = [[1, 1], [1, 0], [1, 0], [0, 0]]  # fail with 1/4 and 3/4
    s = pk.replay(
        trace_of(rewards),
        IDENTITY,
        pk.LinearRewardPenalty(0.02, 0.02),
        sessions=2000,
        queries=600,
        seed=1,
        lock=False,
        checkpoints=[600],
    )
    p = s.probabilities[:, 0, 0]
    assert abs(p.mean() - 0.75) < 4 * p.std() / np.sqrt(len(p)) + 1e-3


@pytest.mark.parametrize(
    ("learner", "arm", "p"),
    [
        # means after LLM 0's answer: (1.2 / 3, 0.6, 0.2): the best is LLM 1, and it
        # alone is above LLM 0
        (pk.Pursuit(0.1, trials=2), 0, [0.45, 0.37, 0.18]),
        (
            pk.DiscretisedPursuit(5, trials=2),
            0,
            [0.5 - 1 / 15, 0.3 + 2 / 15, 0.2 - 1 / 15],
        ),
        (pk.GeneralisedPursuit(0.1, trials=2), 0, [0.45, 0.37, 0.18]),
        # LLM 2 chosen, both others above it: each gets half of lambda
        (pk.GeneralisedPursuit(0.1, trials=2), 2, [0.5, 0.32, 0.18]),
    ],
)
def test_one_step_of_each_pursuit_by_hand(learner, arm, p):
    state = automata.Pursued(
        np.array([0.5, 0.3, 0.2]), np.array([0.9, 1.2, 0.4]), np.array([2.0, 2.0, 2.0])
    )
    assert after(learner, state, arm, 0.3).p == pytest.approx(p)


@pytest.mark.parametrize(
    "learner",
    [
        pk.Pursuit(0.5, trials=3),
        pk.DiscretisedPursuit(1, trials=3),
        pk.GeneralisedPursuit(0.5, trials=3),
    ],
)
def test_a_pursuit_waits_until_every_llm_has_been_tried(learner):
    state = taught(learner, [0, 1] * 2 + [0] * 9, [0.5] * 13, 2)
    assert (state.p == 0.5).all()
    assert after(learner, state, 1, 0.9).p[1] > 0.5


def test_a_pursuit_of_constant_rewards_arrives_when_its_equation_says():
    trace, trials, rate, resolution = trace_of([[0.3, 0.7]]), 4, 0.05, 20
    for learner, steps in (
        (
            pk.Pursuit(rate, trials),
            math.ceil(math.log(0.01 / 0.5) / math.log(1 - rate)),
        ),
        (pk.DiscretisedPursuit(resolution, trials), 20),
    ):
        s = pk.replay(trace, IDENTITY, learner, sessions=400, queries=400, seed=2)
        tried = (
            np.maximum(
                (np.cumsum(s.choices == 0, axis=1) < trials).sum(axis=1),
                (np.cumsum(s.choices == 1, axis=1) < trials).sum(axis=1),
            )
            + 1
        )
        assert (s.locked_model == 1).all()
        assert (s.locked_at == tried + steps - 1).all()


# Bandits


def test_without_decay_it_is_q_learning_to_the_last_bit():
    trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    for epsilon in (0.0, 0.3, 1.0):
        a, b = (
            pk.replay(trace, pk.Reward(), x, sessions=30, queries=200, seed=3)
            for x in (pk.DecayingEpsilon(0.2, epsilon, 0.0), pk.QLearning(0.2, epsilon))
        )
        assert (a.choices == b.choices).all()
        assert (a.locked_at == b.locked_at).all()


def test_epsilon_decays_as_its_schedule_says():
    learner = pk.DecayingEpsilon(epsilon=0.9, decay=0.5)
    state = taught(learner, [0] * 4, [1.0] * 4, 3)
    # 0.9 / (1 + 0.5 * 4) = 0.3
    assert learner.probabilities(state) == pytest.approx([0.8, 0.1, 0.1])


@pytest.mark.parametrize(
    ("temperature", "p", "error"),
    [
        (0.1, [0.25, 0.75], 1e-12),
        (100, [0.5, 0.5], 1e-3),
        (1e-4, [0.0, 1.0], 1e-9),
    ],
)
def test_boltzmanns_choice_by_hand_and_at_both_ends(temperature, p, error):
    learner = pk.Softmax(1.0, temperature, initial_value=0.2)
    state = taught(learner, [1], [0.2 + 0.1 * math.log(3)], 2)
    assert learner.probabilities(state) == pytest.approx(p, abs=error)


def test_one_step_of_the_gradient_bandit_is_an_ascent_of_the_expected_reward():
    """Over the chance of each choice, the mean step is alpha times the gradient of
    sum_j p_j d_j, whatever the baseline.
    """
    h, d, alpha = np.array([0.3, -0.2, 0.5]), np.array([0.2, 0.9, 0.4]), 0.7
    learner = pk.GradientBandit(alpha)
    p = np.exp(h) / np.exp(h).sum()
    for total in (0.0, 1.7):
        state = bandits.Preferences(h, p, np.array([total, 4.0]))
        steps = [after(learner, state, i, d[i]).h - h for i in range(3)]
        assert p @ steps == pytest.approx(alpha * p * (d - p @ d))


def test_a_gradient_bandit_chooses_by_the_softmax_of_what_it_prefers():
    learner = pk.GradientBandit(2.0)
    state = taught(learner, *tape(4, 20, 3), 3)
    expected = np.exp(state.h) / np.exp(state.h).sum()
    assert learner.probabilities(state) == pytest.approx(expected)
    assert expected.max() > 0.5


def test_the_first_answer_of_a_gradient_bandit_teaches_nothing():
    assert (taught(pk.GradientBandit(2.0), [1], [0.8], 3).h == 0).all()


def test_ucb1_has_the_index_of_another_library():
    from mabwiser.mab import MAB, LearningPolicy

    arms, rewards = tape(8, 40, 3)
    # theirs multiplies sqrt(2 ln t / N)
    bandit = MAB([0, 1, 2], LearningPolicy.UCB1(alpha=1.25))
    bandit.fit(arms, rewards)
    theirs = list(bandit.predict_expectations().values())
    learner = pk.UCB1(width=1.25 * math.sqrt(2))
    state = taught(learner, arms, rewards, 3)
    ours = [learner.index(state, j, math.log(len(arms))) for j in range(3)]
    assert ours == pytest.approx(theirs)
    assert learner.choose(state) == np.argmax(theirs)


def test_softmax_chooses_by_the_law_of_another_library():
    """The same means to both, then many choices of theirs against our chances."""
    from mabwiser.mab import MAB, LearningPolicy

    arms, rewards = tape(9, 20, 3)
    learner = pk.Softmax(learning_rate=1.0, temperature=0.2)
    state = taught(learner, range(3), [rewards[arms == j].mean() for j in range(3)], 3)
    p = learner.probabilities(state)
    bandit = MAB([0, 1, 2], LearningPolicy.Softmax(tau=0.2), seed=4)
    bandit.fit(arms, rewards)
    counts = np.bincount([bandit.predict() for _ in range(3000)], minlength=3)
    assert p.max() - p.min() > 0.05
    assert stats.chisquare(counts, 3000 * p).pvalue > 1e-3


def test_kl_ucb_asks_no_more_of_a_bad_llm_than_ucb1():
    trace = trace_of([[0, 1], [0, 1], [1, 1], [0, 0]])
    wrong = [
        (
            pk.replay(
                trace, IDENTITY, x, sessions=1000, queries=500, seed=5, lock=False
            ).choices
            == 0
        )
        .sum(axis=1)
        .mean()
        for x in (pk.KLUCB(), pk.UCB1())
    ]
    assert wrong[0] < wrong[1]


def beats(dists):
    """P(largest) by Simpson's rule on a grid so fine that its own error is nothing."""
    x = np.linspace(
        min(d.ppf(1e-10) for d in dists), max(d.ppf(1 - 1e-10) for d in dists), 20_001
    )
    below = [d.cdf(x) for d in dists]
    return [
        simpson(
            d.pdf(x) * np.prod([f for k, f in enumerate(below) if k != j], axis=0), x=x
        )
        for j, d in enumerate(dists)
    ]


def test_thompsons_chances_are_those_of_a_much_finer_integration():
    rng = np.random.default_rng(0)
    for _ in range(10):
        count = np.exp(rng.uniform(0, np.log(1000), 4)).round()
        total = count * rng.uniform(0.4, 0.8, 4)
        state = known(total, count)
        normal, beta = pk.ThompsonGaussian(), pk.ThompsonBeta()
        laws = [stats.norm(*x) for x in zip(*normal.posterior(state), strict=True)]
        assert normal.chances(state) == pytest.approx(beats(laws), abs=3e-4)
        pairs = zip(1 + total, 1 + count - total, strict=True)
        laws = [stats.beta(a, b) for a, b in pairs]
        assert beta.chances(state) == pytest.approx(beats(laws), abs=3e-4)


@pytest.mark.parametrize("count", [[0, 0, 0], [1, 30, 400], [5, 6, 7]])
def test_thompsons_chances_are_the_shares_of_many_draws(count):
    rng, n = np.random.default_rng(1), 400_000
    count = np.array(count, float)
    state = known(count * [0.55, 0.6, 0.5], count)
    learner = pk.ThompsonGaussian(noise=0.3, prior_mean=0.4, prior_spread=0.2)
    failed = count - state.total
    draws = {
        learner: rng.normal(*learner.posterior(state), size=(n, 3)),
        pk.ThompsonBeta(2.0, 3.0): rng.beta(2.0 + state.total, 3.0 + failed, (n, 3)),
    }
    for thompson, drawn in draws.items():
        share = np.bincount(drawn.argmax(axis=1), minlength=3) / n
        error = 5 * 0.5 / math.sqrt(n)
        assert abs(thompson.chances(state) - share).max() < error


@pytest.mark.parametrize("learner", [pk.ThompsonGaussian(), pk.ThompsonBeta()])
def test_sessions_ask_first_as_often_as_thompsons_chances_say(learner):
    """Of two answers, the second is asked by the chances after the first one."""
    means, n = [0.9, 0.5, 0.2], 20_000
    s = pk.replay(
        trace_of([means]),
        IDENTITY,
        learner,
        sessions=n,
        queries=2,
        seed=8,
        engine="compiled",
    )
    first = np.bincount(s.choices[:, 0], minlength=3)
    assert stats.chisquare(first).pvalue > 1e-3
    for arm in range(3):
        p = chances(learner, taught(learner, [arm], [means[arm]], 3))
        second = s.choices[s.choices[:, 0] == arm, 1]
        counts = np.bincount(second, minlength=3)
        assert stats.chisquare(counts, len(second) * p).pvalue > 1e-3


def test_the_posterior_of_normal_rewards_is_bayes_by_hand():
    learner = pk.ThompsonGaussian(noise=0.5, prior_mean=0.2, prior_spread=0.5)
    state = known([2.4, 0.0], [3.0, 0.0])
    mean, spread = learner.posterior(state)
    assert mean == pytest.approx([(0.2 + 2.4) / 4, 0.2])
    assert spread == pytest.approx([0.25, 0.5])


def test_the_noise_by_default_is_the_largest_spread_that_a_unit_reward_may_have():
    coin = np.array([0.0, 1.0])
    trace = pk.load_trace("bfcl-2024-08-11")
    spreads = [
        Tables.of(trace.select(context=c), experiments.reward()).unit.std(axis=0).max()
        for c in trace.contexts
    ]
    for learner in (pk.ThompsonGaussian(), pk.TrackAndStop(), pk.LUCB()):
        assert learner.noise == coin.std()
    assert 0.25 < max(spreads) < coin.std()


def test_exp3_is_unbiased_and_mixes():
    """On average over its own choice, log w_j gains gamma d_j / n."""
    learner, d = pk.Exp3(0.3), np.array([0.2, 0.9, 0.4])
    state = taught(learner, [0, 0, 1], [0.9, 0.7, 0.3], 3)
    p = learner.probabilities(state).copy()
    weight = state.w
    assert p == pytest.approx(0.7 * weight / weight.sum() + 0.1)
    assert p.max() - p.min() > 0.05
    gains = [np.log(after(learner, state, i, d[i]).w / weight) for i in range(3)]
    assert p @ gains == pytest.approx(0.3 * d / 3)


# Identification


@pytest.mark.parametrize("kind", IDENTIFIERS)
def test_only_one_that_has_stopped_is_certain(kind):
    learner = kind(delta=0.1)
    s = pk.replay(
        trace_of([[0.1, 0.9, 0.4], [0.3, 0.7, 0.2]]),
        IDENTITY,
        learner,
        sessions=20,
        queries=900,
        seed=2,
        checkpoints=range(901),
    )
    assert (s.locked_at > 0).all()
    assert (s.locked_model == 1).all()
    for p, at in zip(s.probabilities, s.locked_at, strict=True):
        assert (p[:at].max(axis=1) < 1).all()
        assert p[at].max() == 1


@pytest.mark.parametrize("kind", IDENTIFIERS)
def test_at_most_delta_of_the_sessions_lock_wrongly(kind):
    delta, sessions = 0.2, 2000
    s = pk.replay(
        trace_of([[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1]]),
        IDENTITY,
        kind(delta),
        sessions=sessions,
        queries=4000,
        seed=3,
        engine="compiled",
    )
    assert (s.locked_at > 0).mean() > 0.8
    wrong = ((s.locked_model >= 0) & (s.locked_model != 2)).sum()
    assert stats.binom.sf(wrong - 1, sessions, delta) > 1e-3


def test_successive_elimination_of_constant_rewards_stops_when_the_widths_part():
    delta, noise, gap = 0.1, 0.5, 0.6

    def width(n):
        return noise * math.sqrt(2 * math.log(math.pi**2 * 2 * n**2 / (3 * delta)) / n)

    n = next(
        n for n in range(1, 500) if gap > width(n) + width(n)
    )  # after n answers of both; or sooner by one of the worse
    sooner = gap > width(n) + width(n - 1)
    s = pk.replay(
        trace_of([[0.8, 0.2]]),
        IDENTITY,
        pk.SuccessiveElimination(delta, noise),
        sessions=1,
        queries=500,
        seed=0,
    )
    assert s.locked_at[0] == 2 * n - sooner
    assert s.locked_model[0] == 0


def evidence(total, count, kind=identification.Evidence):
    """A state in which answers have these sums and counts."""
    means = known(total, count)
    rest = [np.zeros(len(means.count)) for _ in kind._fields[3:]]
    return kind(*means, *rest)


def test_lucb_asks_leader_and_rival_with_the_highest_bound():
    learner = pk.LUCB(delta=0.1, noise=0.5)
    # means .9, .8, .5; few answers, wide bound
    state = evidence([9.0, 16.0, 2.0], [10.0, 20.0, 4.0])
    assert learner.probabilities(state).tolist() == [0.5, 0.0, 0.5]
    apart = evidence([9000.0, 1000.0, 500.0], [10000.0] * 3)
    assert learner.probabilities(apart).tolist() == [1.0, 0.0, 0.0]


def test_lucb_stops_when_its_published_bounds_part():
    delta, noise, gap = 0.1, 0.5, 0.6

    def parted(n):
        return gap > 2 * noise * math.sqrt(
            2 * math.log(5 / 4 * 2 * (2 * n) ** 4 / delta) / n
        )

    n = next(n for n in range(1, 2000) if parted(n))
    for count, p in ((n - 1, [0.5, 0.5]), (n, [1.0, 0.0])):
        state = evidence([0.8 * count, 0.2 * count], [count, count])
        assert pk.LUCB(delta, noise).probabilities(state).tolist() == p


def test_track_and_stop_forces_exploration_of_an_llm_with_too_few_answers():
    # of 400 answers: at least 20 - 1.5 each
    learner = pk.TrackAndStop(noise=1.0, delta=1e-6)
    for count, forced in (([200.0, 182.0, 18.0], True), ([200.0, 181.0, 19.0], False)):
        total = np.array(count) * [0.55, 0.5, 0.1]
        p = learner.probabilities(evidence(total, count, identification.Tracked))
        assert (p.argmax() == 2) == forced
        assert p.max() < 1


def weights_of(mean):
    """The proportions that tell the best of these means fastest."""
    weights = np.zeros(len(mean))
    leader = int(np.argmax(mean))
    identification.optimal_weights(np.array(mean), leader, weights)
    return weights


def slowest(w, mean):
    """The least evidence per answer that proportions w give against any rival (normal
    rewards of spread 1).
    """
    best = int(np.argmax(mean))
    return min(
        (mean[best] - m) ** 2 / (2 * (1 / w[best] + 1 / w[j]))
        for j, m in enumerate(mean)
        if j != best
    )


def test_track_and_stops_weights_have_their_closed_forms():
    assert weights_of([0.2, 0.9]) == pytest.approx([0.5, 0.5])
    for n in (3, 4, 7):  # equal rivals: x = 1 / sqrt(n - 1) each
        w = weights_of([0.8] + [0.5] * (n - 1))
        assert w[0] == pytest.approx(1 / (1 + math.sqrt(n - 1)))
        assert w[1:] == pytest.approx(w[0] / math.sqrt(n - 1))
    assert weights_of([0.5, 0.5, 0.5]).sum() == pytest.approx(1)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=5, unique_by=lambda x: round(x, 2))
)
@settings(max_examples=20)
def test_track_and_stops_weights_are_the_best_that_another_optimiser_finds(mean):
    w = weights_of(mean)
    assert (w > 0).all()
    assert w.sum() == pytest.approx(1)
    value = slowest(w, mean)
    best = int(np.argmax(mean))
    hard = [
        (mean[best] - m) ** 2 / (2 * (1 / w[best] + 1 / w[j]))
        for j, m in enumerate(mean)
        if j != best
    ]
    assert hard == pytest.approx(
        [value] * len(hard), rel=1e-6
    )  # every rival equally hard

    def softmax(z):
        return np.exp(z) / np.exp(z).sum()

    found = optimize.minimize(
        lambda z: -slowest(softmax(z), mean),
        np.log(w),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-14},
    )
    assert -found.fun <= value * (1 + 1e-5)


def test_track_and_stops_evidence_is_the_likelihood_ratio():
    learner = pk.TrackAndStop(noise=0.4)
    total, count = np.array([14.0, 6.0, 1.0]), np.array([20.0, 12.0, 5.0])
    state = evidence(total, count, identification.Tracked)
    mean = total / count

    def log_likelihood(values):
        return -(count * (mean - values) ** 2).sum() / (2 * 0.4**2)

    def best_with_rival(j):  # LLM j at least as good as the leader: both at one value
        found = optimize.minimize_scalar(
            lambda x: -log_likelihood(np.where(np.isin([0, 1, 2], [0, j]), x, mean)),
            bounds=(0, 1),
            method="bounded",
            options={"xatol": 1e-10},
        )
        return -found.fun

    expected = min(-best_with_rival(j) for j in (1, 2))
    assert learner.evidence(state, leader=0) == pytest.approx(expected)


def test_track_and_stop_tracks():
    """On constant rewards, shares of answers come to the optimal weights at the known
    means.
    """
    mean = [0.7, 0.6, 0.45, 0.3]
    s = pk.replay(
        trace_of([mean]),
        IDENTITY,
        pk.TrackAndStop(delta=1e-9, noise=1.0),
        sessions=1,
        queries=3000,
        seed=0,
        lock=False,
    )
    share = np.bincount(s.choices[0], minlength=4) / 3000
    assert share == pytest.approx(weights_of(mean), abs=0.02)


# Parameters


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (pk.LinearRewardPenalty, "penalty_rate", 1.1),
        (pk.LinearRewardEpsilonPenalty, "epsilon", -0.1),
        (pk.Pursuit, "learning_rate", 0),
        (pk.Pursuit, "trials", 0),
        (pk.DiscretisedPursuit, "resolution", 1.5),
        (pk.GeneralisedPursuit, "trials", True),
        (pk.DecayingEpsilon, "decay", -1),
        (pk.Softmax, "temperature", 0),
        (pk.GradientBandit, "learning_rate", 0),
        (pk.UCB1, "width", float("inf")),
        (pk.KLUCB, "c", None),
        (pk.ThompsonGaussian, "noise", 0),
        (pk.ThompsonBeta, "failures", 0.1),
        (pk.Exp3, "gamma", 0),
        (pk.SuccessiveElimination, "delta", 0),
        (pk.LUCB, "noise", 2),
        (pk.TrackAndStop, "delta", "x"),
    ],
)
def test_a_parameter_out_of_range_is_refused_in_one_line(make, name, value):
    with pytest.raises(
        pk.InputError, match=f"{make.__name__}: {name} must be"
    ) as error:
        make(**{name: value})
    assert f"got {value!r}" in str(error.value)
    assert "\n" not in str(error.value)
