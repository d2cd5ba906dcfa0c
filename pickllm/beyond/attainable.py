"""What routers that do not see the query can reach, and which numbers together.

Such a router sends a share of a context's queries to each LLM, so its mean outcomes are
a mixture of the LLMs' means. Against a baseline of the same context a measure is then
linear in the shares: with w_cj the share of LLM j in context c, and d_cj what LLM j
alone changes there,

    measure = mean over contexts c of  sum over j of  w_cj d_cj

Its extremes are those of single LLMs. Whether several numbers can be met together is a
linear programme. Nothing here is learned or sampled: no session of any query-blind
learner lies outside, but for the luck of its queries.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.learners import BestSingle, Cheapest, MostExpensive
from ..core.protocols import Floats
from ..core.reward import Reward
from ..core.trace import Trace
from ..errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd


class Measure(NamedTuple):
    """A mean outcome against a baseline's.

    Attributes
    ----------
    column : str
        Of a trace.
    relative : bool
        Whether it is a relative change in percent; else a difference in points.
    less_is_better : bool
    """

    column: str
    relative: bool
    less_is_better: bool


MEASURES = {
    "cost": Measure("cost_usd", relative=True, less_is_better=True),
    "latency": Measure("latency_ms", relative=True, less_is_better=True),
    "accuracy": Measure("accuracy", relative=False, less_is_better=False),
    "relative accuracy": Measure("accuracy", relative=True, less_is_better=False),
}
#: By how much the solver may miss a number that is met.
ROUNDING = 1e-6
RANDOM = "random"
#: Against whom; each control chooses in every context anew.
BASELINES: dict[str, Any] = {
    "most expensive": MostExpensive(),
    RANDOM: None,
    "best single": BestSingle(),
    "cheapest": Cheapest(),
}


def attainable(trace: Trace, reward: Reward) -> "pd.DataFrame":
    """Return the least and the most that any query-blind router can reach.

    Parameters
    ----------
    trace : Trace
        One context of it by ``trace.select(context=...)``.
    reward : Reward
        By which the best single LLM is the best.

    Returns
    -------
    pandas.DataFrame
        ``measure`` (of `MEASURES`), ``baseline`` (of `BASELINES`), ``low``, ``high``,
        and ``random``: what random choice itself reaches. Means over contexts, of
        changes in percent and of differences of accuracy in points; NaN where a
        baseline is 0 in some context.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11")
    >>> found = attainable(trace, pk.Reward()).set_index(["measure", "baseline"])
    >>> round(float(found.low["cost", "cheapest"]), 6)  # nothing is cheaper than that
    0.0
    """
    import pandas as pd

    parts = _parts(trace)
    rows: list[tuple[Any, ...]] = []
    for measure in MEASURES:
        for baseline in BASELINES:
            change = _changes(parts, reward, measure, baseline)
            ends = change.min(axis=1).mean(), change.max(axis=1).mean()
            rows.append((measure, baseline, *ends, change.mean()))
    columns = ["measure", "baseline", "low", "high", RANDOM]
    return pd.DataFrame(rows, columns=columns)


def changes(trace: Trace, reward: Reward, measure: str, baseline: str) -> Floats:
    """Return what each LLM alone changes against a baseline, in each context.

    Parameters
    ----------
    trace : Trace
    reward : Reward
    measure, baseline : str
        Names in `MEASURES` and `BASELINES`.

    Returns
    -------
    ndarray, (n_contexts, n_models)
        In percent or points; NaN in contexts whose baseline is 0.

    Raises
    ------
    InputError
        An unknown name.
    """
    return _changes(_parts(trace), reward, measure, baseline)


def _parts(trace: Trace) -> list[Trace]:
    """Return a trace's contexts, each of which reads its outcomes once."""
    return [trace.select(context=context) for context in trace.contexts]


def _changes(parts: list[Trace], reward: Reward, measure: str, baseline: str) -> Floats:
    for name, known in ((measure, MEASURES), (baseline, BASELINES)):
        if name not in known:
            raise InputError(f"attainable: unknown {name!r}; {nearest(name, known)}")
    what = MEASURES[measure]
    rows: list[Floats] = []
    for part in parts:
        level = getattr(part, what.column).mean(axis=0)
        base = float(level @ _shares(part, reward, baseline))
        scale = (base if base > 0 else np.nan) if what.relative else 1.0
        rows.append(100.0 * (level - base) / scale)
    return np.array(rows)


