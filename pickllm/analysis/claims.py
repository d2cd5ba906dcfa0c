"""The claims: statement, source, the paper's value, our measure with its interval, and a verdict by rule.

Every rule below was written before the study was run, but for the last one; the report prints its outcome and nothing else.

- a stated value (for example -60 %): *reproduced* when the interval comes within `NEAR` percentage points
  of it; *partly* when the change has the stated sign with an interval that excludes 0; else *not reproduced*.
- a stated direction ("better"): *reproduced* when the mean over contexts lies on that side with an interval
  that excludes 0 and so does each of at least three quarters of the contexts; *partly* when only the mean
  or only at least half of the contexts do; else *not reproduced*.
- "competitive" accuracy: *reproduced* when the interval lies above -`MARGIN` percentage points; *partly*
  when the estimate does; else *not reproduced*.
- a share: *reproduced* when its interval lies at or above the bound stated with the claim; *partly* when the
  estimate is at least half of the bound; else *not reproduced*.
- a statement that outcomes cannot decide is *not testable*.

One rule was added when a first run showed how much Q-learning depends on which LLM the pool names first:
a verdict of *reproduced* that the same measure does not reach with the pool in reverse order becomes *partly*.

All measures use the main weight setting and learning rate of `experiments`; a relative change is the mean
over contexts of the change in means, paired by session.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .. import experiments
from ..core.statistics import difference, mean, relative_change, share, wide
import itertools

NEAR, MARGIN = 5.0, 5.0
REVERSED = "pool in reverse order"
COLUMNS = (
    "id",
    "statement",
    "source",
    "paper_value",
    "measured",
    "low",
    "high",
    "unit",
    "verdict",
    "reason",
)
ABSTRACT = "abstract"
NAMES = {"automaton": "L_R-I", "qlearning": "Q-learning"}
BASELINES = ("most expensive", "random", "best single", "cheapest")


@dataclass(frozen=True)
class Claim:
    """One statement to hold against the measurements.

    Attributes
    ----------
    id, statement, source : str
    measure : str
        Which function of this module measures it.
    value : float, optional
        As stated, in `unit`.
    unit : str
    learner, baseline, column : str
        Of whom, against whom, in which column of the sessions.
    """

    id: str
    statement: str
    source: str
    measure: str
    value: float = None
    unit: str = "%"
    learner: str = ""
    baseline: str = ""
    column: str = ""


def _against(number, text, source, measure, column, value, baselines):
    """Return the claim for both learners and every baseline that it may have meant."""
    return [
        Claim(
            f"{number}-{NAMES[learner].lower().replace('_', '').replace('-', '')}-{baseline.replace(' ', '-')}",
            f"{text}, against {_article(baseline)} ({NAMES[learner]})",
            source,
            measure,
            value,
            "%" if measure != "competitive" else "points",
            learner,
            baseline,
            column,
        )
        for baseline in baselines
        for learner in experiments.ROUTERS
    ]


def _article(baseline):
    return {
        "random": "random choice",
        "best single": "the best single LLM in hindsight",
    }.get(baseline, f"the {baseline} LLM")


CLAIMS = [
    *(
        Claim(
            f"converges-{n.lower().replace('_', '').replace('-', '')}",
            "the router converges to a single LLM for the remaining queries of the"
            f" session ({n})",
            ABSTRACT,
            "locked",
            95.0,
            "% of sessions",
            learner,
        )
        for learner, n in NAMES.items()
    ),
    *(
        Claim(
            f"converges-right-{n.lower().replace('_', '').replace('-', '')}",
            f"the LLM that it converges to is the best one of the context ({n};"
            " implied, not stated)",
            "ours",
            "on_best",
            None,
            "% of sessions",
            learner,
        )
        for learner, n in NAMES.items()
    ),
    *(
        Claim(
            f"speed-{n.lower().replace('_', '').replace('-', '')}",
            "the learning rate sets the speed of convergence: a higher one locks"
            f" sooner ({n})",
            ABSTRACT,
            "speed",
            None,
            "of contexts",
            learner,
        )
        for learner, n in NAMES.items()
    ),
    *_against(
        "cost-better",
        "lower cost per querying session",
        ABSTRACT,
        "direction",
        "cost_usd",
        None,
        BASELINES,
    ),
    *_against(
        "latency-better",
        "lower overall response latency",
        ABSTRACT,
        "direction",
        "latency_ms",
        None,
        BASELINES,
    ),
    Claim(
        "update-lri",
        "the automaton's update is Linear Reward-Inaction on a probability vector",
        "secondary: two summaries",
        "method",
    ),
    Claim(
        "reward-ratio",
        "reward = (w_a a - w_c c) / (w_l log10(l) / t_scaling)",
        "secondary: emergentmind",
        "equation",
    ),
    Claim(
        "reward-product",
        "reward = w_a a - w_c c w_l log10(l) t_scaling",
        "secondary: themoonlight",
        "equation",
    ),
    *_against(
        "cost-60",
        "session cost -60 %",
        "secondary: rohan-paul.com, emergentmind",
        "stated",
        "cost_usd",
        -60.0,
        ("most expensive",),
    ),
    *_against(
        "latency-52",
        "mean latency -52 %",
        "secondary: rohan-paul.com",
        "stated",
        "latency_ms",
        -52.0,
        ("random",),
    ),
    *_against(
        "accuracy-competitive",
        "accuracy stays competitive",
        "secondary: rohan-paul.com",
        "competitive",
        "accuracy",
        None,
        ("most expensive", "best single"),
    ),
    *_against(
        "cost-20",
        "session cost -20 % (baseline not named)",
        "secondary: summary page",
        "stated",
        "cost_usd",
        -20.0,
        BASELINES,
    ),
    *_against(
        "latency-15",
        "latency -15 % (baseline not named)",
        "secondary: summary page",
        "stated",
        "latency_ms",
        -15.0,
        BASELINES,
    ),
    *_against(
        "accuracy-10",
        "selection accuracy +10 %, read as accuracy of the answers (baseline not"
        " named)",
        "secondary: summary page",
        "stated",
        "accuracy",
        10.0,
        BASELINES,
    ),
    *_against(
        "selection-10",
        "selection accuracy +10 %, read as the share of queries sent to the best LLM,"
        " in points",
        "secondary: summary page",
        "selection",
        "best_share",
        10.0,
        ("random",),
    ),
]


def judge(sessions, locking, checks=None):
    """Measure every claim and give its verdict.

    Parameters
    ----------
    sessions : pandas.DataFrame
        All strategies in all weight settings (column ``weights``), one row per session.
    locking : pandas.DataFrame
        `statistics.locking` by learner, context and learning_rate, main weights.
    checks : dict of str to pandas.DataFrame, optional
        Sessions of the main comparison with one thing changed, by what was changed;
        named in the reasons, and `REVERSED` may lower a verdict.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, and ``label``, a short name for the figure.
    """
    strategies = {*experiments.ROUTERS, *experiments.CONTROLS}
    sessions = {
        w: part[part.learner.isin(strategies)]
        for w, part in sessions.groupby("weights", sort=False)
    }
    main = sessions[experiments.MAIN_WEIGHTS]
    rows = []
    for claim in CLAIMS:
        measured, verdict, reason = _MEASURES[claim.measure](
            claim, main, locking, sessions
        )
        if claim.column and np.isnan(measured[0]):
            measured, verdict, reason = (
                (np.nan,) * 3,
                "not testable",
                (
                    f"a change relative to {_article(claim.baseline)}, whose cost is 0"
                    " in a context, says nothing"
                ),
            )
        reverse = (checks or {}).get(REVERSED)
        if (
            reverse is not None
            and claim.column
            and verdict == "reproduced"
            and _MEASURES[claim.measure](claim, reverse, locking, sessions)[1]
            != verdict
        ):
            verdict, reason = "partly", f"not with the {REVERSED}; {reason}"
        for name, table in (
            (checks or {}).items()
            if claim.column and claim.measure != "selection"
            else ()
        ):
            other = _change(claim, table)
            reason += f"; {name} {other[0]:+.1f} ({other[1]:+.1f} to {other[2]:+.1f})"
        label = (
            f"{claim.column.removesuffix('_usd').removesuffix('_ms').replace('_', ' ')}:"
            f" {NAMES.get(claim.learner, '')} vs {claim.baseline}"
        )
        label += f", stated {claim.value:+g}" if claim.value is not None else ""
        rows.append(
            (
                claim.id,
                claim.statement,
                claim.source,
                np.nan if claim.measure == "locked" else claim.value,
                *measured,
                claim.unit,
                verdict,
                reason,
                label,
            )
        )
    return pd.DataFrame(rows, columns=[*COLUMNS, "label"])


def _change(claim, table, by_context=False):
    """(estimate, low, high) in percent, or in points for differences: over all contexts, or of each."""
    x, y = (
        wide(table, claim.column, claim.learner),
        wide(table, claim.column, claim.baseline),
    )
    how = (
        difference if claim.measure in ("competitive", "selection") else relative_change
    )
    each = [
        tuple(100 * v for v in how(x[:, columns], y[:, columns])[:3])
        for columns in (
            [[j] for j in range(x.shape[1])] if by_context else [slice(None)]
        )
    ]
    return each if by_context else each[0]


def _elsewhere(claim, sessions):
    """Return the same measure in the other weight settings, as a clause."""
    return ", ".join(
        f"{w} {_change(claim, part)[0]:+.1f}"
        for w, part in sessions.items()
        if w != experiments.MAIN_WEIGHTS
    )


def _stated(claim, main, locking, sessions):
    estimate, low, high = measured = _change(claim, main)
    near = low - NEAR <= claim.value <= high + NEAR
    sided = low > 0 if claim.value > 0 else high < 0
    verdict = "reproduced" if near else "partly" if sided else "not reproduced"
    each = [v[0] for v in _change(claim, main, by_context=True)]
    reason = (
        f"{abs(estimate - claim.value):.1f} points from the stated value; contexts"
        f" {min(each):+.1f} to {max(each):+.1f}; {_elsewhere(claim, sessions)}"
    )
    return measured, verdict, reason


def _direction(claim, main, locking, sessions):
    _, low, high = measured = _change(claim, main)
    each = _change(claim, main, by_context=True)
    holds = sum(v[2] < 0 for v in each)
    n = len(each)
    verdict = (
        "reproduced"
        if high < 0 and holds >= 0.75 * n
        else "partly"
        if high < 0 or holds >= 0.5 * n
        else "not reproduced"
    )
    return (
        measured,
        verdict,
        f"lower in {holds} of {n} contexts; {_elsewhere(claim, sessions)}",
    )


def _competitive(claim, main, locking, sessions):
    estimate, low, _ = measured = _change(claim, main)
    verdict = (
        "reproduced"
        if low > -MARGIN
        else "partly"
        if estimate > -MARGIN
        else "not reproduced"
    )
    each = [v[0] for v in _change(claim, main, by_context=True)]
    return (
        measured,
        verdict,
        (
            f"margin {MARGIN:g} points; contexts {min(each):+.1f} to {max(each):+.1f};"
            f" {_elsewhere(claim, sessions)}"
        ),
    )


def _selection(claim, main, locking, sessions):
    """Share of queries sent to the context's best LLM, against the control's, in percentage points."""
    table = pd.concat(
        [_with_best_share(part) for _, part in main.groupby("context", sort=False)]
    )
    table = pd.concat(
        [table[table.learner == name] for name in (claim.learner, claim.baseline)]
    )
    _, low, high = measured = _change(claim, table)
    near = low - NEAR <= claim.value <= high + NEAR
    verdict = "reproduced" if near else "partly" if low > 0 else "not reproduced"
    each = [v[0] for v in _change(claim, table, by_context=True)]
    return (
        measured,
        verdict,
        (
            f"{abs(measured[0] - claim.value):.1f} points from the stated value;"
            f" contexts {min(each):+.1f} to {max(each):+.1f}"
        ),
    )


def _with_best_share(part):
    best = part[part.learner == "best single"].top_model.iloc[0]
    return part.assign(best_share=part[f"share:{best}"])


def _share_of_sessions(claim, main, column):
    mine = main[main.learner == claim.learner]
    yes = (
        (mine.locked_at >= 0)
        if column == "locked"
        else mine.locked_on_best.fillna(False).astype(bool)
    )
    each = yes.groupby(mine.context).mean() * 100
    per_session = yes.to_numpy(float)
    table = mine.assign(yes=per_session)
    values = wide(table, "yes", claim.learner).mean(axis=1)
    estimate, low, high = (float(100 * v) for v in mean(values))
    if estimate in (0.0, 100.0):
        low, high = (
            float(100 * v) for v in share(int(per_session.sum()), len(per_session))[1:]
        )
    return (
        (estimate, max(low, 0.0), min(high, 100.0)),
        (
            f"contexts {each.min():.1f} to {each.max():.1f}; learning rate"
            f" {experiments.RATE:g}"
        ),
    )


def _locked(claim, main, locking, sessions):
    measured, reason = _share_of_sessions(claim, main, "locked")
    verdict = (
        "reproduced"
        if measured[1] >= claim.value
        else "partly"
        if measured[0] >= claim.value / 2
        else "not reproduced"
    )
    return measured, verdict, f"bound {claim.value:g} %; {reason}"


def _on_best(claim, main, locking, sessions):
    measured, reason = _share_of_sessions(claim, main, "on_best")
    verdict = (
        "reproduced"
        if measured[1] >= 95
        else "partly"
        if measured[0] >= 47.5
        else "not reproduced"
    )
    return measured, verdict, f"bound 95 %; {reason}"


def _speed(claim, main, locking, sessions):
    """Share of contexts in which every higher learning rate has a lower median time to lock (beyond the session = last)."""
    mine = locking[locking.learner == claim.learner]
    medians = mine.pivot(
        index="context", columns="learning_rate", values="median"
    ).fillna(np.inf)
    holds = [
        all(b < a or (np.isinf(a) and np.isinf(b)) for a, b in itertools.pairwise(row))
        for row in medians.to_numpy()
    ]
    estimate, low, high = share(sum(holds), len(holds))
    verdict = (
        "reproduced"
        if estimate == 1
        else "partly"
        if estimate >= 0.5
        else "not reproduced"
    )
    ends = medians.median()
    text = (
        f"in {sum(holds)} of {len(holds)} contexts; typical median {ends.iloc[0]:.0f}"
        f" queries at rate {ends.index[0]:g}, {ends.iloc[-1]:.0f} at {ends.index[-1]:g}".replace(
            "inf queries", "beyond the session"
        )
    )
    return (
        (float(estimate), float(low), float(high)),
        verdict,
        text.replace(" inf at", " beyond the session at"),
    )


def _not_testable(reason):
    return lambda claim, main, locking, sessions: (
        (np.nan,) * 3,
        "not testable",
        reason,
    )


_MEASURES = {
    "stated": _stated,
    "direction": _direction,
    "competitive": _competitive,
    "selection": _selection,
    "locked": _locked,
    "on_best": _on_best,
    "speed": _speed,
    "method": _not_testable(
        "a statement on the method, which outcomes cannot decide; implemented as stated"
    ),
    "equation": _not_testable(
        "which equation the paper used cannot be decided from outcomes; figure"
        " 'readings' shows what it changes"
    ),
}
