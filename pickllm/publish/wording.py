"""How numbers read in the report, in tables for a paper, and in sentences."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

#: Ends of the interval for queries like these.
WIDER = ("low_queries", "high_queries")


def percent(value: float) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> percent(0.1234)
    '12.3 %'
    """
    return f"{100 * value:.1f} %"


def percent_change(value: float) -> str:
    """Return a relative change in percent, with its sign.

    Examples
    --------
    >>> percent_change(0.1234)
    '+12.3 %'
    """
    return f"{100 * value:+.1f} %"


def with_interval(
    value: float, low: float, high: float, form: Callable[[float], str]
) -> str:
    """Return a number with its interval.

    Parameters
    ----------
    value, low, high : float
        Missing where not a number.
    form : callable
        Number -> text.

    Returns
    -------
    str
        Empty without a value, and without the interval where there is none.

    Examples
    --------
    >>> with_interval(0.5, 0.4, 0.6, percent)
    '50.0 % (40.0 % to 60.0 %)'
    """
    if pd.isna(value):
        return ""
    if pd.isna(low) or pd.isna(high):
        return form(value)
    return f"{form(value)} ({form(low)} to {form(high)})"


def claim_rows(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the claims as a reader sees them.

    Parameters
    ----------
    claims : pandas.DataFrame
        The table of claims.

    Returns
    -------
    list of dict
        Each row's cells, and as text ``stated``, ``value``, ``interval`` (for these
        queries), ``interval_queries`` (for queries like these), ``random`` (what random
        choice has) and ``attainable`` (what a router can reach that does not see the
        query); each empty where it is not known.
    """
    rows = []
    for claim in claims.to_dict("records"):
        unit = claim["unit"]
        stated = value = interval = ""
        if not pd.isna(claim["paper_value"]):
            stated = f"{claim['paper_value']:+g}{_ending(unit)}"
        if not pd.isna(claim["measured"]):
            value = f"{_number(claim['measured'], unit)}{_ending(unit)}"
            interval = _range(claim["low"], claim["high"], unit)
        low, high = (claim.get(name, float("nan")) for name in WIDER)
        texts = {"stated": stated, "value": value, "interval": interval}
        texts["random"] = _known(claim.get("random"), unit)
        texts["attainable"] = _range(
            claim.get("least", math.nan), claim.get("most", math.nan), unit
        )
        rows.append(claim | texts | {"interval_queries": _range(low, high, unit)})
    return rows


def headline_rows(headlines: pd.DataFrame) -> list[list[str]]:
    """Return the headline claims as a reader sees them: a row of cells each.

    Parameters
    ----------
    headlines : pandas.DataFrame
        Of `analysis.headlines.headlines`.

    Returns
    -------
    list of list of str
        The claim; for each learner the verdict and the share of worlds; and what
        decides, learner by learner where they differ.
    """
    rows = []
    for _, part in headlines.groupby("id", sort=False):
        cells = [str(part.words.iloc[0])]
        for one in part.itertuples():
            cells += [str(one.verdict), _worlds(one.least, one.most)]
        decided = dict.fromkeys(filter(None, part.decided_by))
        rows.append([*cells, "; ".join(decided)])
    return rows


def _worlds(least: Any, most: Any) -> str:
    """Return a share of worlds, or its range over traces."""
    if pd.isna(least):
        return ""
    ends = dict.fromkeys(f"{end:.0f}" for end in (least, most))
    return f"{' to '.join(ends)} %"


def _range(low: float, high: float, unit: str) -> str:
    if pd.isna(low) or pd.isna(high):
        return ""
    return f"{_number(low, unit)} to {_number(high, unit)}"


def _known(value: Any, unit: str) -> str:
    return "" if value is None or pd.isna(value) else _number(value, unit)


def _number(value: float, unit: str) -> str:
    if unit == "of contexts":
        return f"{100 * value:.0f} %"
    if unit in ("%", "points"):
        return f"{value:+.1f}"
    return f"{value:.1f}"


def _ending(unit: str) -> str:
    """Return what follows a number; a share of contexts has its sign in each."""
    if unit == "of contexts":
        return ""
    return " %" if unit == "% of sessions" else f" {unit}"
