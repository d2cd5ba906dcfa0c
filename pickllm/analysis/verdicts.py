"""What was measured for each claim, and a verdict by rule.

Every rule below was written before the study was run, but for two. That of stated
values: their first one counted an interval that came within five points, under which
more values were reproduced the fewer sessions were run. And that of directions which
random choice has too, which can only lower a verdict. A rule is applied to the interval
for queries like these, where there is one (`queries.spreads`), else to that for these
queries.

- a stated value (for example -60 %): *reproduced* when the whole interval lies within a
  share `TOLERANCE` of it (-75 to -45 %); *not reproduced* when all of it lies outside;
  else *inconclusive*: a rule of equivalence, under which fewer sessions or queries make
  a value inconclusive, never reproduced. A quarter is the tolerance because a value
  rounded to a multiple of 5 or 10 is known no better than to about that where it is
  small (10 to 20), and as equivalence of two drugs is held to 80 to 125 % of a ratio.
- a stated direction ("better"): *reproduced* when the mean over contexts lies on that
  side with an interval that excludes 0 and so does each of at least three quarters of
  the contexts; *partly* when only the mean or only at least half of the contexts do;
  else *not reproduced*.
- "competitive" accuracy: *reproduced* when the interval lies above -`MARGIN` percentage
  points; *partly* when the estimate does; else *not reproduced*.
- a share of sessions: *reproduced* when its interval lies at or above `BOUND`; *partly*
  when the estimate is at least half of it; else *not reproduced*.
- a share of contexts: *reproduced* when it is all of them; *partly* when it is at least
  half; else *not reproduced*.
- a direction that random choice has too, against the same baseline, is *not
  informative*: a learner need not learn anything for it.
- a statement that outcomes cannot decide is *not testable*.

All measures use the main weight setting and learning rate of `experiments`; a relative
change is the mean over contexts of the change in means, paired by session.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from .. import experiments
from ..core.statistics import share, share_of_contexts
from .claims import ARTICLES, CLAIMS, Claim
from .means import MEAN
from .pairs import difference, relative_change, wide

#: How far from a stated value one may be, as a share of it.
TOLERANCE = 0.25
#: Percentage points, and a share in percent, that the rules name.
MARGIN = 5.0
BOUND = 95.0
#: From the best to the worst.
VERDICTS = (
    "reproduced",
    "partly",
    "inconclusive",
    "not informative",
    "not reproduced",
    "not testable",
)
COLUMNS = (
    "id",
    "statement",
    "source",
    "paper_value",
    "measured",
    "low",
    "high",
    "low_queries",
    "high_queries",
    "unit",
    "verdict",
    "reason",
    "random",
    "least",
    "most",
)
#: What `beyond.attainable` calls a claim's measure, by its column and unit.
REACH = {
    ("cost_usd", "%"): "cost",
    ("latency_ms", "%"): "latency",
    ("accuracy", "points"): "accuracy",
    ("accuracy", "%"): "relative accuracy",
}


class Estimate(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


NOTHING = Estimate(np.nan, np.nan, np.nan)


class Measured(NamedTuple):
    """What a measure found.

    Attributes
    ----------
    estimate : Estimate
        Over all contexts.
    contexts : sequence of Estimate
        Of each context.
    note : str
        What else a reason says.
    """

    estimate: Estimate
    contexts: Sequence[Estimate]
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """What claims are held against.

    Attributes
    ----------
    main : pandas.DataFrame
        Sessions of all strategies at the main weights, a row each.
    others : dict of str to pandas.DataFrame
        The same at the other weight settings.
    locking : pandas.DataFrame
        `statistics.locking` by learner, context and learning_rate, main weights.
    """

    main: pd.DataFrame
    others: Mapping[str, pd.DataFrame]
    locking: pd.DataFrame


def judge(
    sessions: pd.DataFrame,
    locking: pd.DataFrame,
    checks: Mapping[str, pd.DataFrame] | None = None,
    claims: Sequence[Claim] = CLAIMS,
    spreads: pd.DataFrame | None = None,
    reach: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Measure claims and give their verdicts.

    Parameters
    ----------
    sessions : pandas.DataFrame
        All strategies in all weight settings (column ``weights``), one row per session.
    locking : pandas.DataFrame
        `statistics.locking` by learner, context and learning_rate, main weights.
    checks : dict of str to pandas.DataFrame, optional
        Sessions of the main comparison with one thing changed, by what was changed;
        named in the reasons, where they move no verdict.
    claims : sequence of Claim
    spreads : pandas.DataFrame, optional
        As `queries.spreads` gives. A verdict then goes by the wider interval, for
        queries like these; without it, or for a measure that is not in it, by that for
        these queries.
    reach : pandas.DataFrame, optional
        As `beyond.attainable.attainable` gives.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: ``low`` and ``high`` for these queries, ``low_queries`` and
        ``high_queries`` for queries like these; ``random``, what random choice reaches,
        and ``least`` and ``most`` that any router can which does not see the query.
    """
    strategies = {*experiments.ROUTERS, *experiments.CONTROLS}
    known = pd.DataFrame(sessions[sessions.learner.isin(strategies)])
    by_weights = known.groupby("weights", sort=False)
    settings = {str(weights): part for weights, part in by_weights}
    main = settings.pop(experiments.MAIN_WEIGHTS)
    evidence = Evidence(main, settings, locking)
    rows = []
    by_claim = _by_claim(spreads)
    for claim in claims:
        spread = by_claim.get(claim.id)
        found = _judged(claim, evidence, checks or {}, spread)
        estimate, wider, verdict, reason = found
        limits = _limits(claim, reach)
        verdict, reason = _in_their_light(claim, limits, verdict, reason)
        stated = np.nan if claim.value is None else claim.value
        said = (claim.id, claim.statement, claim.source, stated)
        ends = (*estimate, wider.low, wider.high)
        rows.append((*said, *ends, claim.unit, verdict, reason, *limits))
    return pd.DataFrame(rows, columns=list(COLUMNS))


