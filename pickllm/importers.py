"""Importers: public tables of outcomes to a checked trace; no pickle is ever loaded."""

import pathlib

import pandas as pd

from .errors import InputError
from .trace import Trace, read_frame


def routerbench(path, latency_ms):
    """RouterBench's wide table (Hu et al. 2024): a column of scores and one of costs for each LLM.

    Parameters
    ----------
    path : path
        .csv or .parquet with ``sample_id``, ``eval_name``, ``<model>`` and ``<model>|total_cost``.
    latency_ms : float or dict of str to float
        Declared, since the table holds none; milliseconds, for all LLMs or for each. Tokens are not in it either and stand as 0.

    Returns
    -------
    Trace
    """
    if pathlib.Path(path).suffix in (".pkl", ".pickle"):
        raise InputError(f"{path}: a pickle may run code and is never loaded; convert it where you trust it: pandas.read_pickle(...).to_parquet(...)")
    if latency_ms is None:
        raise InputError(f"{path}: RouterBench holds no latency; declare it in milliseconds (latency_ms)")
    table = read_frame(path)
    models = [str(c)[: -len("|total_cost")] for c in table if str(c).endswith("|total_cost")]
    missing = [c for c in ("sample_id", "eval_name", *models) if c not in table]
    if missing or not models:
        raise InputError(f"{path}: no column {missing[0] if missing else '<model>|total_cost'!r}; RouterBench's wide table has it")
    latency = latency_ms if isinstance(latency_ms, dict) else dict.fromkeys(models, latency_ms)
    undeclared = [m for m in models if m not in latency]
    if undeclared:
        raise InputError(f"{path}: no latency declared for {undeclared[0]!r}; add it to latency_ms")
    parts = [
        pd.DataFrame({"query_id": table.sample_id.astype(str), "context": table.eval_name, "model": m, "accuracy": table[m], "input_tokens": 0,
                      "output_tokens": 0, "latency_ms": latency[m], "cost_usd": table[f"{m}|total_cost"]})
        for m in models
    ]
    return Trace.from_frame(pd.concat(parts, ignore_index=True), name=pathlib.Path(path).stem)
