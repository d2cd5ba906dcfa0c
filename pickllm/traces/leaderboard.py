"""The Berkeley Function Calling Leaderboard's results of 2024-08-11, fetched and read.

The files stand in the public repository HuanzhiMao/BFCL-Result. For each LLM and
category there is a result file (JSON lines with token counts and latency per query) and
a score file (the stated accuracy, then the failures alone, by 1-based position). A
query that is not listed as a failure was answered correctly; the accuracy rebuilt so is
proved equal to the stated one in every file.
"""

import functools
import json
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..core.pool import declare_limits, declared_pools, read_prices
from ..core.trace import Trace
from ..errors import InputError
from ..files import home
from ..readers import read_text
from .downloads import bring

NAME = "bfcl-2024-08-11"
#: The pool of every LLM of the leaderboard that its rule admits.
EVERY = f"{NAME}-all"
REPOSITORY = "https://github.com/HuanzhiMao/BFCL-Result"
COMMIT = "b4adfc9be5e0c65e8dbb1340c689688eb92a9379"
DEFAULT_URL = f"https://raw.githubusercontent.com/HuanzhiMao/BFCL-Result/{COMMIT}/"
DAY = "2024-08-11"

PROVENANCE = {
    "source": REPOSITORY,
    "commit": COMMIT,
    "folder": DAY,
    "attribution": (
        "Berkeley Function Calling Leaderboard (Gorilla project, UC Berkeley):"
        " statistics of its results of 2024-08-11"
    ),
    "licence": (
        "the leaderboard's README (ShishirPatil/gorilla, commit de8307b) releases all"
        " leaderboard statistics under Apache 2.0"
    ),
    "content": (
        "statistics only: counts, quantiles, correlations, means; no row, no prompt, no"
        " response"
    ),
}

#: Category of the leaderboard -> context of the study.
CONTEXTS = {
    "simple": "simple",
    "multiple_function": "multiple",
    "parallel_function": "parallel",
    "parallel_multiple_function": "parallel_multiple",
    "relevance": "relevance",
    "java": "java_js",
    "javascript": "java_js",
    "executable_simple": "executable",
    "executable_multiple_function": "executable",
    "executable_parallel_function": "executable",
    "executable_parallel_multiple_function": "executable",
    "rest": "rest",
}


def _paths(model: str, category: str) -> tuple[str, str]:
    """Return where a category's results and scores of an LLM stand."""
    return (
        f"{DAY}/result/{model}/gorilla_openfunctions_v1_test_{category}_result.json",
        f"{DAY}/score/{model}/{category}_score.json",
    )


def checksums(pool: str = NAME) -> dict[str, str]:
    """Return ``{path in the repository: SHA-256}`` of the files that a pool needs.

    Parameters
    ----------
    pool : str
        A name in `data/pools.json`. The two pools of four are fetched together.

    Examples
    --------
    >>> len(checksums()), len(checksums("bfcl-2024-08-11-all"))
    (168, 552)
    """
    if pool == EVERY:
        return _listed(NAME) | _listed(EVERY)
    return dict(_listed(NAME))


@functools.cache
def _listed(name: str) -> dict[str, str]:
    """Return what a file of checksums lists: path -> SHA-256."""
    text = (home("data") / f"{name}.sha256").read_text("utf-8")
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {path: sha for sha, path in pairs}


def cache_folder() -> pathlib.Path:
    """Return where fetched files are: ``PICKLLM_CACHE``, or the user's cache."""
    import pooch

    folder = os.environ.get("PICKLLM_CACHE") or pooch.os_cache("pickllm")
    return pathlib.Path(folder) / NAME