class Limits(NamedTuple):
    """What random choice reaches, and the least and the most that can be reached."""

    random: float
    least: float
    most: float


UNKNOWN = Limits(np.nan, np.nan, np.nan)


def _limits(claim: Claim, reach: pd.DataFrame | None) -> Limits:
    """Return the limits of a claim's measure, where they are known."""
    name = REACH.get((claim.column, claim.unit))
    if reach is None or name is None:
        return UNKNOWN
    row = reach[(reach.measure == name) & (reach.baseline == claim.baseline)]
    if row.empty:
        return UNKNOWN
    (found,) = row[["random", "low", "high"]].to_numpy(float).tolist()
    return Limits(*found)


def _in_their_light(
    claim: Claim, limits: Limits, verdict: str, reason: str
) -> tuple[str, str]:
    """Return a verdict and its reason, in the light of what chance has and none can."""
    holds = verdict in ("reproduced", "partly")
    chance_too = claim.baseline != "random" and limits.random < 0
    if claim.rule == "lower" and holds and chance_too:
        clause = f"random choice has {limits.random:+.1f}"
        return "not informative", f"{clause}; {reason}"
    stated = claim.value
    if stated is not None and (stated < limits.least or stated > limits.most):
        ends = f"{limits.least:+.1f} to {limits.most:+.1f}"
        return (
            verdict,
            f"no router that does not see the query is beyond {ends}; {reason}",
        )
    return verdict, reason