def _shares(part: Trace, reward: Reward, baseline: str) -> Floats:
    """Return which share of a context's queries a baseline sends to each LLM."""
    n_models = len(part.models)
    control = BASELINES[baseline]
    if control is None:
        return np.full(n_models, 1.0 / n_models)
    return np.eye(n_models)[part.models.index(control.bind(part, reward).model)]


class Together(NamedTuple):
    """Whether stated numbers can be met together, and how near a router can come.

    Attributes
    ----------
    met : bool
        Whether one router meets each within the tolerance.
    shortfall : float
        By how much the worst of them is missed where a router comes nearest, percent or
        points; negative where each can be exceeded.
    reached : dict of (str, str) to float
        What that router reaches.
    mixture : ndarray, (n_contexts, n_models)
        Its shares.
    """

    met: bool
    shortfall: float
    reached: dict[tuple[str, str], float]
    mixture: Floats


def feasible(
    trace: Trace,
    reward: Reward,
    wanted: Mapping[tuple[str, str], float],
    tolerance: float = 0.0,
    exactly: bool = False,
) -> Together:
    """Return whether one query-blind router can meet several stated numbers.

    It is the linear programme: the least s such that some shares w_cj >= 0, summing to
    1 in each context, miss no number by more than s.

    Parameters
    ----------
    trace : Trace
    reward : Reward
        By which the best single LLM is the best.
    wanted : dict of (str, str) to float
        ``{(measure, baseline): stated change}``, in percent or points.
    tolerance : float
        By how much each may be missed.
    exactly : bool
        Whether a number is also missed by more than is stated; by default at least as
        good is good enough (a lower cost, a higher accuracy).

    Returns
    -------
    Together

    Raises
    ------
    InputError
        Nothing wanted, an unknown name, a number that is not finite, or a change
        relative to a baseline that is 0.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11")
    >>> feasible(trace, pk.Reward(), {("latency", "random"): -52.0}).met
    False
    """
    from scipy.optimize import linprog

    _require_numbers(wanted, tolerance)
    parts = _parts(trace)
    each = [_linear(parts, reward, *pair) for pair in wanted]
    n_contexts, n_models = len(trace.contexts), len(trace.models)
    rows, ends = [], []
    for (pair, stated), change in zip(wanted.items(), each, strict=True):
        sign = 1.0 if MEASURES[pair[0]].less_is_better else -1.0
        for side in (sign, -sign) if exactly else (sign,):
            rows.append(np.append(side * change, -1.0))
            ends.append(side * stated)
    each_sum = np.kron(np.eye(n_contexts), np.ones(n_models))
    found = linprog(
        np.append(np.zeros(n_contexts * n_models), 1.0),
        A_ub=np.array(rows),
        b_ub=np.array(ends),
        A_eq=np.column_stack([each_sum, np.zeros(n_contexts)]),
        b_eq=np.ones(n_contexts),
        bounds=[(0, None)] * (n_contexts * n_models) + [(None, None)],
        method="highs",
    )
    shares = found.x[:-1]
    reached = {
        pair: float(change @ shares) for pair, change in zip(wanted, each, strict=True)
    }
    shortfall = float(found.x[-1])
    met = shortfall <= tolerance + ROUNDING
    return Together(met, shortfall, reached, shares.reshape(n_contexts, n_models))


def _linear(parts: list[Trace], reward: Reward, measure: str, baseline: str) -> Floats:
    """Return the coefficients of a measure in all shares, context by context."""
    change = _changes(parts, reward, measure, baseline)
    if np.isnan(change).any():
        raise InputError(
            f"attainable: {measure} relative to {baseline!r} says nothing, got 0 there"
            " in a context; leave that number out"
        )
    return change.ravel() / len(change)


def _require_numbers(wanted: Mapping[tuple[str, str], float], tolerance: float) -> None:
    """Refuse a question without numbers."""
    if not wanted:
        raise InputError(
            "attainable: no number is wanted, got {}; give a change for each (measure,"
            " baseline)"
        )
    for name, value in [*wanted.items(), ("tolerance", tolerance)]:
        if not np.isfinite(value):
            raise InputError(
                f"attainable: {name} must be a finite number, got {value!r}; correct it"
            )
