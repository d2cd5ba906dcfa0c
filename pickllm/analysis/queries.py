"""How well the measured queries speak for others like them.

A trace holds some hundred queries a context. An interval over sessions says how well a
number is known for these queries; for queries like these it is wider. Each context's
queries are drawn again, as many as were measured; sessions are replayed on every such
resample; and what numbers vary by from resample to resample, beyond what their sessions
account for, is the share of the queries (the bootstrap: Efron 1979, *Annals of
Statistics* 7; its nested form with the inner variance taken off: Sun, Apley and Staum
2011, *Operations Research* 59).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from .. import experiments
from ..core.prepared import Tables
from ..core.reward import Reward
from ..core.trace import OUTCOMES, Trace
from ..errors import InputError
from ..sweeps.run import sweep
from .claims import CLAIMS, Claim
from .means import MEAN
from .outcomes import n_measured
from .verdicts import MEASURES, Estimate, Evidence, Measured

#: Measures that sessions of the main comparison give.
RESAMPLED = ("change", "difference", "best share", "locked", "locked on best")
#: Resamples, and sessions on each.
RESAMPLES, SESSIONS = 30, 200
#: Columns of the sessions that the measures read, beside the share of each LLM.
COLUMNS = (
    "context",
    "learner",
    "session",
    "cost_usd",
    "latency_ms",
    "accuracy",
    "locked_at",
    "locked_on_best",
    "top_model",
)
#: Resamples that say how often an LLM stays the best: no session is replayed.
REPEATS = 2000


def resample(trace: Trace, seed: int = 0, number: int = 0) -> Trace:
    """Return a trace of as many queries as were measured, drawn with replacement.

    From a measured trace this is a bootstrap of its rows; from the sample of a summary,
    a parametric one: the sample stands for the law that the rows were drawn from.

    Parameters
    ----------
    trace : Trace
    seed, number : int
        Each number is another resample.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    >>> trace.n_queries, resample(trace).n_queries
    (5000, 70)
    """
    sizes = n_measured(trace)
    rng = np.random.default_rng([seed, number])
    rows = np.concatenate(
        [
            rng.choice(np.flatnonzero(trace.context == context), size)
            for context, size in sizes.items()
        ]
    )
    names = (*OUTCOMES, "query_id", "context")
    drawn: dict[str, Any] = {name: getattr(trace, name)[rows] for name in names}
    extra = {name: values[rows] for name, values in trace.extra.items()}
    return replace(trace, **drawn, extra=extra, sample_of=None)


def spreads(  # noqa: PLR0913 - those of a sweep
    trace: Trace,
    reward: Reward | None = None,
    learning_rate: float = experiments.RATE,
    resamples: int = RESAMPLES,
    sessions: int = SESSIONS,
    queries: int = 1000,
    seed: int = 0,
    claims: Sequence[Claim] = CLAIMS,
) -> pd.DataFrame:
    """Return by how much other queries of the same law would move each claim's measure.

    Parameters
    ----------
    trace : Trace
    reward : Reward, optional
        By default the study's main one.
    learning_rate : float
    resamples : int
        >= 2.
    sessions, queries : int
        Of each resample; every resample has sessions of its own.
    seed : int
    claims : sequence of Claim
        Those whose measure is among `RESAMPLED` are measured.

    Returns
    -------
    pandas.DataFrame
        A row per claim and context, and "mean" for all contexts: ``id``, ``context``,
        ``spread`` (standard deviation over queries, in the claim's unit; the sessions'
        own share of the variance is taken off), ``of_sessions`` (that share, a standard
        deviation too), ``resamples``.

    Raises
    ------
    InputError
        Fewer than two resamples.
    """
    if resamples < 2:
        raise InputError(
            f"spreads: resamples must be >= 2, got {resamples!r}; 30 is usual"
        )
    reward = experiments.reward() if reward is None else reward
    strategies = experiments.routers(learning_rate) | blind_controls()
    measured = [claim for claim in claims if claim.measure in RESAMPLED]
    rows: list[tuple[Any, ...]] = []
    for number in range(resamples):
        drawn = resample(trace, seed, number)
        options: dict[str, Any] = {"sessions": sessions, "queries": queries}
        table = sweep(drawn, reward, strategies, seed=seed + 1 + number, **options)
        columns = [c for c in table if c in COLUMNS or c.startswith("share:")]
        rows += _measure_each(measured, pd.DataFrame(table[columns]))
    frame = pd.DataFrame(rows, columns=["id", "context", *Estimate._fields])
    return _split(frame, resamples, sessions)


def blind_controls() -> dict[str, Any]:
    """Return the controls that do not see a query's outcomes."""
    return {k: v for k, v in experiments.CONTROLS.items() if k != "oracle"}


