"""Importers: public tables of outcomes to a checked trace; no pickle is ever loaded.

None of these tables holds a latency, so it is declared, as is a cost where there is
none: what follows from a declared number is a matter of the declaration.
"""

import json
import pathlib

import pandas as pd

from ..core.trace import Trace, read_frame
from ..errors import InputError, MissingFileError


def routerbench(path, latency_ms):
    """RouterBench's wide table (Hu et al. 2024): a column of scores and one of costs for each LLM.

    Parameters
    ----------
    path : path
        .csv or .parquet with ``sample_id``, ``eval_name``, ``<model>`` and ``<model>|total_cost``.
    latency_ms : float or dict of str to float
        Declared; milliseconds, for all LLMs or for each. Tokens are not in it either and stand as 0.

    Returns
    -------
    Trace

    Raises
    ------
    InputError, MissingFileError
    """
    path = _not_pickled(path)
    table = read_frame(path)
    models = [
        str(c)[: -len("|total_cost")] for c in table if str(c).endswith("|total_cost")
    ]
    missing = [c for c in ("sample_id", "eval_name", *models) if c not in table]
    if missing or not models:
        raise InputError(
            f"{path}: no column {missing[0] if missing else '<model>|total_cost'!r};"
            " RouterBench's wide table has it"
        )
    latency = _declared(path, latency_ms, models, "latency_ms")
    parts = [
        pd.DataFrame(
            {
                "query_id": table.sample_id.astype(str),
                "context": table.eval_name,
                "model": m,
                "accuracy": table[m],
                "input_tokens": 0,
                "output_tokens": 0,
                "latency_ms": latency[m],
                "cost_usd": table[f"{m}|total_cost"],
            }
        )
        for m in models
    ]
    return _trace(parts, path)


def llmrouterbench(paths, latency_ms):
    """LLMRouterBench's records (arXiv 2601.07206): one JSON file per dataset, split and LLM, with a score, tokens and cost a record.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, or a folder of them (``results/bench``); trial runs (``demo``) are left out.
    latency_ms : float or dict of str to float
        Declared; a file holds the time of a whole run of parallel calls alone.

    Returns
    -------
    Trace
        Of the queries that every LLM answered; contexts are datasets.

    Raises
    ------
    InputError, MissingFileError
    """
    files = [
        f
        for p in _several(paths)
        for f in (sorted(p.rglob("*.json")) if p.is_dir() else [p])
    ]
    runs, parts = {}, []
    for file in files:
        run = _run(file)
        if run.get("demo"):
            continue
        identity = run["dataset_name"], run["split"], run["model_name"]
        if identity in runs:
            raise InputError(
                f"{file}: {' '.join(identity)} stands in {runs[identity].name} already;"
                " keep one of the two"
            )
        runs[identity] = file
        records = pd.DataFrame(run["records"])
        parts.append(
            pd.DataFrame(
                {
                    "query_id": [
                        f"{run['dataset_name']}-{run['split']}-{i}"
                        for i in records["index"]
                    ],
                    "context": run["dataset_name"],
                    "model": run["model_name"],
                    "accuracy": records.score,
                    "input_tokens": records.prompt_tokens,
                    "output_tokens": records.completion_tokens,
                    "cost_usd": records.cost,
                }
            )
        )
    if not parts:
        raise InputError(
            f"{files[0] if files else paths}: no run of LLMRouterBench; give its"
            " results/bench, or files of it"
        )
    models = list(dict.fromkeys(part.model.iloc[0] for part in parts))
    latency = _declared(files[0], latency_ms, models, "latency_ms")
    table = pd.concat(
        [part.assign(latency_ms=latency[part.model.iloc[0]]) for part in parts],
        ignore_index=True,
    )
    everywhere = table.groupby("query_id").model.transform("nunique") == len(models)
    if not everywhere.any():
        raise InputError(
            f"{files[0]}: no query was answered by all of {', '.join(models)}; give"
            " files of the same datasets for each"
        )
    return _trace([table[everywhere]], files[0])


def routellm(paths, latency_ms, cost_usd):
    """Return a CSV of correctness as RouteLLM has them (Ong et al. 2024): a prompt a row, and for each LLM whether it was right.

    Parameters
    ----------
    paths : path or sequence of paths
        .csv or .parquet, one a context, which is named as the file; columns whose values are not true or false are passed over.
    latency_ms, cost_usd : float or dict of str to float
        Declared, for all LLMs or for each: milliseconds and US dollars of an answer. Tokens stand as 0.

    Returns
    -------
    Trace

    Raises
    ------
    InputError, MissingFileError
    """
    parts, first = [], None
    for path in map(_not_pickled, _several(paths)):
        table = read_frame(path)
        models = [
            c
            for c in table
            if c != "prompt"
            and table[c].isin([True, False, 0, 1, "True", "False"]).all()
        ]
        if len(models) < 2:
            raise InputError(
                f"{path}: needs two LLMs or more, each a column of True and False, got"
                f" {len(models)}; its columns are {', '.join(map(str, table))}"
            )
        if first is not None and models != first:
            raise InputError(
                f"{path}: has the LLMs {', '.join(models)}, the first file"
                f" {', '.join(first)}; give files of the same LLMs"
            )
        first = models
        latency, cost = (
            _declared(path, value, models, name)
            for value, name in ((latency_ms, "latency_ms"), (cost_usd, "cost_usd"))
        )
        for m in models:
            right = table[m].isin([True, 1, "True"]).astype(float)
            parts.append(
                pd.DataFrame(
                    {
                        "query_id": [f"{path.stem}-{i}" for i in range(len(table))],
                        "context": path.stem,
                        "model": m,
                        "accuracy": right,
                        "input_tokens": 0,
                        "output_tokens": 0,
                        "latency_ms": latency[m],
                        "cost_usd": cost[m],
                    }
                )
            )
    return _trace(parts, path)


def _several(paths):
    return [
        pathlib.Path(p)
        for p in ([paths] if isinstance(paths, (str, pathlib.Path)) else paths)
    ]


def _not_pickled(path):
    if pathlib.Path(path).suffix in (".pkl", ".pickle"):
        raise InputError(
            f"{path}: a pickle may run code and is never loaded; convert it where you"
            " trust it: pandas.read_pickle(...).to_parquet(...)"
        )
    return pathlib.Path(path)


def _declared(path, value, models, name):
    """Return a declared number for each LLM."""
    if value is None:
        raise InputError(
            f"{path}: the table holds no {name}; declare one for all LLMs or for each"
        )
    values = value if isinstance(value, dict) else dict.fromkeys(models, value)
    missing = [m for m in models if m not in values]
    if missing:
        raise InputError(f"{path}: no {name} declared for {missing[0]!r}; add it")
    return values


def _run(file):
    """One file of LLMRouterBench, checked."""
    if not file.exists():
        raise MissingFileError(
            f"no file {file}; give LLMRouterBench's results/bench, or files of it"
        )
    try:
        run = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error}); fetch it again") from error
    names = ("dataset_name", "split", "model_name", "records")
    missing = [n for n in names if n not in run] if isinstance(run, dict) else names
    missing = missing or [
        n
        for n in ("index", "score", "prompt_tokens", "completion_tokens", "cost")
        if any(n not in r for r in run["records"])
    ]
    if missing or not run["records"]:
        raise InputError(
            f"{file}: no {missing[0] if missing else 'record'!r}; a run of"
            " LLMRouterBench has it"
        )
    return run


def _trace(parts, path):
    return Trace.from_frame(
        pd.concat(parts, ignore_index=True), name=pathlib.Path(path).stem
    )
