"""TraceSummary: a trace's shareable statistics, and a sample of the same law from them.

Under independent draws within a context a bandit's law depends only on each LLM's
distribution of (accuracy, tokens, latency); the oracle and paired controls need the
joint distribution of accuracies too. A summary therefore holds, per context, how often
each joint pattern of accuracy levels over the pool occurred, per LLM and level the
quantiles of tokens and latency with their rank correlations, and how far LLMs share
what is long, or slow, on one query (see `copula`). No row of the trace and no text is
in it. A summary of *each LLM on its own* holds no joint pattern: a learner's law needs
none, and the oracle's is then not known.

A *protected* summary is made so that every number in it speaks for at least
``min_cell`` queries of one context: rare patterns take the place of their nearest
neighbour before anything is counted, and values are replaced by the means of their
neighbours (univariate microaggregation: Domingo-Ferrer and Mateo-Sanz 2002, IEEE TKDE
14(1)) before any quantile or standard deviation is taken, so that no minimum, maximum,
quantile or spread is one query's own. Names of LLMs and contexts, and counts of
queries, are not hidden; nor is a query from somebody who knows all the others of its
group, or who holds two summaries that differ by it.
"""

import json
import pathlib
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.pool import Limits, Price
from ..core.trace import Trace
from ..errors import InputError
from ..files import written
from ..readers import read_json
from .copula import Shared, correlated, draw_shared, rank_correlation, shared_of

VARIABLES = ("input_tokens", "output_tokens", "latency_ms")
#: Also of a trace that brought its own costs, which no price list gives back.
OWN_COST = "cost_usd"
#: Probabilities of the stored quantiles: fine in both tails.
GRID = (
    0,
    0.005,
    0.01,
    0.02,
    0.03,
    0.05,
    *(round(x, 2) for x in np.arange(0.1, 0.91, 0.05)),
    0.925,
    0.95,
    0.96,
    0.97,
    0.98,
    0.985,
    0.99,
    0.995,
    1,
)
#: Distinct accuracies that are kept as they are; more become `BINS`.
MAX_LEVELS = 11
BINS = 10
#: A list of numbers in indented JSON.
NUMBERS = re.compile(r"\[\s+[-\d.e+,\s]+\]")
#: A context's statistics, as `TraceSummary` describes them.
Statistics = dict[str, Any]
#: Of sampled values: far more than was measured, and far fewer than those in which two
#: processors differ.
DECIMALS = {"input_tokens": 0, "output_tokens": 0, "latency_ms": 6, OWN_COST: 12}
FORMAT = 2
#: Older formats that are read: 1 knew nothing of what LLMs share on one query.
READ_TOO = (1,)


