"""What no learner can beat: the least regret, and the least time to tell the best LLM.

Both bounds rest on one divergence: how many nats an answer gives, on average, against
the claim that an LLM's mean reward lies on the other side of x, when of the rewards
nothing is known but that they are in [0, 1]. They hold for learners that do well in
every pool; one that is lucky in this pool may come in below.
"""

import numpy as np

from ..errors import InputError

#: equal-count cells that stand for an LLM's rewards; that changes a bound by less than
#: 0.1 %
ATOMS = 400
GRID = 81  # values of x tried between two means


def divergence(rewards, x, weights=None):
    """Return the least Kullback-Leibler divergence to a law whose mean is at least x.

    From the rewards' law, to one on [0, 1].

    With X a reward, it is max over l in [0, 1 / (1 - x)] of E log(1 - l (X - x)) (Honda
    and Takemura 2010, *COLT*); the maximum of that concave function is found by
    bisection. For rewards of 0 or 1 it is the divergence of two coins.

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
    >>> coin = np.array([0.0, 1.0])  # at 0.75: ln 2 / sqrt(3) * 2 = 0.1438
    >>> divergence(coin, [0.5, 0.75]).round(4)
    array([0.    , 0.1438])
    """
    rewards, x = np.asarray(rewards, float), np.atleast_1d(np.asarray(x, float))
    if (rewards < 0).any() or (rewards > 1).any():
        raise InputError(
            f"bounds: rewards must be in [0, 1], got {rewards.min():g} to"
            f" {rewards.max():g}; give unit rewards"
        )
    weights = np.full(len(rewards), 1.0 / len(rewards)) if weights is None else weights
    off = rewards - x[:, None]  # (k, n)
    top = 1.0 / np.maximum(1.0 - x, 1e-12)
    low, high = np.zeros(len(x)), top * (1.0 - 1e-12)
    for _ in range(50):
        middle = 0.5 * (low + high)
        rising = (-off / (1.0 - middle[:, None] * off)) @ weights > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.where(
        x > rewards @ weights,
        np.maximum(np.log1p(-low[:, None] * off) @ weights, 0.0),
        0.0,
    )


def _atoms(rewards):
    """Equal-count cells by their means, and each one's share."""
    cells = np.array_split(
        np.sort(np.asarray(rewards, float)), min(ATOMS, len(rewards))
    )
    return np.array([cell.mean() for cell in cells]), np.array(
        [len(cell) for cell in cells]
    ) / len(rewards)


def regret_rate(unit):
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
    gap = mean.max() - mean
    near = [_atoms(rewards) for rewards in unit.T]
    return float(
        sum(
            gap[j] / divergence(near[j][0], mean.max(), near[j][1])[0]
            for j in np.flatnonzero(gap > 0)
        )
    )


def identification_time(unit):
    """Return the least expected number of answers that identify the best LLM.

    It is per nat of confidence.

    With K_j(x) the `divergence` of LLM j's rewards upwards to x, and K_h(x) that of the
    best one's downwards,

        1 / T* = max over shares w of min over j != h and x of  w_h K_h(x) + w_j K_j(x)

    (Garivier and Kaufmann 2016, *COLT*, theorem 1), a linear programme once x is on a
    grid. A learner that is wrong with at most probability delta in every pool needs T*
    kl(delta, 1 - delta) answers (see `least_time`).

    Returns
    -------
    T_star : float
        inf where two LLMs are equally the best.
    weights : ndarray, (n_models,)
        The shares w.
    """
    from scipy.optimize import linprog

    mean, m = unit.mean(axis=0), unit.shape[1]
    best = int(mean.argmax())
    if m == 1:
        return 0.0, np.ones(1)
    rivals = [j for j in range(m) if j != best]
    if (mean[rivals] == mean[best]).any():
        return np.inf, np.full(m, 1.0 / m)
    atoms, rows = [_atoms(unit[:, j]) for j in range(m)], []
    for j in rivals:
        x = np.linspace(mean[j], mean[best], GRID)
        row = np.zeros((GRID, m + 1))
        row[:, best] = -divergence(1.0 - atoms[best][0], 1.0 - x, atoms[best][1])
        row[:, j] = -divergence(atoms[j][0], x, atoms[j][1])
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


def least_time(t_star, error):
    """Return T* kl(error, 1 - error).

    These are the expected answers that a probability of error costs at the least.

    Examples
    --------
    >>> round(float(least_time(100.0, 0.05)), 1), float(least_time(100.0, 0.5))
    (265.0, 0.0)
    """
    error = np.asarray(error, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = np.where(
            error > 0, (1.0 - 2.0 * error) * np.log((1.0 - error) / error), np.inf
        )
    return t_star * np.where(error < 0.5, nats, 0.0)
