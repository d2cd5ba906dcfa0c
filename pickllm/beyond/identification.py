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

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.learners import require_in_range
from ..core.locking import MaxProbability
from ..core.protocols import Floats, Integers
from .bandits import Means, certain, count_answer, nothing_known

#: What a learner that has not stopped leaves to the LLMs that it does not mean to ask.
REST = 1e-9


def _ask(arm: Integers, n_models: int) -> Floats:
    """Return all but certainty: the choice of a learner that has not stopped."""
    others = max(n_models - 1, 1)
    asked = 1.0 - REST * (n_models > 1)
    return np.where(certain(arm, n_models) > 0, asked, REST / others)


def _mean(state: Means) -> Floats:
    return state.total / np.maximum(state.count, 1.0)


class Candidates(NamedTuple):
    """State, each (n_sessions, n_models): sums, answers, and who is still in."""

    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]
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
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_sessions: int, n_models: int) -> Candidates:
        """Return nothing known, every LLM a candidate."""
        everyone = np.ones((n_sessions, n_models), dtype=bool)
        return Candidates(*nothing_known(n_sessions, n_models), everyone)

    def probabilities(self, state: Candidates) -> Floats:
        """Return the candidate with the fewest answers; certain once it is alone."""
        n = state.count.shape[1]
        arm = np.where(state.inside, state.count, np.inf).argmin(axis=1)
        alone = state.inside.sum(axis=1) == 1
        return np.where(alone[:, None], certain(arm, n), _ask(arm, n))

    def update(self, state: Candidates, arm: Integers, reward: Floats) -> Candidates:
        """Return the answer counted, and who is surely worse dropped."""
        total, count = count_answer(state.total, state.count, arm, reward)
        asked = np.maximum(count, 1.0)
        inverse_risk = np.pi**2 * count.shape[1] * asked**2 / (3.0 * self.delta)
        width = self.noise * np.sqrt(2.0 * np.log(inverse_risk) / asked)
        width = np.where(count > 0, width, np.inf)
        lower = total / asked - width
        upper = total / asked + width
        floor = np.where(state.inside, lower, -np.inf).max(axis=1, keepdims=True)
        return Candidates(total, count, state.inside & (upper >= floor))


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
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_sessions: int, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_sessions, n_models)

    def probabilities(self, state: Means) -> Floats:
        """Return one half each for leader and rival; certain once they are apart."""
        n = state.count.shape[1]
        rows = np.arange(len(state.count))
        t = np.maximum(state.count.sum(axis=1, keepdims=True), 1.0)
        asked = np.maximum(state.count, 1.0)
        mean = _mean(state)
        width = self.noise * np.sqrt(2.0 * np.log(1.25 * n * t**4 / self.delta) / asked)
        leader = mean.argmax(axis=1)
        if n == 1:
            return certain(leader, n)
        upper = mean + width
        upper[rows, leader] = -np.inf
        rival = upper.argmax(axis=1)
        apart = upper[rows, rival] < mean[rows, leader] - width[rows, leader]
        either = 0.5 * (certain(leader, n) + certain(rival, n))
        p = np.where(apart[:, None], certain(leader, n), either)
        fewest = state.count.argmin(axis=1)
        all_asked = state.count.min(axis=1, keepdims=True) > 0
        return np.where(all_asked, p, _ask(fewest, n))

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        """Return the answer counted."""
        return count_answer(state.total, state.count, arm, reward)


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
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_sessions: int, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_sessions, n_models)

    def probabilities(self, state: Means) -> Floats:
        """Return the LLM that D-tracking asks; certain once the rule has stopped."""
        n = state.count.shape[1]
        t = state.count.sum(axis=1)
        mean = _mean(state)
        fewest = state.count.argmin(axis=1)
        few = state.count.min(axis=1) < np.maximum(np.sqrt(t) - n / 2.0, 1.0)
        behind = (t[:, None] * optimal_weights(mean) - state.count).argmax(axis=1)
        asked = np.where(few, fewest, behind)
        enough = np.log(2.0 * np.maximum(t, 1.0) * max(n - 1, 1) / self.delta)
        stopped = self.evidence(state) > enough
        best = certain(mean.argmax(axis=1), n)
        return np.where(stopped[:, None], best, _ask(asked, n))

    def evidence(self, state: Means) -> Floats:
        """Return the smallest Z_j, (n_sessions,): 0 while an LLM has no answer."""
        mean = _mean(state)
        leader = np.arange(len(mean)), mean.argmax(axis=1)
        with np.errstate(divide="ignore"):
            one_over = 1.0 / state.count
        spread = 2.0 * self.noise**2 * (one_over[leader][:, None] + one_over)
        z = (mean[leader][:, None] - mean) ** 2 / spread
        z[leader] = np.inf
        return z.min(axis=1)

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        """Return the answer counted."""
        return count_answer(state.total, state.count, arm, reward)


def optimal_weights(mean: Floats, steps: int = 8) -> Floats:
    """Return the proportions w* of answers that tell the best arm fastest.

    For normal arms of one variance. With gaps D_j to the best LLM, x_j = y /
    (D_j^2 - y) answers of LLM j per answer of the best make all rivals equally hard to
    tell from it, and the best y solves sum_j x_j^2 = 1 (Garivier and Kaufmann 2016,
    theorem 5, which takes this form for normal arms). The sum is convex in y and y at
    most half of the smallest D_j^2, from where Newton's steps come down to the root.

    Parameters
    ----------
    mean : ndarray, (n, n_models)

    Returns
    -------
    ndarray, (n, n_models)
        Rows sum to 1; the variance does not matter.

    Examples
    --------
    >>> optimal_weights(np.array([[0.9, 0.4], [0.1, 0.2]]))
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    if mean.shape[1] == 1:
        return np.ones_like(mean)
    best = np.arange(len(mean)), mean.argmax(axis=1)
    # equal means count as if 1e-9 apart
    gap = np.maximum(mean[best][:, None] - mean, 1e-9)
    gap[best] = np.inf
    # 0 for the best, 1 for the nearest rival
    inverse = (gap.min(axis=1, keepdims=True) / gap) ** 2
    y = np.full((len(mean), 1), 0.5)  # in units of the smallest squared gap
    for _ in range(steps):
        share = 1.0 / (1.0 - y * inverse)
        x = y * inverse * share
        slope = (2.0 * x * inverse * share * share).sum(axis=1, keepdims=True)
        y = y - ((x * x).sum(axis=1, keepdims=True) - 1.0) / slope
    x = y * inverse / (1.0 - y * inverse)
    x[best] = 1.0
    return x / x.sum(axis=1, keepdims=True)


def _require_delta_and_noise(learner: object) -> None:
    require_in_range(learner, "delta", 0, 1, low_open=True)
    require_in_range(learner, "noise", 0, 1, low_open=True)