@dataclass(frozen=True, eq=False)
class TraceSummary:
    """Statistics of a trace that may be published where its rows may not.

    Attributes
    ----------
    name : str
    models : tuple of str
    limits : Limits
    prices : dict of str to Price
    contexts : dict
        Context -> ``{"n_queries", "levels", "patterns", "cells", "shared", "rows"}``:
        accuracy levels (values); patterns as ``[level of each LLM..., count]``, left
        out where they are not joint; cells ``{model: {level: {"n", "quantiles",
        "correlation"}}}``; shared ``{"loadings": {model: one a variable}, "shifts":
        {model: {level: one a variable}}}``; and means and standard deviations of the
        rows, kept to check a sample against.
    provenance : dict
        Source, licence and whatever else its reader needs.
    joint : bool
        Whether it says which LLMs are right together.
    """

    name: str
    models: tuple[str, ...]
    limits: Limits
    prices: dict[str, Price]
    contexts: dict[str, Statistics]
    provenance: dict[str, Any]
    joint: bool = True

    @classmethod
    def of(
        cls,
        trace: Trace,
        min_cell: int = 5,
        provenance: dict[str, Any] | None = None,
        protect: bool = False,
        joint: bool | None = None,
    ) -> "TraceSummary":
        """Return the summary of a trace.

        Parameters
        ----------
        trace : Trace
        min_cell : int
            A cell (LLM and accuracy level in a context) with fewer queries gives no
            quantiles of its own, which would be its rows; it takes those of all the
            LLM's answers in the context.
        provenance : dict, optional
        protect : bool
            Let no number speak for fewer than `min_cell` queries (see above), for
            outcomes that are not public.
        joint : bool, optional
            False: each LLM on its own. By default as the trace knows them.

        Examples
        --------
        >>> import pickllm as pk
        >>> trace = pk.load_trace("bfcl-2024-08-11")
        >>> pk.TraceSummary.of(trace, joint=False).sample(100).joint
        False
        """
        if not (isinstance(min_cell, int) and min_cell >= 1 + protect):
            raise InputError(
                f"summary: min_cell must be a whole number >= {1 + protect}, got"
                f" {min_cell!r}; 5 is usual"
            )
        parts = {c: trace.select(context=c) for c in trace.contexts}
        for c, part in parts.items():
            if part.n_queries < min_cell:
                raise InputError(
                    f"summary: context '{c}' must have at least {min_cell} queries, got"
                    f" {part.n_queries}, whose quantiles would be its rows; leave it"
                    " out, or lower min_cell"
                )
        joint = trace.joint if joint is None else joint
        if joint and not trace.joint:
            raise InputError(
                f"summary: joint=True needs joint accuracies, got {trace.name}, which"
                " holds each LLM on its own; leave joint out"
            )
        variables = VARIABLES if _priced(trace) else (*VARIABLES, OWN_COST)
        contexts = {
            c: _context_summary(part, min_cell, variables, protect, joint)
            for c, part in parts.items()
        }
        note: dict[str, Any] = {"trace": trace.name}
        if not protect:  # whoever knows all rows but one could try that one
            note["trace_sha256"] = trace.fingerprint()
        note["min_cell"] = min_cell
        if protect:
            note["protected"] = True
        note |= provenance or {}
        models, limits, prices = trace.models, trace.limits, trace.prices
        return cls(trace.name, models, limits, prices, contexts, note, joint)

    def disclosed(self) -> tuple[str, ...]:
        """Return what whoever reads the summary learns, as sentences, one a context."""
        k = self.provenance.get("min_cell")
        lines = []
        for context, s in self.contexts.items():
            known = "each LLM on its own"
            if self.joint:
                counts = [pattern[-1] for pattern in s["patterns"]]
                known = (
                    f"{len(counts)} joint accuracy patterns, the rarest of"
                    f" {min(counts)} queries"
                )
            sizes = [
                cell["n"] for levels in s["cells"].values() for cell in levels.values()
            ]
            cost = ", cost" if OWN_COST in _variables(s) else ""
            lines.append(
                f"context '{context}': {s['n_queries']} queries; {known}; quantiles,"
                f" means and correlations of tokens{cost} and latency in {len(sizes)}"
                f" cells, the smallest of {min(sizes)}"
            )
        if self.provenance.get("protected"):
            hidden = (
                f"every pattern, quantile and level of accuracy speaks for at least {k}"
                " queries"
            )
            return (*lines, f"{hidden}; names of LLMs and contexts stand as they are")
        shown = (
            "not protected: rare patterns are counted as they are, and the outermost"
            " quantiles are single queries' own values"
        )
        return (*lines, shown)

    def shift(self, trace: Trace) -> float:
        """Return how far protection moved an LLM's mean accuracy in a context, at most.

        Parameters
        ----------
        trace : Trace
            That the summary is of.
        """
        largest = 0.0
        for context, s in self.contexts.items():
            means = trace.select(context=context).accuracy.mean(axis=0)
            here = [s["rows"][model]["accuracy"][0] for model in self.models]
            largest = max(largest, np.abs(here - means).max())
        return float(largest)

    def save(self, path: str | pathlib.Path) -> None:
        """Write the summary as JSON."""
        fields = ("model", "vendor", "input_usd", "output_usd", "as_of", "source")
        _write(
            path,
            {
                "format": FORMAT,
                "name": self.name,
                "provenance": self.provenance,
                "models": list(self.models),
                "joint": self.joint,
                "limits": vars(self.limits),
                "prices": [
                    {f: getattr(p, f) for f in fields} for p in self.prices.values()
                ],
                "grid": list(GRID),
                "contexts": {c: _compact(s) for c, s in self.contexts.items()},
            },
        )

    @classmethod
    def load(cls, path: str | pathlib.Path) -> "TraceSummary":
        """Read a summary that `save` wrote.

        Raises
        ------
        MissingFileError, InputError
        """
        content = read_json(
            path, "trace summary", "write one with `pickllm summarise FILE`"
        )
        try:
            known = content["format"] in (FORMAT, *READ_TOO)
            if not known or tuple(content["grid"]) != GRID:
                raise InputError(
                    f"{path}: summary of format {content['format']}, this version reads"
                    f" {FORMAT}; write it again with `pickllm summarise`"
                )
            summary = cls(
                content["name"],
                tuple(content["models"]),
                Limits(**content["limits"]),
                {p["model"]: Price(**p) for p in content["prices"]},
                {c: _expanded(s) for c, s in content["contexts"].items()},
                content["provenance"],
                content["joint"] if content["format"] == FORMAT else True,
            )
            summary.sample(1)  # whatever a sample needs is there
        except InputError:
            raise
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: not a trace summary ({type(error).__name__}: {error}); write"
                " it again with `pickllm summarise`"
            ) from error
        return summary

    def sample(self, n_queries: int = 5000, seed: int = 0) -> Trace:
        """Return a trace of the same law.

        Patterns are drawn first (of a summary that is not joint, each LLM's levels),
        systematically, so that their counts are within one of the expected ones; then
        tokens and latency by copula and quantile function.

        Parameters
        ----------
        n_queries : int
            Per context, > 0.
        seed : int

        Returns
        -------
        Trace
            Costs are priced from the sampled tokens, or sampled where the trace brought
            its own.
        """
        if not n_queries >= 1:
            raise InputError(
                f"sample: n_queries must be >= 1, got {n_queries!r}; it counts queries"
                " per context"
            )
        parts = [
            _sample_context(s, self.models, self.joint, n_queries, (seed, i))
            for i, s in enumerate(self.contexts.values())
        ]
        columns: dict[str, Any] = {
            v: np.concatenate([p[v] for p in parts]) for v in parts[0]
        }
        own = columns.pop(OWN_COST, None)
        names = list(self.contexts)
        trace = Trace(
            models=self.models,
            query_id=np.array(
                [f"{c}-{i:05d}" for c in names for i in range(n_queries)]
            ),
            context=np.repeat(names, n_queries),
            cost_usd=np.zeros_like(columns["accuracy"]) if own is None else own,
            prices=self.prices,
            limits=self.limits,
            name=self.name,
            sample_of=self,
            joint=self.joint,
            **columns,
        )
        return trace.reprice(self.prices) if own is None else trace