def _measure_each(
    claims: Sequence[Claim], table: pd.DataFrame
) -> Iterator[tuple[Any, ...]]:
    """Yield id, context, value, low and high of every claim on one resample.

    Claims that measure the same are measured once.
    """
    evidence = Evidence(table, {}, pd.DataFrame())
    contexts = list(dict.fromkeys(table.context))
    known: dict[tuple[str, ...], Measured] = {}
    for claim in claims:
        what = (claim.measure, claim.column, claim.learner, claim.baseline)
        if what not in known:
            known[what] = MEASURES[claim.measure](claim, evidence)
        found = known[what]
        yield claim.id, MEAN, *found.estimate
        for context, estimate in zip(contexts, found.contexts, strict=True):
            yield claim.id, _as_context(context), *estimate


def _as_context(name: str) -> str:
    return f"{MEAN} (a context)" if name == MEAN else name


def _split(frame: pd.DataFrame, resamples: int, sessions: int) -> pd.DataFrame:
    """Return the variance between resamples without what sessions add to it."""
    from scipy.stats import t

    half = (frame.high - frame.low) / 2
    within = (half / t.ppf(0.975, sessions - 1)) ** 2 if sessions > 1 else half * np.nan
    groups = frame.assign(within=within).groupby(["id", "context"], sort=False)
    between = groups.value.var(ddof=1)
    inside = groups.within.mean()
    found = pd.DataFrame(
        {
            "spread": np.sqrt((between - inside.fillna(0.0)).clip(lower=0.0)),
            "of_sessions": np.sqrt(inside),
            "resamples": resamples,
        }
    )
    return found.reset_index()


def best_stays_best(
    trace: Trace,
    reward: Reward | None = None,
    resamples: int = REPEATS,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how often the LLM that is best in a context is best of a resample, too.

    Parameters
    ----------
    trace : Trace
    reward : Reward, optional
        By default the study's main one.
    resamples, seed : int

    Returns
    -------
    pandas.DataFrame
        ``context``, ``queries`` (measured), ``model`` (the best), ``stays`` (share of
        resamples of the context's queries), ``rival`` (best in most of the others) and
        ``lead`` (mean raw reward over the second best's).

    Examples
    --------
    >>> import pickllm as pk
    >>> found = best_stays_best(pk.load_trace("bfcl-2024-08-11").select(context="rest"))
    >>> found["queries"].tolist(), bool((found.stays > 0.25).all())
    ([70], True)
    """
    reward = experiments.reward() if reward is None else reward
    rows = []
    for number, (context, size) in enumerate(n_measured(trace).items()):
        part = trace.select(context=context)
        raw = Tables.of(part, reward).raw
        rng = np.random.default_rng([seed, number])
        each = np.full(part.n_queries, 1 / part.n_queries)
        best = (rng.multinomial(size, each, resamples) @ raw).argmax(axis=1)
        wins = np.bincount(best, minlength=len(part.models)) / resamples
        means = raw.mean(axis=0)
        order = np.argsort(-means, kind="stable")
        first = order[0]
        lead = means[first] - means[order[1]] if len(order) > 1 else np.nan
        others = np.where(np.arange(len(wins)) == first, -1.0, wins)
        rival = part.models[others.argmax()] if others.max() > 0 else ""
        rows.append((context, size, part.models[first], wins[first], rival, lead))
    columns = ["context", "queries", "model", "stays", "rival", "lead"]
    return pd.DataFrame(rows, columns=columns)
