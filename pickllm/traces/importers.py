"""Importers: public tables of outcomes to a checked trace; no pickle is ever loaded.

None of these tables holds a latency, so it is declared, as is a cost where there is
none: what follows from a declared number is a matter of the declaration.
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.trace import Trace
from ..errors import InputError
from ..readers import read_json, read_table

if TYPE_CHECKING:
    import pandas as pd

#: One path, or several.
Paths = str | pathlib.Path | Sequence[str | pathlib.Path]
#: A number for all LLMs, or for each.
Declared = float | dict[str, float] | None
#: What a cell of a RouteLLM table of correctness holds.
RIGHT, WRONG = (True, 1, "True"), (False, 0, "False")
COST = "|total_cost"


def routerbench(path: str | pathlib.Path, latency_ms: Declared) -> Trace:
    """Return RouterBench's wide table (Hu et al. 2024) as a trace.

    It has a column of scores and one of costs for each LLM.

    Parameters
    ----------
    path : path
        .csv or .parquet with ``sample_id``, ``eval_name``, ``<model>`` and
        ``<model>|total_cost``.
    latency_ms : float or dict of str to float
        Declared; milliseconds, for all LLMs or for each. Tokens are not in it either
        and stand as 0.

    Returns
    -------
    Trace

    Raises
    ------
    InputError, MissingFileError
    """
    path = _not_pickled(path)
    what = "table of RouterBench"
    table = read_table(path, what, "check the path", ("sample_id", "eval_name"))
    models = [str(c).removesuffix(COST) for c in table if str(c).endswith(COST)]
    for column in ("sample_id", "eval_name", *(models or [f"<model>{COST}"])):
        if column not in table:
            raise InputError(
                f"{path}: no column {column!r}; RouterBench's wide table has it"
            )
    latency = _for_each(path, latency_ms, models, "latency_ms")
    parts = [
        {
            "query_id": table.sample_id.astype(str),
            "context": table.eval_name,
            "model": m,
            "accuracy": table[m],
            "input_tokens": 0,
            "output_tokens": 0,
            "latency_ms": latency[m],
            "cost_usd": table[f"{m}{COST}"],
        }
        for m in models
    ]
    return _trace(parts, path)


def llmrouterbench(paths: Paths, latency_ms: Declared) -> Trace:
    """Return LLMRouterBench's records (arXiv 2601.07206) as a trace.

    They are one JSON file per dataset, split and LLM, with a score, tokens and cost a
    record.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, or a folder of them (``results/bench``); trial runs (``demo``) are left
        out.
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
    import pandas as pd

    files = _json_files(paths)
    runs: dict[tuple[str, ...], pathlib.Path] = {}
    parts = []
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
        parts.append(_records(run))
    if not parts:
        raise InputError(
            f"{files[0] if files else paths}: no run of LLMRouterBench; give its"
            " results/bench, or files of it"
        )
    table = pd.concat(parts, ignore_index=True)
    models = table.model.unique().tolist()
    latency = _for_each(files[0], latency_ms, models, "latency_ms")
    table["latency_ms"] = table.model.map(latency)
    everywhere = table.groupby("query_id").model.transform("nunique") == len(models)
    if not everywhere.any():
        raise InputError(
            f"{files[0]}: no query was answered by all of {', '.join(models)}; give"
            " files of the same datasets for each"
        )
    return Trace.from_frame(table[everywhere], name=files[0].stem)