def _priced(trace: Trace) -> bool:
    """Whether the price list gives the costs back; not where a trace had its own."""
    if not all(m in trace.prices for m in trace.models):
        return False
    cost = trace.reprice(trace.prices).cost_usd
    return np.allclose(cost, trace.cost_usd, rtol=1e-9, atol=0)


def _variables(context: Statistics) -> tuple[str, ...]:
    """Return the names behind a context's quantiles, in their order."""
    cells = next(iter(context["cells"].values()))
    width = len(next(iter(cells.values()))["quantiles"])
    return (*VARIABLES, OWN_COST)[:width]


def _levels(accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of accuracy, and the position of each answer's in them.

    As they are where they are few, else in bins of equal counts by their means.
    """
    values, codes = np.unique(accuracy, return_inverse=True)
    if len(values) > MAX_LEVELS:
        order = np.argsort(accuracy, axis=None, kind="stable")
        rank = np.argsort(order, kind="stable")
        codes = rank * BINS // accuracy.size
        values = np.array([accuracy.ravel()[codes == k].mean() for k in range(BINS)])
    return values, codes.reshape(accuracy.shape)


def _merged(codes: np.ndarray, least: int) -> np.ndarray:
    """Return codes in which every joint pattern stands for at least `least` queries.

    The rarest pattern takes the codes of its nearest, until none is rarer than `least`;
    distance is the number of levels between two patterns, over all LLMs. Among equally
    near ones it takes the one that best makes up for what earlier merging moved the
    LLMs' mean levels by, then the commonest.

    Parameters
    ----------
    codes : ndarray of int, (n_queries, n_models)
        With at least `least` queries.

    Examples
    --------
    >>> _merged(np.array([[0, 0]] * 5 + [[0, 1]] * 6 + [[1, 1]]), 5)[-1].tolist()
    [0, 1]
    """
    patterns, member, counts = np.unique(
        codes, axis=0, return_inverse=True, return_counts=True
    )
    becomes = np.arange(len(patterns))
    counts = counts.astype(float)
    moved = np.zeros(codes.shape[1])
    while len(patterns) > 1 and counts.min() < least:
        rare = int(counts.argmin())
        distance = np.abs(patterns - patterns[rare]).sum(axis=1).astype(float)
        distance[rare] = np.inf
        distance[np.isinf(counts)] = np.inf
        nearest = np.flatnonzero(distance == distance.min())
        moves = moved + counts[rare] * (patterns[nearest] - patterns[rare])
        choice = np.lexsort((-counts[nearest], np.abs(moves).sum(axis=1)))[0]
        near = int(nearest[choice])
        moved = moves[choice]
        counts[near] += counts[rare]
        counts[rare] = np.inf  # gone
        becomes[becomes == rare] = near
    return patterns[becomes[member.ravel()]]


def _common_levels(
    values: np.ndarray, codes: np.ndarray, least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return levels that at least `least` queries have, of any LLM, and their codes.

    A rarer one joins its nearest. The two get the value of the one that is common
    enough to show its own, else their answers' mean.

    Examples
    --------
    >>> codes = np.array([[0]] * 5 + [[1]] + [[2]] * 6)
    >>> _common_levels(np.array([0.0, 0.37, 1.0]), codes, 5)[0].tolist()
    [0.0, 1.0]
    """
    values = values.copy()
    codes = codes.copy()
    while True:
        levels, answers = np.unique(codes, return_counts=True)
        queries = np.array([(codes == level).any(axis=1).sum() for level in levels])
        rare = int(queries.argmin())
        if queries[rare] >= least or len(levels) == 1:
            used, codes = np.unique(codes, return_inverse=True)
            return values[used], codes.reshape(len(codes), -1)
        gap = np.abs(values[levels] - values[levels[rare]])
        gap[rare] = np.inf
        near = int(gap.argmin())
        if queries[near] < least:
            values[levels[near]] = np.average(
                values[levels[[rare, near]]], weights=answers[[rare, near]]
            )
        codes[codes == levels[rare]] = levels[near]


def _protected_levels(
    accuracy: np.ndarray, least: int, joint: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return levels and codes; each level and pattern has `least` queries.

    Where patterns are not joint, each LLM's levels are patterns of their own.
    """
    values, codes = _common_levels(*_levels(accuracy), least)
    if joint:
        codes = _merged(codes, least)
    else:
        codes = np.hstack([_merged(column[:, None], least) for column in codes.T])
    used, codes = np.unique(codes, return_inverse=True)
    return values[used], codes.reshape(accuracy.shape)


def _microaggregated(data: np.ndarray, least: int) -> np.ndarray:
    """Return each row's values as means of groups of at least `least` neighbours."""
    out = np.empty_like(data)
    for row, values in zip(out, data, strict=True):
        order = np.argsort(values, kind="stable")
        for group in np.array_split(order, max(1, len(values) // least)):
            row[group] = values[group].mean()
    return out


def _context_summary(
    trace: Trace, min_cell: int, variables: tuple[str, ...], protect: bool, joint: bool
) -> Statistics:
    """Return the statistics of a trace of one context."""
    if protect:
        values, codes = _protected_levels(trace.accuracy, min_cell, joint)
        trace = replace(trace, accuracy=values[codes])
    else:
        values, codes = _levels(trace.accuracy)
    patterns, counts = np.unique(codes, axis=0, return_counts=True)
    data = np.stack([getattr(trace, v) for v in variables])
    shared = shared_of(data, codes if joint else None, min_cell)
    known = {"patterns": np.column_stack([patterns, counts]).tolist()} if joint else {}
    least = min_cell if protect else 1
    return {
        "n_queries": trace.n_queries,
        "levels": values.tolist(),
        **known,
        "cells": {
            model: _cells(data[:, :, j], codes[:, j], min_cell, least)
            for j, model in enumerate(trace.models)
        },
        "shared": _listed(shared, trace.models),
        "rows": {
            model: _moments(trace, j, least) for j, model in enumerate(trace.models)
        },
    }


def _cells(
    data: np.ndarray, codes: np.ndarray, min_cell: int, least: int
) -> dict[int, Statistics]:
    """Return the statistics of one LLM's answers, (n_variables, n), by level."""
    cells = {}
    for level in np.unique(codes):
        mine = codes == level
        enough = data[:, mine] if mine.sum() >= min_cell else data
        cells[int(level)] = {"n": int(mine.sum())} | _cell(enough, least)
    return cells


def _moments(trace: Trace, j: int, least: int) -> dict[str, list[float]]:
    """Return mean and standard deviation of each outcome of an LLM.

    A spread is that of means of `least` neighbours: one outlier's square would give it
    away.
    """
    moments = {}
    for v in ("accuracy", OWN_COST, *VARIABLES):
        column = getattr(trace, v)[:, j]
        spread = column if v == "accuracy" else _microaggregated(column[None], least)
        moments[v] = [float(column.mean()), float(spread.std())]
    return moments


def _listed(shared: Shared, models: tuple[str, ...]) -> Statistics:
    """Return what LLMs share as plain data, by LLM."""
    listed: Statistics = {
        "loadings": {m: shared.loadings[j].tolist() for j, m in enumerate(models)}
    }
    if shared.shifts:
        listed["shifts"] = {m: {} for m in models}
        for (j, level), shift in shared.shifts.items():
            listed["shifts"][models[j]][level] = shift.tolist()
    return listed


def _shared(context: Statistics, models: tuple[str, ...]) -> Shared:
    """Return what `_listed` listed; nothing is shared where it is not stated."""
    width = len(_variables(context))
    if "shared" not in context:
        return Shared(np.zeros((len(models), width)), {})
    stated = context["shared"]
    return Shared(
        np.array([stated["loadings"][m] for m in models]).reshape(len(models), width),
        {
            (j, level): np.array(shift)
            for j, m in enumerate(models)
            for level, shift in stated.get("shifts", {}).get(m, {}).items()
        },
    )


def _cell(data: np.ndarray, least: int = 1) -> Statistics:
    """Return each variable's quantiles, and the variables' rank correlations."""
    rho = rank_correlation(data)
    if least > 1:
        data = _microaggregated(data, least)
    return {
        "quantiles": [np.quantile(row, GRID, method="hazen").tolist() for row in data],
        "correlation": rho.tolist(),
    }


def _compact(context: Statistics) -> Statistics:
    """Return a context's statistics, for the file, rounded to what they can bear."""
    cells = {
        m: {k: _rounded(cell) for k, cell in levels.items()}
        for m, levels in context["cells"].items()
    }
    rows = {
        m: {v: [float(f"{x:.8g}") for x in pair] for v, pair in r.items()}
        for m, r in context["rows"].items()
    }
    shared = _mapped(context["shared"], lambda numbers: [round(x, 6) for x in numbers])
    return context | {"cells": cells, "shared": shared, "rows": rows}


def _mapped(tree: Any, function: Any) -> Any:
    """Return nested dicts with a function's values in place of their lists."""
    if isinstance(tree, dict):
        return {key: _mapped(part, function) for key, part in tree.items()}
    return function(tree)


def _write(path: str | pathlib.Path, content: Statistics) -> None:
    """Write plain data as indented JSON, each list of numbers on one line."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    text = NUMBERS.sub(lambda found: re.sub(r"\s+", "", found[0]), text)
    with written(path) as file:
        file.write(text + "\n")


def _rounded(cell: Statistics) -> Statistics:
    return {
        "n": cell["n"],
        "quantiles": [[float(f"{x:.6g}") for x in row] for row in cell["quantiles"]],
        "correlation": [round(x, 4) for x in cell["correlation"]],
    }


def _expanded(context: Statistics) -> Statistics:
    """Return what `_compact` made, with accuracy levels as numbers: JSON's are text."""
    cells = {
        m: {int(k): cell for k, cell in levels.items()}
        for m, levels in context["cells"].items()
    }
    if "shifts" not in context.get("shared", {}):
        return context | {"cells": cells}
    shifts = {
        m: {int(k): shift for k, shift in levels.items()}
        for m, levels in context["shared"]["shifts"].items()
    }
    return context | {"cells": cells, "shared": context["shared"] | {"shifts": shifts}}


def _sample_context(
    context: Statistics,
    models: tuple[str, ...],
    joint: bool,
    n: int,
    seed: tuple[int, int],
) -> dict[str, np.ndarray]:
    """Return the outcomes of n queries of a context, each (n, n_models)."""
    from scipy.special import ndtr

    rng = np.random.default_rng(seed)
    variables = _variables(context)
    patterns = np.array(context["patterns"] if joint else [])
    if joint:
        codes = _drawn_patterns(patterns, n, rng)
    else:
        codes = _drawn_alone(context["cells"], models, n, rng)
    shared = _shared(context, models)
    factors = draw_shared(shared, patterns, codes, np.random.default_rng((*seed, 1)))
    out = {v: np.empty((n, len(models))) for v in variables}
    for j, model in enumerate(models):
        # drawn for all queries, so that one cell's size moves no other's draws
        normal = rng.standard_normal((len(variables), n))
        loading = shared.loadings[j][:, None]
        normal = loading * factors[:, :, j] + np.sqrt(1 - loading**2) * normal
        for level, cell in context["cells"][model].items():
            mine = codes[:, j] == level
            share = ndtr(correlated(cell["correlation"], normal[:, mine]))
            for v, quantiles, u in zip(
                variables, cell["quantiles"], share, strict=True
            ):
                out[v][mine, j] = np.interp(u, GRID, quantiles)
    for v in variables:
        out[v] = out[v].round(DECIMALS[v])
    out["accuracy"] = np.array(context["levels"])[codes]
    return out


def _drawn_alone(
    cells: Statistics, models: tuple[str, ...], n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return n queries' levels, (n, n_models), each LLM's drawn on its own."""
    counts = [
        np.array([(level, cell["n"]) for level, cell in cells[model].items()])
        for model in models
    ]
    return np.hstack([_drawn_patterns(mine, n, rng) for mine in counts])


def _drawn_patterns(
    patterns: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return n queries' levels, (n, n_models), from patterns with their counts."""
    share = np.cumsum(patterns[:, -1]) / patterns[:, -1].sum()
    u = (np.arange(n) + rng.random()) / n
    drawn = np.searchsorted(share, u, side="right").clip(max=len(share) - 1)
    return patterns[rng.permutation(drawn), :-1]