def _by_claim(spreads: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    if spreads is None or spreads.empty:
        return {}
    return {str(name): part for name, part in spreads.groupby("id")}


def _judged(
    claim: Claim,
    evidence: Evidence,
    checks: Mapping[str, pd.DataFrame],
    spreads: pd.DataFrame | None,
) -> tuple[Estimate, Estimate, str, str]:
    """Return what was measured for one claim, for these queries and for such ones.

    Then the verdict, and the reason.
    """
    if claim.untestable:
        return NOTHING, NOTHING, "not testable", claim.untestable
    measured = MEASURES[claim.measure](claim, evidence)
    if np.isnan(measured.estimate.value):
        reason = (
            f"a change relative to {ARTICLES[claim.baseline]}, whose cost is 0 in a"
            " context, says nothing"
        )
        return NOTHING, NOTHING, "not testable", reason
    wider = _for_such_queries(claim, measured, spreads)
    verdict, clause = RULES[claim.rule](claim, wider)
    clauses = [clause, measured.note]
    if claim.measure in ("change", "difference"):
        for name, table in checks.items():
            value, low, high = _compared(claim, table)
            clauses.append(f"{name} {value:+.1f} ({low:+.1f} to {high:+.1f})")
    reason = "; ".join(filter(None, clauses))
    known = wider.estimate if spreads is not None else NOTHING
    return measured.estimate, known, verdict, reason


def widened(estimate: Estimate, spread: float, resamples: int) -> Estimate:
    """Return an estimate with its interval for queries like these.

    The distance of each end from the value, and that of Student's interval of the
    queries' spread, add up as squares.

    Parameters
    ----------
    estimate : Estimate
        With its interval for these queries.
    spread : float
        Standard deviation over queries; missing where it is not known.
    resamples : int
        That it rests on.

    Examples
    --------
    >>> wider = widened(Estimate(10.0, 7.0, 13.0), spread=2.0, resamples=100)
    >>> float(wider.low.round(2))
    5.03
    """
    from scipy.stats import t

    if np.isnan(spread) or np.isnan(estimate.low):
        return estimate
    value, low, high = estimate
    half = t.ppf(0.975, resamples - 1) * spread
    return Estimate(
        value, value - np.hypot(value - low, half), value + np.hypot(high - value, half)
    )


def _for_such_queries(
    claim: Claim, measured: Measured, spreads: pd.DataFrame | None
) -> Measured:
    """Return what was measured, with its intervals for queries like these."""
    if spreads is None:
        return measured
    resamples = int(spreads.resamples.iloc[0])
    everywhere = (spreads.context == MEAN).to_numpy()
    by_context = spreads.spread.to_numpy(float)
    (over_all,) = by_context[everywhere]
    estimates = [
        _within_reach(claim, widened(estimate, spread, resamples))
        for estimate, spread in zip(
            (measured.estimate, *measured.contexts),
            (over_all, *by_context[~everywhere]),
            strict=True,
        )
    ]
    return measured._replace(estimate=estimates[0], contexts=estimates[1:])


def _within_reach(claim: Claim, estimate: Estimate) -> Estimate:
    """Return an estimate whose interval ends where the measure does."""
    least, most = {"% of sessions": (0.0, 100.0), "%": (-100.0, np.inf)}.get(
        claim.unit, (-np.inf, np.inf)
    )
    return Estimate(estimate.value, max(estimate.low, least), min(estimate.high, most))


# Measures: a claim and the evidence -> what was measured


def _compared(claim: Claim, table: pd.DataFrame) -> Estimate:
    """Return a learner against its baseline over all contexts, in the claim's unit."""
    return _change(claim, *_pair(claim, table))


def _pair(claim: Claim, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the column of the learner and of its baseline, sessions by contexts."""
    mine = wide(table, claim.column, claim.learner)
    theirs = wide(table, claim.column, claim.baseline)
    return mine, theirs


def _change(claim: Claim, mine: np.ndarray, theirs: np.ndarray) -> Estimate:
    how = difference if claim.unit == "points" else relative_change
    return Estimate(*(100 * value for value in how(mine, theirs)[:3]))


def _each_and_all(claim: Claim, table: pd.DataFrame) -> Measured:
    mine, theirs = _pair(claim, table)
    contexts = [
        _change(claim, mine[:, [j]], theirs[:, [j]]) for j in range(mine.shape[1])
    ]
    return Measured(_change(claim, mine, theirs), contexts)


def _against_baseline(claim: Claim, evidence: Evidence) -> Measured:
    """Measure a column of a learner's sessions against its baseline's."""
    elsewhere = [
        f"{weights} {_compared(claim, table).value:+.1f}"
        for weights, table in evidence.others.items()
    ]
    measured = _each_and_all(claim, evidence.main)
    return measured._replace(note=", ".join(elsewhere))


def _best_share(claim: Claim, evidence: Evidence) -> Measured:
    """Measure the share of queries sent to the context's best LLM."""
    parts = []
    for _, part in evidence.main.groupby("context", sort=False):
        best = part[part.learner == "best single"].top_model.iloc[0]
        pair = part[part.learner.isin([claim.learner, claim.baseline])]
        parts.append(pair.assign(best_share=pair[f"share:{best}"]))
    return _each_and_all(claim, pd.concat(parts))


def _locked(claim: Claim, evidence: Evidence) -> Measured:
    mine = evidence.main[evidence.main.learner == claim.learner]
    return _share_of_sessions(claim, mine.assign(yes=mine.locked_at >= 0))


def _locked_on_best(claim: Claim, evidence: Evidence) -> Measured:
    mine = evidence.main[evidence.main.learner == claim.learner]
    right = mine.locked_on_best.fillna(False).astype(bool)
    return _share_of_sessions(claim, mine.assign(yes=right))


def _share_of_sessions(claim: Claim, mine: pd.DataFrame) -> Measured:
    """Measure the share of ``yes``, as the mean over contexts of paired sessions."""
    values = wide(mine.assign(yes=mine.yes.astype(float)), "yes", claim.learner)
    estimate = Estimate(*(float(100 * v) for v in share_of_contexts(values)))
    each = 100 * mine.groupby("context", sort=False).yes.mean()
    contexts = [Estimate(v, np.nan, np.nan) for v in each]
    return Measured(estimate, contexts, f"learning rate {experiments.RATE:g}")


def _speed(claim: Claim, evidence: Evidence) -> Measured:
    """Measure in which contexts every higher learning rate locks sooner.

    Sooner by the median; one beyond the session's end comes last.
    """
    mine = evidence.locking[evidence.locking.learner == claim.learner]
    medians = mine.pivot(index="context", columns="learning_rate", values="median")
    medians = medians.fillna(np.inf)
    holds = [_each_sooner(row) for row in medians.to_numpy()]
    estimate = Estimate(*(float(v) for v in share(sum(holds), len(holds))))
    contexts = [Estimate(float(one), np.nan, np.nan) for one in holds]
    typical = np.median(medians.to_numpy(), axis=0)
    slow = f"{_queries(typical[0], ' queries')} at rate {medians.columns[0]:g}"
    fast = f"{_queries(typical[-1])} at {medians.columns[-1]:g}"
    return Measured(estimate, contexts, f"typical median {slow}, {fast}")


def _each_sooner(medians: np.ndarray) -> bool:
    return all(
        later < sooner or np.isinf([sooner, later]).all()
        for sooner, later in itertools.pairwise(medians)
    )


def _queries(median: float, unit: str = "") -> str:
    return "beyond the session" if np.isinf(median) else f"{median:.0f}{unit}"


#: What can be measured, by the names that claims use.
MEASURES: dict[str, Callable[[Claim, Evidence], Measured]] = {
    "change": _against_baseline,
    "difference": _against_baseline,
    "best share": _best_share,
    "locked": _locked,
    "locked on best": _locked_on_best,
    "speed": _speed,
}


# Rules: a claim and what was measured -> verdict, and the clause that says why


def _verdict(reproduced: bool, partly: bool) -> str:
    if reproduced:
        return "reproduced"
    return "partly" if partly else "not reproduced"


def _span(measured: Measured, sign: str = "+") -> str:
    values = [context.value for context in measured.contexts]
    return f"contexts {min(values):{sign}.1f} to {max(values):{sign}.1f}"


def _stated(claim: Claim, measured: Measured) -> tuple[str, str]:
    value, low, high = measured.estimate
    stated = claim.value
    assert stated is not None
    reach = TOLERANCE * abs(stated)
    inside = stated - reach <= low and high <= stated + reach
    outside = high < stated - reach or low > stated + reach
    verdict = "not reproduced" if outside else "inconclusive"
    clause = (
        f"{abs(value - stated):.1f} points from the stated value, tolerance {reach:g}"
    )
    return "reproduced" if inside else verdict, f"{clause}; {_span(measured)}"


def _lower(claim: Claim, measured: Measured) -> tuple[str, str]:
    below = measured.estimate.high < 0
    holds = sum(context.high < 0 for context in measured.contexts)
    total = len(measured.contexts)
    verdict = _verdict(below and holds >= 0.75 * total, below or holds >= 0.5 * total)
    return verdict, f"lower in {holds} of {total} contexts"


def _competitive(claim: Claim, measured: Measured) -> tuple[str, str]:
    value, low, _ = measured.estimate
    clause = f"margin {MARGIN:g} points; {_span(measured)}"
    return _verdict(low > -MARGIN, value > -MARGIN), clause


def _share(claim: Claim, measured: Measured) -> tuple[str, str]:
    value, low, _ = measured.estimate
    clause = f"bound {BOUND:g} %; {_span(measured, '')}"
    return _verdict(low >= BOUND, value >= BOUND / 2), clause


def _contexts(claim: Claim, measured: Measured) -> tuple[str, str]:
    value = measured.estimate.value
    holds = sum(bool(context.value) for context in measured.contexts)
    clause = f"in {holds} of {len(measured.contexts)} contexts"
    return _verdict(value == 1, value >= 0.5), clause


#: How claims are judged, by the names that they use.
RULES: dict[str, Callable[[Claim, Measured], tuple[str, str]]] = {
    "stated": _stated,
    "lower": _lower,
    "competitive": _competitive,
    "share": _share,
    "contexts": _contexts,
}