def fetch(
    url: str | None = None,
    folder: str | pathlib.Path | None = None,
    progress: bool = True,
    pool: str = NAME,
) -> pathlib.Path:
    """Download a pool's files of the leaderboard, checked by SHA-256.

    Those already here are not fetched again.

    Parameters
    ----------
    url : str, optional
        A mirror with the repository's layout (http, https or a folder); by default
        ``PICKLLM_MIRROR``, else the public repository at the pinned commit.
    folder : path, optional
        By default `cache_folder`.
    progress : bool
        Whether to show a bar with the time left.
    pool : str
        See `checksums`.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    MissingFileError
        A mirror's folder without a file.
    InputError
        A checksum differs, or the address does not answer; files that did arrive are
        kept.
    """
    from tqdm import tqdm

    url = url or os.environ.get("PICKLLM_MIRROR") or DEFAULT_URL
    here = pathlib.Path(folder or cache_folder())
    registry = checksums(pool)
    with ThreadPoolExecutor(8) as threads:
        arriving = threads.map(
            lambda path: bring(url, path, here, registry[path]), registry
        )
        try:
            for _ in tqdm(
                arriving,
                total=len(registry),
                desc=f"fetch {pool}",
                unit="file",
                disable=not progress,
            ):
                pass
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return here


def fetched(pool: str = NAME) -> bool:
    """Whether every file of a pool stands in the cache."""
    return all((cache_folder() / path).exists() for path in checksums(pool))


def fetched_as(pool: str) -> str:
    """Return the name under which `pickllm fetch` brings a pool's files.

    Examples
    --------
    >>> fetched_as("bfcl-2024-08-11-second")
    'bfcl-2024-08-11'
    """
    return EVERY if pool == EVERY else NAME


def _json_lines(path: pathlib.Path, pool: str) -> list[dict[str, Any]]:
    text = read_text(path, "file", f"run `pickllm fetch {pool}`")
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON lines ({error}); fetch the files again"
        ) from error


def read_category(
    folder: str | pathlib.Path, model: str, category: str
) -> list[dict[str, Any]]:
    """Return one LLM's outcomes in one category.

    Its accuracy is rebuilt, and proved equal to the stated one.

    Returns
    -------
    list of dict
        The columns of a trace.

    Raises
    ------
    MissingFileError
        A file is not there.
    InputError
        The rebuilt accuracy differs from the stated one, or a failure names no query.
    """
    result, score = (pathlib.Path(folder) / path for path in _paths(model, category))
    pool = NAME if any(model in path for path in checksums()) else EVERY
    queries = _json_lines(result, pool)
    stated, *failures = _json_lines(score, pool)
    failed = {failure["id"] for failure in failures}
    if not failed <= set(range(1, len(queries) + 1)):
        raise InputError(
            f"{score}: failure {max(failed)} names no query of {len(queries)}; fetch"
            " the files again"
        )
    correct = len(queries) - len(failed)
    if (
        correct != stated["correct_count"]
        or len(queries) != stated["total_count"]
        or abs(correct / len(queries) - stated["accuracy"]) > 1e-9
    ):
        raise InputError(
            f"{score}: states {stated['correct_count']} of {stated['total_count']}"
            f" correct, its rows give {correct} of {len(queries)}; fetch the files"
            " again"
        )
    return [
        {
            "query_id": query["id"],
            "context": CONTEXTS[category],
            "model": model,
            "accuracy": float(position not in failed),
            "input_tokens": query["input_token_count"],
            "output_tokens": query["output_token_count"],
            "latency_ms": 1000.0 * query["latency"],
        }
        for position, query in enumerate(queries, start=1)
    ]


def read(folder: str | pathlib.Path | None = None, pool: str = NAME) -> Trace:
    """Return the measured rows of one of the pools, as a Trace.

    Parameters
    ----------
    folder : path, optional
        Where `fetch` put the files.
    pool : str
        A name in `data/pools.json`.
    """
    import pandas as pd

    folder = folder or cache_folder()
    declared = declared_pools()[pool]
    models = declared["models"]
    prices = read_prices()
    rows = []
    for category in CONTEXTS:
        for model in models:
            rows += read_category(folder, model, category)
    limits = declare_limits(models, prices, declared)
    return Trace.from_frame(pd.DataFrame(rows), prices, limits, models, f"{pool}-rows")
