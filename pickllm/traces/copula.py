"""The copula of a summary: what moves together, within an LLM and on one query.

Within an LLM, the normal scores of tokens and latency have the correlations that its
cell of the summary states. Between LLMs, each variable has one factor per query: what a
query brings to all of them, such as its length. With ``e`` the independent scores that
an LLM's correlations are made of,

    e[variable] = loading * shared + sqrt(1 - loading ** 2) * own

so that ``e`` is standard normal whatever the loading: an LLM's own law does not depend
on what it shares. Where joint accuracies are known, the factor also moves with the
query's pattern of accuracies (a query that most LLMs fail is a long one) by shifts, one
an LLM and level; its score within each level is then that of its exact distribution
there, a mixture over the patterns, so that ``e`` is standard normal within the level.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
#: The largest loading: no two LLMs are the same.
MOST_SHARED = 0.9995
#: The least share of a factor that a query's pattern of accuracies leaves open.
LEAST_OPEN = 0.05
#: Rounds in which the communalities of a factor settle.
ROUNDS = 200


class Shared(NamedTuple):
    """What LLMs share on one query.

    Attributes
    ----------
    loadings : ndarray, (n_models, n_variables)
    shifts : dict of (int, int) to ndarray, (n_variables,)
        (LLM's position, level) -> how far the factor moves with it; none where joint
        accuracies are not known.
    """

    loadings: Floats
    shifts: dict[tuple[int, int], Floats]


def rank_correlation(data: Floats) -> Floats:
    """Return Spearman's correlations of variables, (n_variables, n), pair by pair.

    Examples
    --------
    >>> rank_correlation(np.array([[1.0, 2.0, 3.0], [9.0, 5.0, 1.0]])).round(9).tolist()
    [-1.0]
    """
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(row) for row in data])
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((ranks**2).sum(axis=1))
    size[size == 0] = 1.0
    rho = (ranks @ ranks.T) / np.outer(size, size)
    return rho[np.triu_indices(len(data), 1)]


def correlated(correlation: list[float], normal: Floats) -> Floats:
    """Return independent normal scores, (n_variables, n), as correlated ones.

    Summed one after the other: a processor's own matrix product rounds in its own way.
    """
    total = np.zeros_like(normal)
    for column, row in zip(factor(correlation).T, normal, strict=True):
        total += column[:, None] * row
    return total


def factor(correlation: list[float]) -> Floats:
    """Return the Cholesky factor of the normal scores' correlations.

    They are 2 sin(pi rho / 6) of Spearman's rho, made positive definite.
    """
    size = int((1 + np.sqrt(1 + 8 * len(correlation))) / 2)
    matrix = np.eye(size)
    matrix[np.triu_indices(size, 1)] = 2.0 * np.sin(np.pi * np.array(correlation) / 6.0)
    matrix += np.triu(matrix, 1).T
    values, vectors = np.linalg.eigh(matrix)
    matrix = vectors @ np.diag(values.clip(1e-9)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    root = np.linalg.cholesky(matrix / np.outer(scale, scale))
    return root.astype(np.float64)


def shared_of(data: Floats, codes: Integers | None, least: int) -> Shared:
    """Return what LLMs share on the queries of a context.

    Parameters
    ----------
    data : ndarray, (n_variables, n_queries, n_models)
    codes : ndarray of int, (n_queries, n_models), optional
        Levels of accuracy; None where joint accuracies are not known.
    least : int
        A level that fewer queries of an LLM have moves nothing.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> length = rng.random((1, 500, 1)) + 0.1 * rng.random((1, 500, 3))
    >>> bool(shared_of(length, None, 5).loadings.min() > 0.95)
    True
    """
    n_variables, n_queries, n_models = data.shape
    scores = np.empty((n_variables, n_queries, n_models))
    for j in range(n_models):
        mine = data[:, :, j]
        root = factor(rank_correlation(mine).tolist())
        scores[:, :, j] = np.linalg.solve(root, np.stack([_normal(v) for v in mine]))
    loadings = np.column_stack([_loadings(_correlation(v)) for v in scores])
    if codes is None:
        return Shared(loadings, {})
    factors = np.stack(
        [
            _factor_scores(v, loading)
            for v, loading in zip(scores, loadings.T, strict=True)
        ]
    )
    return Shared(loadings, _shifts(factors, codes, least))


def draw_shared(
    shared: Shared, patterns: Integers, codes: Integers, rng: np.random.Generator
) -> Floats:
    """Return each query's factors as normal scores within each LLM's own level.

    Parameters
    ----------
    shared : Shared
    patterns : ndarray of int, (n_patterns, n_models + 1)
        Levels of each LLM, and the count.
    codes : ndarray of int, (n_queries, n_models)
        Levels of each query.
    rng : Generator

    Returns
    -------
    ndarray, (n_variables, n_queries, n_models)
    """
    n_queries, n_models = codes.shape
    n_variables = shared.loadings.shape[1]
    drawn = rng.standard_normal((n_variables, n_queries, 1))
    if not shared.shifts:
        return np.repeat(drawn, n_models, axis=2)
    levels, counts = patterns[:, :-1], patterns[:, -1] / patterns[:, -1].sum()
    means = _moved(shared.shifts, levels, n_variables)
    middle = (counts * means).sum(axis=1)
    means -= middle[:, None]
    spread = np.sqrt(np.maximum(1 - (counts * means**2).sum(axis=1), LEAST_OPEN))
    here = _moved(shared.shifts, codes, n_variables) - middle[:, None]
    factors = here + spread[:, None] * drawn[:, :, 0]
    scores = np.empty((n_variables, n_queries, n_models))
    for j in range(n_models):
        for level in np.unique(codes[:, j]):
            mine = codes[:, j] == level
            alike = levels[:, j] == level
            scores[:, mine, j] = _scores_within(
                factors[:, mine], means[:, alike], spread, counts[alike]
            )
    return scores


def _scores_within(
    factors: Floats, means: Floats, spread: Floats, weights: Floats
) -> Floats:
    """Return factors of a mixture of normals as independent normal scores.

    Each variable's distribution is the mixture's given the variables before it
    (Rosenblatt 1952, Annals of Mathematical Statistics 23(3)).

    Parameters
    ----------
    factors : ndarray, (n_variables, n)
    means : ndarray, (n_variables, n_parts)
    spread : ndarray, (n_variables,)
    weights : ndarray, (n_parts,)
    """
    from scipy.special import ndtr, ndtri

    scores = np.empty_like(factors)
    likely = np.repeat(weights[:, None], factors.shape[1], axis=1)
    for v, values in enumerate(factors):
        away = (values - means[v][:, None]) / spread[v]
        share = (likely * ndtr(away)).sum(axis=0) / likely.sum(axis=0)
        scores[v] = ndtri(share.clip(1e-15, 1 - 1e-15))
        likely *= np.exp(-(away**2) / 2)
    return scores


def _moved(
    shifts: dict[tuple[int, int], Floats], codes: Integers, n_variables: int
) -> Floats:
    """Return how far levels of accuracy move the factors, (n_variables, n)."""
    total = np.zeros((n_variables, len(codes)))
    for (j, level), shift in shifts.items():
        total += shift[:, None] * (codes[:, j] == level)
    return total


def _normal(values: Floats) -> Floats:
    """Return values as normal scores of unit spread; zeros where all are the same."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    scores = ndtri((rankdata(values) - 0.5) / len(values))
    return scores / (scores.std() or 1.0)


def _correlation(scores: Floats) -> Floats:
    """Return the correlations of LLMs' scores, (n_queries, n_models)."""
    scores = scores - scores.mean(axis=0)
    size = np.sqrt((scores**2).sum(axis=0))
    size[size == 0] = 1.0
    matrix = (scores.T @ scores) / np.outer(size, size)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _loadings(correlation: Floats) -> Floats:
    """Return the loadings of the one factor that is nearest to correlations.

    Principal factors: the diagonal is what the factor explains, found in rounds.

    Examples
    --------
    >>> loadings = np.array([0.9, 0.8, -0.5])
    >>> matrix = np.outer(loadings, loadings)
    >>> np.fill_diagonal(matrix, 1.0)
    >>> _loadings(matrix).round(3).tolist()
    [0.9, 0.8, -0.5]
    """
    matrix = correlation - np.eye(len(correlation))
    explained = np.abs(matrix).max(axis=1)
    loadings = np.zeros(len(matrix))
    for _ in range(ROUNDS):
        np.fill_diagonal(matrix, explained)
        values, vectors = np.linalg.eigh(matrix)
        loadings = vectors[:, -1] * np.sqrt(max(values[-1], 0.0))
        loadings = loadings.clip(-MOST_SHARED, MOST_SHARED)
        explained = loadings**2
    return loadings if loadings.sum() >= 0 else -loadings


def _factor_scores(scores: Floats, loadings: Floats) -> Floats:
    """Return each query's factor, estimated from its LLMs' scores, of unit spread."""
    weights = loadings / (1 - loadings**2 + 1e-3)
    total = scores @ weights
    total -= total.mean()
    return total / (total.std() or 1.0)


def _shifts(
    factors: Floats, codes: Integers, least: int
) -> dict[tuple[int, int], Floats]:
    """Return the shifts that explain factors, (n_variables, n), by least squares.

    One of the levels of each LLM is too many: the smallest shifts that fit are taken.
    """
    cells = [
        (j, int(level))
        for j in range(codes.shape[1])
        for level in np.unique(codes[:, j])
        if (codes[:, j] == level).sum() >= least
    ]
    if not cells:
        return {}
    design = np.column_stack([codes[:, j] == level for j, level in cells]).astype(float)
    ridge = design.T @ design + np.eye(len(cells))
    found = np.linalg.solve(ridge, design.T @ factors.T)
    return dict(zip(cells, found, strict=True))
