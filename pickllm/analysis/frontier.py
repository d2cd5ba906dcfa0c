"""Accuracy against cost or latency as the weight of cost sweeps: what a router trades.

A router is held against what any router can reach that does not see the query (the
hull), and against random choice. Averages over contexts throughout.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.reward import CENTS_PER_USD, Reward
from ..core.statistics import mean
from ..core.trace import Trace
from ..sweeps.run import sweep
from .claims import NAMES

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
#: Weights of cost, per US cent.
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
#: What is paid -> its name, and by how much a trace's column is multiplied.
PAID = {"cents": ("cost_usd", CENTS_PER_USD), "seconds": ("latency_ms", 1e-3)}


def frontier(
    trace: Trace,
    learners: Mapping[str, Any],
    weights: Sequence[float] = WEIGHTS,
    **options: Any,
) -> "pd.DataFrame":
    """Return what routers reach at each weight of cost.

    Parameters
    ----------
    trace : Trace
    learners : dict of str to learner
    weights : sequence of float
        Of cost, per US cent; the other weights are 1.
    **options
        To `sweep`: ``sessions``, ``queries``, ``seed``.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``w_cost``, ``measure`` (cents, seconds, accuracy; per query),
        ``value``, ``low``, ``high``: means over contexts with 95 % intervals over
        sessions, whose draws all contexts share.
    """
    import pandas as pd

    rewards = {f"{weight:g}": Reward(w_cost=weight) for weight in weights}
    table = sweep(trace, rewards, dict(learners), checkpoints=2, **options)
    table["cents"] = CENTS_PER_USD * table.cost_usd / options["queries"]
    table["seconds"] = table.latency_ms / 1000
    rows = []
    for (learner, weight), part in table.groupby(
        ["learner", "reward_form"], sort=False
    ):
        for measure in (*PAID, "accuracy"):
            sessions = part.groupby("session")[measure].mean().to_numpy()
            rows.append((learner, float(str(weight)), measure, *mean(sessions)))
    columns = ["learner", "w_cost", "measure", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def hull(trace: Trace, paid: str) -> "pd.DataFrame":
    """Return the most accuracy that query-blind routers reach for what they pay.

    For each price L of what is paid, each context sends all its queries to the LLM of
    the largest accuracy - L paid; those are the corners, and mixtures lie between.

    Parameters
    ----------
    trace : Trace
    paid : {"cents", "seconds"}

    Returns
    -------
    pandas.DataFrame
        ``paid``, ``accuracy``: corners from the least paid to the most accurate.
    """
    import pandas as pd

    column, scale = PAID[paid]
    parts = [trace.select(context=context) for context in trace.contexts]
    x = scale * np.array([getattr(part, column).mean(axis=0) for part in parts])
    y = np.array([part.accuracy.mean(axis=0) for part in parts])
    corners = [_corner(x, y, price) for price in _prices(x, y)]
    return pd.DataFrame(sorted(set(corners)), columns=["paid", "accuracy"])


def _prices(x: Floats, y: Floats) -> Floats:
    """Return a price between each two at which some context changes its LLM."""
    dx = x[:, :, None] - x[:, None, :]
    dy = y[:, :, None] - y[:, None, :]
    turns = np.unique(dy[dx > 0] / dx[dx > 0])
    turns = np.concatenate([[0.0], turns[turns > 0]])
    return np.concatenate([(turns[1:] + turns[:-1]) / 2, [1e-12, 2 * turns[-1] + 1]])


def _corner(x: Floats, y: Floats, price: float) -> tuple[float, float]:
    contexts = np.arange(len(x))
    best = (y - price * x).argmax(axis=1)
    return float(x[contexts, best].mean()), float(y[contexts, best].mean())


def alone(trace: Trace, paid: str) -> "pd.DataFrame":
    """Return what each LLM on its own, and random choice, reaches.

    Returns
    -------
    pandas.DataFrame
        ``model`` (``"random choice"`` last), ``paid``, ``accuracy``.
    """
    import pandas as pd

    column, scale = PAID[paid]
    parts = [trace.select(context=context) for context in trace.contexts]
    x = np.mean([scale * getattr(p, column).mean(axis=0) for p in parts], axis=0)
    y = np.mean([p.accuracy.mean(axis=0) for p in parts], axis=0)
    found = pd.DataFrame({"model": trace.models, "paid": x, "accuracy": y})
    chance = {"model": "random choice", "paid": x.mean(), "accuracy": y.mean()}
    return pd.concat([found, pd.DataFrame([chance])], ignore_index=True)


def average_quality(paid: Floats, accuracy: Floats, low: float, high: float) -> float:
    """Return the mean accuracy over what may be paid, by the upper hull of points.

    What RouterBench (Hu et al. 2024, arXiv 2403.12031) calls AIQ: between what the
    cheapest and the dearest LLM cost, mixing neighbouring points, and never paying more
    for less.

    Parameters
    ----------
    paid, accuracy : ndarray, (n_points,)
        The cheapest LLM's among them.
    low, high : float
        The ends of what may be paid.

    Examples
    --------
    >>> paid, accuracy = np.array([1.0, 2.0]), np.array([0.5, 1.0])
    >>> average_quality(paid, accuracy, low=1.0, high=3.0)
    0.875
    """
    x, y = upper_hull(paid, accuracy)
    places = np.unique(np.concatenate([x, [low, high]]).clip(low, high))
    values = np.interp(places, x, y)
    area = ((values[1:] + values[:-1]) / 2 * np.diff(places)).sum()
    return float(area / (high - low))


def upper_hull(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the rising part of the upper convex hull of points."""
    points: list[tuple[float, float]] = []
    for place, height in sorted(zip(x.tolist(), y.tolist(), strict=True)):
        if points and height <= points[-1][1]:
            continue
        if points and place == points[-1][0]:
            points.pop()
        while len(points) > 1 and _below(points[-2], points[-1], (place, height)):
            points.pop()
        points.append((place, height))
    left, right = zip(*points, strict=True)
    return np.array(left), np.array(right)