def routellm(paths: Paths, latency_ms: Declared, cost_usd: Declared) -> Trace:
    """Return tables of correctness as RouteLLM has them (Ong et al. 2024) as a trace.

    They have a prompt a row, and for each LLM whether it was right.

    Parameters
    ----------
    paths : path or sequence of paths
        .csv or .parquet, one a context, which is named as the file; columns whose
        values are not true or false are passed over.
    latency_ms, cost_usd : float or dict of str to float
        Declared, for all LLMs or for each: milliseconds and US dollars of an answer.
        Tokens stand as 0.

    Returns
    -------
    Trace

    Raises
    ------
    InputError, MissingFileError
    """
    parts = []
    first: list[str] = []
    files = [_not_pickled(path) for path in _several(paths)]
    for path in files:
        table = read_table(path, "table of correctness", "check the path", ("prompt",))
        models = _judged(path, table)
        if first and models != first:
            raise InputError(
                f"{path}: has the LLMs {', '.join(models)}, the first file"
                f" {', '.join(first)}; give files of the same LLMs"
            )
        first = models
        latency = _for_each(path, latency_ms, models, "latency_ms")
        cost = _for_each(path, cost_usd, models, "cost_usd")
        parts += [
            {
                "query_id": [f"{path.stem}-{i}" for i in range(len(table))],
                "context": path.stem,
                "model": m,
                "accuracy": table[m].isin(RIGHT).astype(float),
                "input_tokens": 0,
                "output_tokens": 0,
                "latency_ms": latency[m],
                "cost_usd": cost[m],
            }
            for m in models
        ]
    return _trace(parts, files[-1])


def _judged(path: pathlib.Path, table: "pd.DataFrame") -> list[str]:
    """Return the LLMs of a table of correctness: its columns of true and false."""
    judged = table.isin((*RIGHT, *WRONG)).all().to_dict()
    models = [str(c) for c in table if c != "prompt" and judged[c]]
    if len(models) < 2:
        raise InputError(
            f"{path}: needs two LLMs or more, each a column of True and False, got"
            f" {len(models)}; its columns are {', '.join(map(str, table))}"
        )
    return models


def _several(paths: Paths) -> list[pathlib.Path]:
    if isinstance(paths, str | pathlib.Path):
        paths = [paths]
    return [pathlib.Path(path) for path in paths]


def _json_files(paths: Paths) -> list[pathlib.Path]:
    """Return the files among some paths, and those in the folders among them."""
    files = []
    for path in _several(paths):
        files += sorted(path.rglob("*.json")) if path.is_dir() else [path]
    return files


def _not_pickled(path: str | pathlib.Path) -> pathlib.Path:
    path = pathlib.Path(path)
    if path.suffix in (".pkl", ".pickle"):
        raise InputError(
            f"{path}: a pickle may run code and is never loaded; convert it where you"
            " trust it: pandas.read_pickle(...).to_parquet(...)"
        )
    return path


def _for_each(
    path: pathlib.Path, value: Declared, models: list[str], name: str
) -> dict[str, float]:
    """Return a declared number for each LLM."""
    if value is None:
        raise InputError(
            f"{path}: the table holds no {name}; declare one for all LLMs or for each"
        )
    if not isinstance(value, dict):
        value = dict.fromkeys(models, float(value))
    for model in models:
        if model not in value:
            raise InputError(f"{path}: no {name} declared for {model!r}; add it")
    return value


def _run(file: pathlib.Path) -> dict[str, Any]:
    """Return one file of LLMRouterBench, checked."""
    run = read_json(
        file, "run of LLMRouterBench", "give its results/bench, or files of it"
    )
    names = ["dataset_name", "split", "model_name", "records"]
    if isinstance(run, dict):
        names = [name for name in names if name not in run]
    if not names:
        fields = "index", "score", "prompt_tokens", "completion_tokens", "cost"
        names = [n for n in fields if any(n not in r for r in run["records"])]
        if not run["records"]:
            names = ["record"]
    if names:
        raise InputError(f"{file}: no {names[0]!r}; a run of LLMRouterBench has it")
    return run


def _records(run: dict[str, Any]) -> "pd.DataFrame":
    """Return a run's records as rows of a trace, without latency."""
    import pandas as pd

    records = pd.DataFrame(run["records"])
    start = f"{run['dataset_name']}-{run['split']}"
    return pd.DataFrame(
        {
            "query_id": [f"{start}-{i}" for i in records["index"]],
            "context": run["dataset_name"],
            "model": run["model_name"],
            "accuracy": records.score,
            "input_tokens": records.prompt_tokens,
            "output_tokens": records.completion_tokens,
            "cost_usd": records.cost,
        }
    )


def _trace(parts: list[dict[str, Any]], path: pathlib.Path) -> Trace:
    """Return a trace from the columns of each of its parts."""
    import pandas as pd

    frames = [pd.DataFrame(part) for part in parts]
    return Trace.from_frame(pd.concat(frames, ignore_index=True), name=path.stem)
