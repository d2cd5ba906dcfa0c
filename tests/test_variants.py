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
from pickllm.beyond import automata, bandits, identification

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


def arrays(state):
    return (
        [a for part in state for a in arrays(part)]
        if isinstance(state, tuple)
        else [state]
    )


def rebuilt(state, function):
    if isinstance(state, tuple):
        return type(state)(*(rebuilt(part, function) for part in state))
    return function(state)


def fed(learner, arms, rewards, n_models):
    """The state after a tape, one column of arms and rewards a session, (n_steps,
    n_sessions).
    """
    state = learner.start(arms.shape[1], n_models)
    for arm, reward in zip(arms, rewards, strict=True):
        state = learner.update(state, arm, reward)
    return state


def tape(seed, steps, sessions, n_models):
    """Every LLM twice, then any, with rewards that hold no ties."""
    rng = np.random.default_rng(seed)
    arms = np.concatenate(
        [
            np.tile(np.repeat(np.arange(n_models), 2)[:, None], sessions),
            rng.integers(n_models, size=(steps, sessions)),
        ]
    )
    return arms, rng.random(arms.shape)


# Laws of every learner


@each_learner
@given(n=st.integers(1, 6), steps=st.integers(0, 60), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_probabilities_stay_on_the_simplex(learner, n, steps, seed):
    arms, rewards = tape(seed, steps, 3, n)
    state = learner.start(3, n)
    for arm, reward in zip(
        arms,
        np.where(rewards < 0.3, 0.0, np.where(rewards > 0.8, 1.0, rewards)),
        strict=True,
    ):
        state = learner.update(state, arm, reward)
        p = learner.probabilities(state)
        assert p.shape == (3, n)
        assert p.dtype == np.float64
        assert (p >= 0).all()
        assert (p <= 1).all()
        assert abs(p.sum(axis=1) - 1).max() < 1e-12


@each_learner
def test_permuting_the_llms_permutes_what_is_learned(learner):
    n = 4
    arms, rewards = tape(5, 60, 6, n)
    order = np.array([2, 0, 3, 1])  # LLM order[k] stands at k
    p = learner.probabilities(fed(learner, arms, rewards, n))
    moved = learner.probabilities(fed(learner, np.argsort(order)[arms], rewards, n))
    assert moved == pytest.approx(p[:, order], abs=1e-9)


@each_learner
def test_nothing_that_is_handed_in_changes_and_sessions_do_not_touch_one_another(
    learner,
):
    arms, rewards = tape(6, 30, 5, 3)
    state = fed(learner, arms, rewards, 3)
    for array in arrays(state):
        array.setflags(write=False)
    first = learner.update(state, arms[0], rewards[0])
    assert all(
        (a == b).all()
        for a, b in zip(
            arrays(first),
            arrays(learner.update(state, arms[0], rewards[0])),
            strict=True,
        )
    )
    together = learner.probabilities(first)
    for i in range(5):
        alone = fed(
            learner,
            np.vstack([arms, arms[:1]])[:, [i]],
            np.vstack([rewards, rewards[:1]])[:, [i]],
            3,
        )
        assert (learner.probabilities(alone) == together[[i]]).all()
        assert (
            learner.probabilities(rebuilt(first, lambda a, i=i: a[[i]]))
            == together[[i]]
        ).all()


@each_learner
def test_the_better_of_two_llms_far_apart_is_asked_more(learner):
    s = pk.replay(
        trace_of([[0.1, 0.9], [0.2, 1.0], [0.0, 0.8]]),
        IDENTITY,
        learner,
        sessions=200,
        queries=400,
        seed=1,
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
    arms, rewards = tape(seed, 20, 2, n)
    expected = fed(pk.LinearRewardInaction(rate), arms, rewards, n)
    for learner in (
        pk.LinearRewardPenalty(rate, 0.0),
        pk.LinearRewardEpsilonPenalty(rate, 0.0),
    ):
        assert fed(learner, arms, rewards, n) == pytest.approx(expected, abs=1e-12)


def test_one_step_of_reward_penalty_by_hand():
    p, arm = np.array([[0.5, 0.3, 0.2]]), np.array([1])
    after = pk.LinearRewardPenalty(0.4, 0.2).update(p, arm, np.array([0.25]))
    # up: a r = 0.1, down: b (1 - r) = 0.15
    assert after == pytest.approx(
        np.array(
            [[0.5 - 0.05 + 0.15 * 0.0, 0.3 + 0.07 - 0.045, 0.2 - 0.02 + 0.15 * 0.3]]
        )
    )
    assert pk.LinearRewardEpsilonPenalty(0.4, 0.5).update(
        p, arm, np.array([0.25])
    ) == pytest.approx(after)


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


def pursued(p, total, count):
    return automata.Pursued(
        np.array([p]), np.array([total], float), np.array([count], float)
    )


def test_one_step_of_each_pursuit_by_hand():
    state, arm, reward = (
        pursued([0.5, 0.3, 0.2], [0.9, 1.2, 0.4], [2, 2, 2]),
        np.array([0]),
        np.array([0.3]),
    )
    # means after the answer: (1.2 / 3, 0.6, 0.2) = (0.4, 0.6, 0.2): the best is LLM 1,
    # and it alone is above LLM 0
    assert pk.Pursuit(0.1, trials=2).update(state, arm, reward).p == pytest.approx(
        np.array([[0.45, 0.37, 0.18]])
    )
    assert pk.DiscretisedPursuit(5, trials=2).update(
        state, arm, reward
    ).p == pytest.approx(np.array([[0.5 - 1 / 15, 0.3 + 2 / 15, 0.2 - 1 / 15]]))
    assert pk.GeneralisedPursuit(0.1, trials=2).update(
        state, arm, reward
    ).p == pytest.approx(np.array([[0.45, 0.37, 0.18]]))
    # LLM 2 chosen, both others above it: each gets half of lambda
    assert pk.GeneralisedPursuit(0.1, trials=2).update(
        state, np.array([2]), reward
    ).p == pytest.approx(np.array([[0.5, 0.32, 0.18]]))


@pytest.mark.parametrize(
    "learner",
    [
        pk.Pursuit(0.5, trials=3),
        pk.DiscretisedPursuit(1, trials=3),
        pk.GeneralisedPursuit(0.5, trials=3),
    ],
)
def test_a_pursuit_waits_until_every_llm_has_been_tried(learner):
    state = fed(learner, np.array([[0], [1]] * 2 + [[0]] * 9), np.full((13, 1), 0.5), 2)
    assert (state.p == 0.5).all()
    assert learner.update(state, np.array([1]), np.array([0.9])).p[0, 1] > 0.5


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
    state = fed(learner, np.zeros((4, 1), int), np.ones((4, 1)), 3)
    assert learner.probabilities(state) == pytest.approx(
        np.array([[0.8, 0.1, 0.1]])
    )  # 0.9 / (1 + 0.5 * 4) = 0.3


def test_boltzmanns_choice_by_hand_and_at_both_ends():
    q = np.array([[0.2, 0.2 + 0.1 * math.log(3)]])
    assert pk.Softmax(temperature=0.1).probabilities(q) == pytest.approx(
        np.array([[0.25, 0.75]])
    )
    assert pk.Softmax(temperature=100).probabilities(q) == pytest.approx(
        np.array([[0.5, 0.5]]), abs=1e-3
    )
    assert pk.Softmax(temperature=1e-4).probabilities(q) == pytest.approx(
        np.array([[0.0, 1.0]]), abs=1e-9
    )


def test_one_step_of_the_gradient_bandit_is_an_ascent_of_the_expected_reward():
    """Over the chance of each choice, the mean step is alpha times the gradient of
    sum_j p_j d_j, whatever the baseline.
    """
    h, d, alpha = np.array([[0.3, -0.2, 0.5]]), np.array([0.2, 0.9, 0.4]), 0.7
    learner = pk.GradientBandit(alpha)
    p = learner.probabilities(bandits.Preferences(h, np.zeros(1), np.zeros(1)))[0]
    for total in (0.0, 1.7):
        state = bandits.Preferences(h, np.array([total]), np.array([4.0]))
        step = sum(
            p[i] * (learner.update(state, np.array([i]), d[[i]]).h - h)[0]
            for i in range(3)
        )
        assert step == pytest.approx(alpha * p * (d - p @ d))


def test_the_first_answer_of_a_gradient_bandit_teaches_nothing():
    learner = pk.GradientBandit(2.0)
    assert (
        learner.update(learner.start(1, 3), np.array([1]), np.array([0.8])).h == 0
    ).all()


def test_ucb1_has_the_index_of_another_library():
    from mabwiser.mab import MAB, LearningPolicy

    arms, rewards = tape(8, 40, 1, 3)
    bandit = MAB(
        [0, 1, 2], LearningPolicy.UCB1(alpha=1.25)
    )  # theirs multiplies sqrt(2 ln t / N)
    bandit.fit(arms[:, 0], rewards[:, 0])
    ours = pk.UCB1(width=1.25 * math.sqrt(2)).index(fed(pk.UCB1(), arms, rewards, 3))[0]
    assert ours == pytest.approx(list(bandit.predict_expectations().values()))


def test_softmax_chooses_by_the_law_of_another_library():
    """The same answers to both, then many choices of theirs against our chances."""
    from mabwiser.mab import MAB, LearningPolicy

    arms, rewards = tape(9, 20, 1, 3)
    p = pk.Softmax(temperature=0.2).probabilities(
        np.array([[rewards[arms == j].mean() for j in range(3)]])
    )[0]
    bandit = MAB([0, 1, 2], LearningPolicy.Softmax(tau=0.2), seed=4)
    bandit.fit(arms[:, 0], rewards[:, 0])
    counts = np.bincount([bandit.predict() for _ in range(3000)], minlength=3)
    assert p.max() - p.min() > 0.05
    assert stats.chisquare(counts, 3000 * p).pvalue > 1e-3


@given(st.floats(0, 1), st.floats(1e-4, 8))
def test_kl_ucbs_index_is_the_root_that_another_solver_finds(mean, level):
    def divergence(q):
        return (
            sum(x * math.log(x / y) for x, y in ((mean, q), (1 - mean, 1 - q)) if x > 0)
            if 0 < q < 1
            else 0.0
            if q == mean
            else math.inf
        )

    q = float(bandits.kl_upper(mean, level))
    assert mean <= q <= 1
    if mean >= 1 - 1e-6 or divergence(1 - 1e-12) < level:
        assert q > 1 - 1e-5
        return
    assert q == pytest.approx(
        optimize.brentq(
            lambda x: divergence(x) - level, max(mean, 1e-15), 1 - 1e-12, xtol=1e-14
        ),
        abs=1e-7,
    )


def test_kl_ucb_asks_no_more_of_a_bad_llm_than_ucb1():
    trace = trace_of([[0, 1], [0, 1], [1, 1], [0, 0]])
    wrong = [
        (
            pk.replay(
                trace, IDENTITY, x, sessions=300, queries=500, seed=5, lock=False
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


def test_thompsons_probabilities_are_those_of_a_much_finer_integration():
    rng = np.random.default_rng(0)
    for _ in range(10):
        count = np.exp(rng.uniform(0, np.log(1000), 4)).round()
        total = count * rng.uniform(0.4, 0.8, 4)
        state = bandits.Means(total[None], count[None])
        normal, beta = pk.ThompsonGaussian(), pk.ThompsonBeta()
        mean, spread = (x[0] for x in normal.posterior(state))
        assert normal.probabilities(state)[0] == pytest.approx(
            beats([stats.norm(*x) for x in zip(mean, spread, strict=True)]), abs=3e-4
        )
        assert beta.probabilities(state)[0] == pytest.approx(
            beats(
                [
                    stats.beta(1 + t, 1 + c - t)
                    for t, c in zip(total, count, strict=True)
                ]
            ),
            abs=3e-4,
        )


@pytest.mark.parametrize("count", [[0, 0, 0], [1, 30, 400], [5, 6, 7]])
def test_thompsons_probabilities_are_the_shares_of_many_draws(count):
    rng, n = np.random.default_rng(1), 400_000
    count = np.array([count], float)
    state = bandits.Means(count * [[0.55, 0.6, 0.5]], count)
    learner = pk.ThompsonGaussian(noise=0.3, prior_mean=0.4, prior_spread=0.2)
    draws = {
        learner: rng.normal(*(x[0] for x in learner.posterior(state)), size=(n, 3)),
        pk.ThompsonBeta(2.0, 3.0): rng.beta(
            2.0 + state.total[0], 3.0 + (count - state.total)[0], size=(n, 3)
        ),
    }
    for thompson, drawn in draws.items():
        share = np.bincount(drawn.argmax(axis=1), minlength=3) / n
        assert abs(
            thompson.probabilities(state)[0] - share
        ).max() < 5 * 0.5 / math.sqrt(n)


def test_the_posterior_of_normal_rewards_is_bayes_by_hand():
    learner = pk.ThompsonGaussian(noise=0.5, prior_mean=0.2, prior_spread=0.5)
    mean, spread = learner.posterior(
        bandits.Means(np.array([[2.4, 0.0]]), np.array([[3.0, 0.0]]))
    )
    assert mean == pytest.approx(np.array([[(0.2 + 2.4) / 4, 0.2]]))
    assert spread == pytest.approx(np.array([[0.25, 0.5]]))


def test_exp3_is_unbiased_and_mixes():
    """On average over its own choice, log w_j gains gamma d_j / n."""
    learner, state, d = (
        pk.Exp3(0.3),
        np.array([[0.4, -0.1, 0.0]]),
        np.array([0.2, 0.9, 0.4]),
    )
    p = learner.probabilities(state)[0]
    assert p.min() >= 0.1
    assert sum(
        p[i] * (learner.update(state, np.array([i]), d[[i]]) - state)[0]
        for i in range(3)
    ) == pytest.approx(0.3 * d / 3)


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
    delta, sessions = 0.2, 400
    s = pk.replay(
        trace_of([[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1]]),
        IDENTITY,
        kind(delta),
        sessions=sessions,
        queries=4000,
        seed=3,
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


def test_lucb_asks_leader_and_rival_with_the_highest_bound():
    learner = pk.LUCB(delta=0.1, noise=0.5)
    state = bandits.Means(
        np.array([[9.0, 16.0, 2.0]]), np.array([[10.0, 20.0, 4.0]])
    )  # means .9, .8, .5; few answers, wide bound
    assert learner.probabilities(state).tolist() == [[0.5, 0.0, 0.5]]
    apart = bandits.Means(
        np.array([[9000.0, 1000.0, 500.0]]), np.array([[10000.0] * 3])
    )
    assert learner.probabilities(apart).tolist() == [[1.0, 0.0, 0.0]]


def test_lucb_stops_when_its_published_bounds_part():
    delta, noise, gap = 0.1, 0.5, 0.6

    def parted(n):
        return gap > 2 * noise * math.sqrt(
            2 * math.log(5 / 4 * 2 * (2 * n) ** 4 / delta) / n
        )

    n = next(n for n in range(1, 2000) if parted(n))
    for count, p in ((n - 1, [0.5, 0.5]), (n, [1.0, 0.0])):
        state = bandits.Means(
            np.array([[0.8, 0.2]]) * count, np.full((1, 2), float(count))
        )
        assert pk.LUCB(delta, noise).probabilities(state).tolist() == [p]


def test_track_and_stop_forces_exploration_of_an_llm_with_too_few_answers():
    learner = pk.TrackAndStop(
        noise=1.0, delta=1e-6
    )  # of 400 answers: at least 20 - 1.5 each
    for count, forced in (([200.0, 182.0, 18.0], True), ([200.0, 181.0, 19.0], False)):
        count = np.array([count])
        p = learner.probabilities(bandits.Means(count * [[0.55, 0.5, 0.1]], count))
        assert (p.argmax() == 2) == forced
        assert p.max() < 1


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
    assert identification.optimal_weights(np.array([[0.2, 0.9]])) == pytest.approx(
        np.array([[0.5, 0.5]])
    )
    for n in (3, 4, 7):  # equal rivals: x = 1 / sqrt(n - 1) each
        w = identification.optimal_weights(np.array([[0.8] + [0.5] * (n - 1)]))[0]
        assert w[0] == pytest.approx(1 / (1 + math.sqrt(n - 1)))
        assert w[1:] == pytest.approx(w[0] / math.sqrt(n - 1))
    assert identification.optimal_weights(
        np.array([[0.5, 0.5, 0.5]])
    ).sum() == pytest.approx(1)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=5, unique_by=lambda x: round(x, 2))
)
@settings(max_examples=20)
def test_track_and_stops_weights_are_the_best_that_another_optimiser_finds(mean):
    w = identification.optimal_weights(np.array([mean]))[0]
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
    state = bandits.Means(np.array([[14.0, 6.0, 1.0]]), np.array([[20.0, 12.0, 5.0]]))
    mean, count = (state.total / state.count)[0], state.count[0]

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

    assert learner.evidence(state)[0] == pytest.approx(
        min(-best_with_rival(j) for j in (1, 2))
    )


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
    assert share == pytest.approx(
        identification.optimal_weights(np.array([mean]))[0], abs=0.02
    )


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