def _below(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]
) -> bool:
    """Return whether b does not lie above the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def recovered(accuracy: Floats, weak: float, strong: float) -> Floats:
    """Return which part of the gap between two LLMs a router closes.

    What RouteLLM (Ong et al. 2024, arXiv 2406.18665) calls PGR: 0 at the weak LLM's
    accuracy, 1 at the strong one's.

    Examples
    --------
    >>> recovered(np.array([0.5]), weak=0.4, strong=0.8).round(3).tolist()
    [0.25]
    """
    return (accuracy - weak) / (strong - weak)


def summary(
    routers: "pd.DataFrame", single: "pd.DataFrame", hulls: "pd.DataFrame"
) -> "pd.DataFrame":
    """Return each router in two numbers, beside random choice and the hull.

    Parameters
    ----------
    routers : pandas.DataFrame
        Of `frontier`.
    single, hulls : pandas.DataFrame
        Of `alone` and `hull`, with the column ``measure`` (what is paid).

    Returns
    -------
    pandas.DataFrame
        ``who``, ``aiq`` (by cents; mean accuracy), and ``pgr``: the part of the gap
        between the cheapest and the most accurate LLM closed at weight 0 of cost.
    """
    import pandas as pd

    llms = single[(single.measure == "cents") & (single.model != "random choice")]
    cheapest = llms.loc[llms.paid.idxmin()]
    low, high = llms.paid.min(), llms.paid.max()
    strong = llms.accuracy.max()
    tables = {
        name: part.pivot_table(index="w_cost", columns="measure", values="value")
        for name, part in routers.groupby("learner", sort=False)
    }
    points = {
        name: (
            table.cents.to_numpy(),
            table.accuracy.to_numpy(),
            table.accuracy.iloc[0],
        )
        for name, table in tables.items()
    }
    chance = single[(single.measure == "cents") & (single.model == "random choice")]
    best = hulls[hulls.measure == "cents"]
    for name, part in (("random choice", chance), ("query-blind mixtures", best)):
        accuracy = part.accuracy.to_numpy()
        points[name] = part.paid.to_numpy(), accuracy, accuracy.max()
    rows = []
    for name, (paid, accuracy, top) in points.items():
        x, y = np.append(paid, cheapest.paid), np.append(accuracy, cheapest.accuracy)
        quality = average_quality(x, y, low, high)
        closed = recovered(np.array([top]), cheapest.accuracy, strong)[0]
        rows.append((name, quality, float(closed)))
    return pd.DataFrame(rows, columns=["who", "aiq", "pgr"])


def describe(numbers: "pd.DataFrame", name: str) -> list[str]:
    """Say what the two numbers of each router are."""
    said = "; ".join(
        f"{NAMES.get(row.who, row.who)} {row.aiq:.3f} and {100 * row.pgr:.0f} %"
        for row in numbers.itertuples()
    )
    return [
        f"On {name}, average quality over what a query may cost, and the part closed of"
        f" the gap between the cheapest and the most accurate LLM: {said}."
    ]
