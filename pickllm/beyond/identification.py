"""Best-arm identification at fixed confidence: learners that know when they may lock.

Locking on one LLM is the problem of naming the best of n arms from as few answers as
possible, wrongly in at most a share delta of sessions. Each learner here has its own
stopping rule: until it fires, a share `REST` of probability stays with the other LLMs,
however certain the next choice is; then the LLM found best has probability 1, on which
the session locks. With `replay(lock=False)` nothing is frozen and a session may change
its mind.

`noise` is the scale sigma of the rewards: an answer less its mean is
sigma-sub-Gaussian. 0.5 holds for anything in [0, 1] (Hoeffding 1963); the promise on
delta holds at a smaller one only if the rewards keep to it.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.learners import require_in_range
from ..core.locking import MaxProbability
from ..core.protocols import Floats
from .bandits import count_answer, nothing_known

#: What a learner that has not stopped leaves to the LLMs that it does not mean to ask.
REST = 1e-9


class Evidence(NamedTuple):
    """State, each (n_models,): sums, answers, mean rewards, and what to ask next."""

    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: Floats
    p: Floats


def no_evidence(n_models: int) -> Evidence:
    """Return nothing known; a mean is 0 before the first answer."""
    return Evidence(*nothing_known(n_models), np.zeros(n_models))


def settle_on(p: Floats, arm: int) -> Floats:
    """Make one LLM certain: the choice of a learner that has stopped."""
    for j in range(len(p)):
        p[j] = 0.0
    p[arm] = 1.0
    return p


def ask(p: Floats, arm: int) -> Floats:
    """Make one LLM all but certain: the choice of one that has not stopped."""
    if len(p) == 1:
        return settle_on(p, arm)
    for j in range(len(p)):
        p[j] = REST / (len(p) - 1)
    p[arm] = 1.0 - REST
    return p


def fewest(count: Floats) -> int:
    """Return the first LLM of the fewest answers."""
    least = 0
    for j in range(1, len(count)):
        if count[j] < count[least]:
            least = j
    return least


def leader_of(mean: Floats) -> int:
    """Return the first LLM of the highest mean."""
    best = 0
    for j in range(1, len(mean)):
        if mean[j] > mean[best]:
            best = j
    return best


class Candidates(NamedTuple):
    """State, each (n_models,).

    Sums, answers, mean rewards, what to ask next, how far a mean may be off, and who is
    still in.
    """

    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: Floats
    p: Floats
    width: Floats
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class SuccessiveElimination:
    """Ask all candidates in turn, and drop each one that is surely not the best.

    After N answers a mean is known to within

        u(N) = sigma sqrt(2 ln(pi^2 n N^2 / (3 delta)) / N),

    at all N and for all n LLMs at once with probability 1 - delta; LLM j goes when
    m_j + u(N_j) < max_k (m_k - u(N_k)), and the last one stays (Even-Dar, Mannor and
    Mansour 2006, *Journal of Machine Learning Research* 7, 1079-1105).

    Parameters
    ----------
    delta : float
        Share of sessions that may lock on a wrong LLM, in (0, 1).
    noise : float
        sigma, in (0, 1].

    Examples
    --------
    >>> learner = SuccessiveElimination(delta=0.1, noise=0.1)
    >>> state = learner.start(n_models=2)
    >>> for _ in range(20):
    ...     learner.update(state, arm=0, reward=0.1)
    ...     learner.update(state, arm=1, reward=0.9)
    >>> learner.probabilities(state)
    array([0., 1.])
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_models: int) -> Candidates:
        """Return nothing known, every LLM a candidate."""
        everyone = np.ones(n_models, dtype=np.bool_)
        unknown = np.full(n_models, math.inf)
        return Candidates(*no_evidence(n_models), unknown, everyone)

    def probabilities(self, state: Candidates) -> Floats:
        """Return the candidate with the fewest answers; certain once it is alone."""
        arm = -1
        candidates = 0
        for j in range(len(state.count)):
            if not state.inside[j]:
                continue
            candidates += 1
            if arm < 0 or state.count[j] < state.count[arm]:
                arm = j
        return settle_on(state.p, arm) if candidates == 1 else ask(state.p, arm)

    def width(self, count: float, n_models: int) -> float:
        """Return u(N)."""
        inverse_risk = math.pi * math.pi * n_models * count * count / (3.0 * self.delta)
        return self.noise * math.sqrt(2.0 * math.log(inverse_risk) / count)

    def update(self, state: Candidates, arm: int, reward: float) -> None:
        """Count the answer, and drop who is surely worse."""
        count_answer(state, arm, reward)
        n = len(state.count)
        state.width[arm] = self.width(state.count[arm], n)
        floor = -math.inf
        for j in range(n):
            if state.inside[j]:
                floor = max(floor, state.mean[j] - state.width[j])
        for j in range(n):
            if state.inside[j]:
                state.inside[j] = state.mean[j] + state.width[j] >= floor


