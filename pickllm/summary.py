"""TraceSummary: the shareable statistics of a trace, and a sample of the same law from them.

Under independent draws within a context a bandit's law depends only on each LLM's distribution of
(accuracy, tokens, latency); the oracle and paired controls need the joint distribution of accuracies
too. A summary therefore holds, per context, how often each joint pattern of accuracy levels over the
pool occurred, and per LLM and level the quantiles of tokens and latency with their rank correlations.
No row of the trace and no text is in it.
"""

import json
import pathlib
from dataclasses import dataclass

import numpy as np

from .errors import InputError, MissingFileError
from .files import write_json
from .pool import Limits, Price
from .trace import Trace

VARIABLES = ("input_tokens", "output_tokens", "latency_ms")
#: Probabilities of the stored quantiles: fine in both tails.
GRID = (0, .005, .01, .02, .03, .05, *(round(x, 2) for x in np.arange(.1, .91, .05)), .925, .95, .96, .97, .98, .985, .99, .995, 1)  # fmt: skip
MAX_LEVELS = 11
FORMAT = 1


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
        Context -> ``{"n_queries", "levels", "patterns", "cells", "rows"}``: accuracy levels (values);
        patterns as ``[level of each LLM..., count]``; cells ``{model: {level: {"n", "quantiles",
        "correlation"}}}``; and means and standard deviations of the rows, kept to check a sample against.
    provenance : dict
        Source, licence and whatever else its reader needs.
    """

    name: str
    models: tuple
    limits: Limits
    prices: dict
    contexts: dict
    provenance: dict

    @classmethod
    def of(cls, trace, min_cell=5, provenance=None):
        """The summary of a trace.

        Parameters
        ----------
        trace : Trace
        min_cell : int
            A cell (LLM and accuracy level in a context) with fewer queries gives no quantiles of its
            own, which would be its rows; it takes those of all the LLM's answers in the context.
        provenance : dict, optional
        """
        parts = {c: trace.select(context=c) for c in trace.contexts}
        for c, part in parts.items():
            if part.n_queries < min_cell:
                raise InputError(
                    f"summary: context '{c}' must have at least {min_cell} queries, got {part.n_queries}, whose quantiles would be its rows; "
                    "leave it out, or lower min_cell"
                )
        contexts = {c: _context_summary(part, min_cell) for c, part in parts.items()}
        note = {"trace": trace.name, "trace_sha256": trace.fingerprint(), "min_cell": min_cell} | (provenance or {})
        return cls(trace.name, trace.models, trace.limits, trace.prices, contexts, note)

    def save(self, path):
        """Write the summary as JSON."""
        fields = ("model", "vendor", "input_usd", "output_usd", "as_of", "source")
        write_json(
            path,
            {
                "format": FORMAT,
                "name": self.name,
                "provenance": self.provenance,
                "models": list(self.models),
                "limits": vars(self.limits),
                "prices": [{f: getattr(p, f) for f in fields} for p in self.prices.values()],
                "grid": list(GRID),
                "contexts": {c: _compact(s) for c, s in self.contexts.items()},
            },
        )

    @classmethod
    def load(cls, path):
        """Read a summary that `save` wrote.

        Raises
        ------
        MissingFileError, InputError
        """
        path = pathlib.Path(path)
        if not path.exists():
            raise MissingFileError(f"no summary {path}; write one with `pickllm summarise FILE`")
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["format"] != FORMAT or tuple(content["grid"]) != GRID:
                raise InputError(f"{path}: summary of format {content['format']}, this version reads {FORMAT}; write it again with `pickllm summarise`")
            summary = cls(
                content["name"],
                tuple(content["models"]),
                Limits(**content["limits"]),
                {p["model"]: Price(**p) for p in content["prices"]},
                {c: _expanded(s) for c, s in content["contexts"].items()},
                content["provenance"],
            )
            summary.sample(1)  # whatever a sample needs is there
            return summary
        except InputError:
            raise
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a trace summary ({type(error).__name__}: {error}); write it again with `pickllm summarise`") from error

    def sample(self, n_queries=5000, seed=0):
        """A trace of the same law: patterns first, then tokens and latency by copula and quantile function.

        Patterns are drawn systematically, so that their counts are within one of the expected ones.

        Parameters
        ----------
        n_queries : int
            Per context, > 0.
        seed : int

        Returns
        -------
        Trace
            Costs are priced from the sampled tokens.
        """
        if not n_queries >= 1:
            raise InputError(f"sample: n_queries must be >= 1, got {n_queries!r}; it counts queries per context")
        parts = [_sample_context(s, self.models, n_queries, np.random.default_rng([seed, i])) for i, s in enumerate(self.contexts.values())]
        columns = {v: np.concatenate([p[v] for p in parts]) for v in ("accuracy", *VARIABLES)}
        names = list(self.contexts)
        trace = Trace(
            models=self.models,
            query_id=np.array([f"{c}-{i:05d}" for c in names for i in range(n_queries)]),
            context=np.repeat(names, n_queries),
            cost_usd=np.zeros_like(columns["accuracy"]),
            prices=self.prices,
            limits=self.limits,
            name=self.name,
            **columns,
        )
        return trace.reprice(self.prices)


def _levels(accuracy):
    """(values, codes): accuracy as it is when it has few distinct values, else in equal-count bins by mean."""
    values, codes = np.unique(accuracy, return_inverse=True)
    if len(values) > MAX_LEVELS:
        rank = np.argsort(np.argsort(accuracy, axis=None, kind="stable"), kind="stable")
        codes = rank * 10 // accuracy.size
        values = np.array([accuracy.ravel()[codes == k].mean() for k in range(10)])
    return values, codes.reshape(accuracy.shape)


def _context_summary(trace, min_cell):
    values, codes = _levels(trace.accuracy)
    patterns, counts = np.unique(codes, axis=0, return_counts=True)
    cells = {}
    for j, model in enumerate(trace.models):
        data = np.stack([getattr(trace, v)[:, j] for v in VARIABLES])
        cells[model] = {}
        for level in np.unique(codes[:, j]):
            mine = codes[:, j] == level
            cell = _cell(data[:, mine] if mine.sum() >= min_cell else data)
            cells[model][int(level)] = {"n": int(mine.sum())} | cell
    rows = {
        model: {
            v: [float(getattr(trace, v)[:, j].mean()), float(getattr(trace, v)[:, j].std())]
            for v in ("accuracy", "cost_usd", *VARIABLES)
        }
        for j, model in enumerate(trace.models)
    }
    return {
        "n_queries": trace.n_queries,
        "levels": values.tolist(),
        "patterns": np.column_stack([patterns, counts]).tolist(),
        "cells": cells,
        "rows": rows,
    }


def _cell(data):
    """Quantiles of each variable, and their correlation as normal scores (from Spearman's rho)."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(row) for row in data])
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((ranks**2).sum(axis=1))
    size[size == 0] = 1.0
    rho = (ranks @ ranks.T) / np.outer(size, size)
    return {
        "quantiles": [np.quantile(row, GRID, method="hazen").tolist() for row in data],
        "correlation": [float(rho[0, 1]), float(rho[0, 2]), float(rho[1, 2])],
    }


def _compact(context):
    """A context's summary with numbers rounded to what they can bear, for the file."""
    cells = {
        m: {
            k: {
                "n": c["n"],
                "quantiles": [[float(f"{x:.6g}") for x in q] for q in c["quantiles"]],
                "correlation": [round(x, 4) for x in c["correlation"]],
            }
            for k, c in levels.items()
        }
        for m, levels in context["cells"].items()
    }
    rows = {m: {v: [float(f"{x:.8g}") for x in pair] for v, pair in r.items()} for m, r in context["rows"].items()}
    return context | {"cells": cells, "rows": rows}


def _expanded(context):
    """JSON has string keys only; accuracy levels are numbers again."""
    return context | {"cells": {m: {int(k): c for k, c in levels.items()} for m, levels in context["cells"].items()}}


def _sample_context(context, models, n, rng):
    from scipy.special import ndtr

    patterns = np.array(context["patterns"])
    share = np.cumsum(patterns[:, -1]) / patterns[:, -1].sum()
    drawn = np.searchsorted(share, (np.arange(n) + rng.random()) / n, side="right").clip(max=len(share) - 1)
    codes = patterns[rng.permutation(drawn), :-1]
    out = {v: np.empty((n, len(models))) for v in VARIABLES} | {"accuracy": np.array(context["levels"])[codes]}
    for j, model in enumerate(models):
        normal = rng.standard_normal((len(VARIABLES), n))  # drawn for all, so that one cell's size moves no other's draws
        for level, cell in context["cells"][model].items():
            mine = codes[:, j] == level
            u = ndtr(_factor(cell["correlation"]) @ normal[:, mine])
            for v, quantiles, position in zip(VARIABLES, cell["quantiles"], u):
                out[v][mine, j] = np.interp(position, GRID, quantiles)
    for v in VARIABLES[:2]:
        out[v] = np.rint(out[v])
    return out


def _factor(correlation):
    """Cholesky factor of the normal scores' correlations: 2 sin(pi rho / 6) of Spearman's, made definite."""
    a, b, c = 2.0 * np.sin(np.pi * np.array(correlation) / 6.0)
    matrix = np.array([[1.0, a, b], [a, 1.0, c], [b, c, 1.0]])
    values, vectors = np.linalg.eigh(matrix)
    matrix = vectors @ np.diag(values.clip(1e-9)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    return np.linalg.cholesky(matrix / np.outer(scale, scale))
