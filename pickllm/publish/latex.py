r"""A study's numbers as LaTeX: characters, quantities, and ``\newcommand`` lines."""

import os
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from .. import experiments
from ..analysis.verdicts import VERDICTS
from ..study import provenance
from .wording import claim_rows

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}
#: A command's name is of letters only.
DIGITS = (
    "Zero",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
)


def escape(text: Any) -> str:
    r"""Return text with LaTeX's special characters escaped.

    The automaton's name is set as mathematics.

    Examples
    --------
    >>> print(escape("-60 % of {L_R-I} & java_js"))
    -60 \% of \{$L_{R-I}$\} \& java\_js
    """
    escaped = [
        "".join(SPECIAL.get(character, character) for character in part)
        for part in str(text).split("L_R-I")
    ]
    return "$L_{R-I}$".join(escaped)


def quantity(text: str) -> str:
    r"""Return a number with its unit, as LaTeX sets it.

    Examples
    --------
    >>> print(quantity("-63.2 %"), quantity("-5.4 points"), quantity("99.1"))
    $-63.2$\,\% $-5.4$ points $99.1$
    """
    number, _, unit = text.partition(" ")
    if unit == "%":
        return rf"${number}$\,\%"
    return f"${number}$ {escape(unit)}".rstrip()


def macro_name(text: str) -> str:
    r"""Return a LaTeX command's name for an id: each word and digit begins a word.

    Examples
    --------
    >>> macro_name("cost-60-lri-most-expensive")
    'pickllmCostSixZeroLriMostExpensive'
    """
    words = re.findall(r"[A-Za-z]+|[0-9]", text)
    named = [
        DIGITS[int(word)] if word.isdigit() else word[0].upper() + word[1:]
        for word in words
    ]
    return "pickllm" + "".join(named)


def macros(claims: pd.DataFrame, manifest: dict[str, Any], commit: str | None) -> str:
    r"""Return a study's numbers as LaTeX commands, each line with its source.

    Parameters
    ----------
    claims : pandas.DataFrame
        The table of claims.
    manifest : dict
        The study's manifest.
    commit : str or None
        Of the code that made the table of claims.

    Returns
    -------
    str
        ``\newcommand`` lines: per claim the value, and with ``Low``, ``High``,
        ``Stated``, ``Verdict`` after its name what the table has of these; then counts,
        sizes, commit and hashes.
    """
    run = manifest["figures"]["claims"]["run"]
    table = "figures/claims.csv"
    lines = [
        f"% pickllm run {run}: numbers as LaTeX commands; \\input this file in the"
        " preamble"
    ]
    for row, claim in enumerate(claim_rows(claims), start=1):
        for name, value, column in _of_claim(claim):
            source = f"{table}, row {row}, {column}, run {run}"
            lines.append(_command(name, value, source))
    for verdict in VERDICTS:
        count = int((claims.verdict == verdict).sum())
        source = f"{table}, rows with verdict '{verdict}', run {run}"
        lines.append(_command(macro_name(f"count {verdict}"), count, source))
    source = f"{table}, all rows, run {run}"
    lines.append(_command("pickllmCountClaims", len(claims), source))
    lines += [
        _command(name, value, f"figures/manifest.json, {place}")
        for name, value, place in [*_of_study(manifest), *_of_manifest(manifest)]
    ]
    made_by = manifest["figures"]["claims"]["made_by"]
    source = f"results/{made_by}.stamp, code"
    lines.append(_command("pickllmCommit", provenance.short(commit), source))
    return "\n".join(lines) + "\n"


def _command(name: str, value: Any, source: str) -> str:
    return f"\\newcommand{{\\{name}}}{{{value}}} % {source}"


def _of_claim(claim: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and source of each command of a claim."""
    name = macro_name(claim["id"])
    low, _, high = claim["interval"].partition(" to ")
    low_queries, _, high_queries = claim["interval_queries"].partition(" to ")
    texts = {
        "": (claim["value"], "measured"),
        "Low": (low, "low"),
        "High": (high, "high"),
        "LowQueries": (low_queries, "low_queries"),
        "HighQueries": (high_queries, "high_queries"),
        "Stated": (claim["stated"], "paper_value"),
    }
    for ending, (text, column) in texts.items():
        if text:
            yield name + ending, quantity(text), f"{column} of {claim['id']}"
    yield f"{name}Verdict", escape(claim["verdict"]), f"verdict of {claim['id']}"


def _of_study(manifest: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and source of the main sessions' sizes and trace."""
    main = f"sessions-{experiments.MAIN_WEIGHTS}"
    if main not in manifest["runs"]:
        return
    values = manifest["runs"][main]["parameters"]
    place = f"runs, {main}, parameters"
    for what in ("sessions", "queries", "seed"):
        yield macro_name(what), values[what], f"{place}, {what}"
    name = values["trace"]
    trace = manifest["traces"][name]
    yield "pickllmContexts", len(trace["contexts"]), f"traces, {name}, contexts"
    yield "pickllmTrace", escape(os.path.basename(name)), f"{place}, trace"
    yield "pickllmTraceHash", trace["sha256"][:12], f"traces, {name}, sha256"


def _of_manifest(manifest: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    yield "pickllmRun", manifest["figures"]["claims"]["run"], "figures, claims, run"
    yield "pickllmVersion", manifest["kit"], "kit"