@dataclass(frozen=True)
class LUCB:
    """Ask the leader and its most hopeful rival until they no longer overlap.

    With h the LLM of the highest mean, and l the one of the highest m_j + u_j among the
    others,

        u_j = sigma sqrt(2 ln(5 n t^4 / (4 delta)) / N_j);

    stop when m_l + u_l < m_h - u_h (Kalyanakrishnan, Tewari, Auer and Stone 2012,
    *ICML*: LUCB1). There a round asks both; here each query goes to one of them, either
    with probability 1/2, after every LLM once.

    Parameters
    ----------
    delta : float
        Share of sessions that may lock on a wrong LLM, in (0, 1).
    noise : float
        sigma, in (0, 1].

    Examples
    --------
    >>> learner = LUCB()
    >>> state = learner.start(n_models=3)
    >>> for arm, reward in enumerate([0.1, 0.8, 0.9]):
    ...     learner.update(state, arm, reward)
    >>> learner.probabilities(state)
    array([0. , 0.5, 0.5])
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_models: int) -> Evidence:
        """Return nothing known."""
        return no_evidence(n_models)

    def probabilities(self, state: Evidence) -> Floats:
        """Return one half each for leader and rival; certain once they are apart."""
        n = len(state.count)
        least = fewest(state.count)
        if n > 1 and state.count[least] == 0.0:
            return ask(state.p, least)
        leader = leader_of(state.mean)
        if n == 1:
            return settle_on(state.p, leader)
        t = 0.0
        for j in range(n):
            t += state.count[j]
        sure = math.log(1.25 * n * t * t * t * t / self.delta)
        scale = self.noise * math.sqrt(2.0 * sure)
        rival = -1
        highest = -math.inf
        for j in range(n):
            if j == leader:
                continue
            upper = state.mean[j] + scale / math.sqrt(state.count[j])
            if upper > highest:
                rival = j
                highest = upper
        width = scale / math.sqrt(state.count[leader])
        settle_on(state.p, leader)
        if highest >= state.mean[leader] - width:
            state.p[leader] = 0.5
            state.p[rival] = 0.5
        return state.p

    def update(self, state: Evidence, arm: int, reward: float) -> None:
        """Count the answer."""
        count_answer(state, arm, reward)


class Tracked(NamedTuple):
    """State, each (n_models,).

    Sums, answers, mean rewards, what to ask next, and proportions.
    """

    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: Floats
    p: Floats
    weights: Floats


@dataclass(frozen=True)
class TrackAndStop:
    """Track the proportions that tell the best LLM fastest, until it is sure.

    At the means so far, w* are the proportions of answers that no identification can do
    without (`optimal_weights`). D-tracking asks an LLM with fewer than sqrt(t) - n / 2
    answers if there is one, else the one furthest behind, with the highest
    t w*_j - N_j. It stops when the likelihood ratio of the leader h against each other
    LLM,

        Z_j = (m_h - m_j)^2 / (2 sigma^2 (1 / N_h + 1 / N_j)),

    exceeds ln(2 t (n - 1) / delta) (Garivier and Kaufmann 2016, *COLT*, here with the
    divergence of normal rewards; the threshold is the one that their theorem 10 proves
    for coins).

    Parameters
    ----------
    delta : float
        Share of sessions that may lock on a wrong LLM, in (0, 1).
    noise : float
        sigma, in (0, 1].

    Examples
    --------
    >>> learner = TrackAndStop(noise=0.1)
    >>> state = learner.start(n_models=2)
    >>> for _ in range(20):
    ...     learner.update(state, arm=0, reward=0.1)
    ...     learner.update(state, arm=1, reward=0.9)
    >>> learner.probabilities(state)
    array([0., 1.])
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_models: int) -> Tracked:
        """Return nothing known."""
        return Tracked(*no_evidence(n_models), np.zeros(n_models))

    def probabilities(self, state: Tracked) -> Floats:
        """Return the LLM that D-tracking asks; certain once the rule has stopped."""
        n = len(state.count)
        least = fewest(state.count)
        t = 0.0
        for j in range(n):
            t += state.count[j]
        leader = leader_of(state.mean)
        others = max(n - 1, 1)
        enough = math.log(2.0 * max(t, 1.0) * others / self.delta)
        if self.evidence(state, leader) > enough:
            return settle_on(state.p, leader)
        if state.count[least] < max(math.sqrt(t) - n / 2.0, 1.0):
            return ask(state.p, least)
        optimal_weights(state.mean, leader, state.weights)
        behind = 0
        furthest = -math.inf
        for j in range(n):
            gap = t * state.weights[j] - state.count[j]
            if gap > furthest:
                behind = j
                furthest = gap
        return ask(state.p, behind)

    def evidence(self, state: Tracked, leader: int) -> float:
        """Return the smallest Z_j: 0 while an LLM has no answer."""
        if state.count[leader] == 0.0:
            return math.inf if len(state.count) == 1 else 0.0
        smallest = math.inf
        for j in range(len(state.count)):
            if j == leader:
                continue
            if state.count[j] == 0.0:
                return 0.0
            gap = state.mean[leader] - state.mean[j]
            one_over = 1.0 / state.count[leader] + 1.0 / state.count[j]
            smallest = min(smallest, gap * gap / one_over)
        return smallest / (2.0 * self.noise * self.noise)

    def update(self, state: Tracked, arm: int, reward: float) -> None:
        """Count the answer."""
        count_answer(state, arm, reward)


