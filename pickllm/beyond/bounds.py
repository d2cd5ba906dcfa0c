"""What no learner can beat: the least regret, and the least time to tell the best LLM.

Both bounds rest on one divergence: how many nats an answer gives, on average, against
the claim that an LLM's mean reward lies on the other side of x, when of the rewards
nothing is known but that they are in [0, 1]. They hold for learners that do well in
every pool; one that is lucky in this pool may come in below.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..core.protocols import Floats
from ..errors import InputError

#: Cells of equal counts that stand for an LLM's rewards, cut again where neighbouring
#: rewards lie more than 1 / `ATOMS` apart; that changes a bound by less than 0.01 %.
ATOMS = 400
#: Values of x tried between two means.
GRID = 81


def divergence(
    rewards: ArrayLike, x: ArrayLike, weights: Floats | None = None
) -> Floats:
    """Return the least divergence from the rewards' law to one with mean >= x.

    The divergence is Kullback and Leibler's, the laws are on [0, 1]. With X a reward,
    it is max over l in [0, 1 / (1 - x)] of E log(1 - l (X - x)) (Honda and Takemura
    2010, *COLT*); the maximum of that concave function is found by bisection. For
    rewards of 0 or 1 it is the divergence of two coins.

    Parameters
    ----------
    rewards : ndarray, (n,)
        In [0, 1].
    x : array_like, (k,)
        In [0, 1); where it is at most the mean, the divergence is 0.
    weights : ndarray, (n,), optional
        Of the rewards, summing to 1; by default alike.

    Returns
    -------
    ndarray, (k,)
        In nats.

    Examples
    --------
    From a fair coin to one of chance 3/4 it is ln(2 / sqrt(3)):

    >>> divergence(np.array([0.0, 1.0]), [0.5, 0.75]).round(4)
    array([0.    , 0.1438])
    """
    rewards = np.asarray(rewards, float)
    x = np.atleast_1d(np.asarray(x, float))
    if (rewards < 0).any() or (rewards > 1).any():
        raise InputError(
            f"bounds: rewards must be in [0, 1], got {rewards.min():g} to"
            f" {rewards.max():g}; give unit rewards"
        )
    if weights is None:
        weights = np.full(len(rewards), 1.0 / len(rewards))
    off = rewards - x[:, None]  # (k, n)
    top = 1.0 / np.maximum(1.0 - x, 1e-12)
    low = np.zeros(len(x))
    high = top * (1.0 - 1e-12)
    for _ in range(50):
        middle = 0.5 * (low + high)
        rising = (-off / (1.0 - middle[:, None] * off)) @ weights > 0
        low = np.where(rising, middle, low)
        high = np.where(rising, high, middle)
    found = np.maximum(np.log1p(-low[:, None] * off) @ weights, 0.0)
    return np.where(x > rewards @ weights, found, 0.0)


def _atoms(rewards: Floats) -> tuple[Floats, Floats]:
    """Return the means of cells of the rewards, and each one's share.

    No cell holds both sides of a jump, such as that between wrong and right answers: a
    cell's mean stands for its rewards only where they are alike.
    """
    ordered = np.sort(np.asarray(rewards, float))
    even = np.linspace(0, len(ordered), min(ATOMS, len(ordered)) + 1).astype(int)
    jumps = np.flatnonzero(np.diff(ordered) > 1.0 / ATOMS) + 1
    edges = np.unique(np.concatenate([even, jumps]))
    counts = np.diff(edges)
    means = np.add.reduceat(ordered, edges[:-1]) / counts
    return means, counts / len(ordered)


def regret_rate(unit: Floats) -> float:
    """Return the least regret per ln T of a learner that is good in every pool.

        liminf R(T) / ln T >= sum over j with gap D_j > 0 of D_j / K_j

    with K_j the `divergence` of LLM j's rewards from the best mean (Lai and Robbins
    1985, *Advances in Applied Mathematics* 6, 4-22; without a parametric family
    Burnetas and Katehakis 1996, *ibid.* 17, 122-142).

    Parameters
    ----------
    unit : ndarray, (n_queries, n_models)
        Unit rewards of one context.

    Returns
    -------
    float
        In unit reward; times the width of the reward's bounds it is in raw reward.
    """
    mean = unit.mean(axis=0)
    best = mean.max()
    rate = 0.0
    for model in np.flatnonzero(mean < best):
        values, shares = _atoms(unit[:, model])
        rate += (best - mean[model]) / divergence(values, best, shares)[0]
    return float(rate)


def identification_time(unit: Floats) -> tuple[float, Floats]:
    """Return the least expected answers to tell the best LLM, per nat of confidence.

    With K_j(x) the `divergence` of LLM j's rewards upwards to x, and K_h(x) that of the
    best one's downwards,

        1 / T* = max over shares w of min over j != h and x of  w_h K_h(x) + w_j K_j(x)

    (Garivier and Kaufmann 2016, *COLT*, theorem 1), a linear programme once x is on a
    grid. A learner that is wrong with at most probability delta in every pool needs
    T* kl(delta, 1 - delta) answers (see `least_time`).

    Returns
    -------
    T_star : float
        inf where two LLMs are equally the best.
    weights : ndarray, (n_models,)
        The shares w.
    """
    from scipy.optimize import linprog

    mean = unit.mean(axis=0)
    m = len(mean)
    best = int(mean.argmax())
    if m == 1:
        return 0.0, np.ones(1)
    rivals = [j for j in range(m) if j != best]
    if (mean[rivals] == mean[best]).any():
        return np.inf, np.full(m, 1.0 / m)
    best_values, best_shares = _atoms(unit[:, best])
    rows: list[Floats] = []
    for j in rivals:
        values, shares = _atoms(unit[:, j])
        x = np.linspace(mean[j], mean[best], GRID)
        row = np.zeros((GRID, m + 1))
        row[:, best] = -divergence(1.0 - best_values, 1.0 - x, best_shares)
        row[:, j] = -divergence(values, x, shares)
        row[:, m] = 1.0  # z <= w_h K_h + w_j K_j
        rows.append(row)
    found = linprog(
        -np.eye(m + 1)[m],
        A_ub=np.vstack(rows),
        b_ub=np.zeros(GRID * len(rivals)),
        A_eq=[[1.0] * m + [0.0]],
        b_eq=[1.0],
        method="highs",
    )
    return float(1.0 / found.x[m]), found.x[:m]


def least_time(t_star: float, error: ArrayLike) -> Floats:
    """Return the expected answers that a probability of error costs at the least.

    They are T* kl(error, 1 - error).

    Examples
    --------
    >>> round(float(least_time(100.0, 0.05)), 1), float(least_time(100.0, 0.5))
    (265.0, 0.0)
    """
    error = np.asarray(error, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = (1.0 - 2.0 * error) * np.log((1.0 - error) / error)
    nats = np.where(error > 0, nats, np.inf)
    return t_star * np.where(error < 0.5, nats, 0.0)