def optimal_weights(mean: Floats, leader: int, weights: Floats, steps: int = 8) -> None:
    """Put the proportions w* of answers that tell the best arm fastest into `weights`.

    For normal arms of one variance. With gaps D_j to the best LLM, x_j = y /
    (D_j^2 - y) answers of LLM j per answer of the best make all rivals equally hard to
    tell from it, and the best y solves sum_j x_j^2 = 1 (Garivier and Kaufmann 2016,
    theorem 5, which takes this form for normal arms). The sum is convex in y and y at
    most half of the smallest D_j^2, from where Newton's steps come down to the root.

    Parameters
    ----------
    mean : ndarray, (n_models,)
    leader : int
        The LLM of the highest mean.
    weights : ndarray, (n_models,)
        Filled in; they sum to 1, and the variance does not matter.
    steps : int
        Newton's, at most.

    Examples
    --------
    >>> weights = np.zeros(2)
    >>> optimal_weights(np.array([0.9, 0.4]), 0, weights)
    >>> weights
    array([0.5, 0.5])
    """
    n = len(mean)
    nearest = math.inf
    for j in range(n):
        if j != leader:  # equal means count as if 1e-9 apart
            gap = max(mean[leader] - mean[j], 1e-9)
            weights[j] = gap * gap
            nearest = min(nearest, gap * gap)
    for j in range(n):
        if j != leader:
            weights[j] = nearest / weights[j]  # 1 for the nearest rival
    y = 0.5  # in units of the smallest squared gap
    for _ in range(steps if n > 1 else 0):
        squares = 0.0
        slope = 0.0
        for j in range(n):
            if j != leader:
                share = 1.0 / (1.0 - y * weights[j])
                x = y * weights[j] * share
                squares += x * x
                slope += 2.0 * x * weights[j] * share * share
        step = (squares - 1.0) / slope
        y -= step
        if step < 1e-12:
            break
    summed = 1.0
    for j in range(n):
        if j != leader:
            weights[j] = y * weights[j] / (1.0 - y * weights[j])
            summed += weights[j]
    weights[leader] = 1.0
    for j in range(n):
        weights[j] /= summed


def _require_delta_and_noise(learner: object) -> None:
    require_in_range(learner, "delta", 0, 1, low_open=True)
    require_in_range(learner, "noise", 0, 1, low_open=True)
