"""The Berkeley Function Calling Leaderboard's result files of 2024-08-11: which they are, fetched and read.

The files stand in the public repository HuanzhiMao/BFCL-Result. For each LLM and category there is a
result file (JSON lines with token counts and latency per query) and a score file (the stated accuracy,
then the failures alone, by 1-based position). A query that is not listed as a failure was answered
correctly; the accuracy rebuilt so is proved equal to the stated one in every file.
"""

import json
import os
import pathlib

from ..core.pool import declare_limits, declared_pools, read_prices
from ..core.trace import Trace
from ..errors import InputError, MissingFileError
from ..files import home

NAME = "bfcl-2024-08-11"
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


def _paths(model, category):
    return (
        f"{DAY}/result/{model}/gorilla_openfunctions_v1_test_{category}_result.json",
        f"{DAY}/score/{model}/{category}_score.json",
    )


def checksums():
    """``{path in the repository: SHA-256}`` of exactly the files that the study needs."""
    lines = (home("data") / f"{NAME}.sha256").read_text("utf-8").splitlines()
    return {path: sha for sha, path in (line.split("  ", 1) for line in lines)}


def cache_folder():
    """Where fetched files are kept: ``PICKLLM_CACHE``, else the user's cache folder."""
    import pooch

    return (
        pathlib.Path(os.environ.get("PICKLLM_CACHE") or pooch.os_cache("pickllm"))
        / NAME
    )


def fetch(url=None, folder=None, progress=True):
    """Download the leaderboard's files, checked by SHA-256; those already here are not fetched again.

    Parameters
    ----------
    url : str, optional
        A mirror with the repository's layout (http, https or a folder); by default ``PICKLLM_MIRROR``, else
        the public repository at the pinned commit.
    folder : path, optional
        By default `cache_folder`.
    progress : bool
        Whether to show a bar with the time left.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InputError
        A checksum differs, or the address does not answer; files that did arrive are kept.
    """
    from concurrent.futures import ThreadPoolExecutor
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    import pooch
    import requests
    from tqdm import tqdm

    url = (url or os.environ.get("PICKLLM_MIRROR") or DEFAULT_URL).rstrip("/") + "/"
    folder = pathlib.Path(folder or cache_folder())
    registry = checksums()
    pooch.get_logger().setLevel("ERROR")
    if "://" not in url:
        url = pathlib.Path(url).resolve().as_uri() + "/"

    def one(path):
        target = folder / path
        if url.startswith("file:"):
            source = pathlib.Path(url2pathname(urlsplit(url).path)) / path
            return _copied(source, target, registry[path])
        try:
            pooch.retrieve(
                url + path,
                known_hash=registry[path],
                fname=target.name,
                path=target.parent,
            )
        except requests.exceptions.RequestException as error:
            raise InputError(
                f"cannot download {url + path} ({type(error).__name__}); check the"
                " network, or set PICKLLM_MIRROR to a mirror. What arrived is kept in"
                f" {folder}: the same command goes on from there"
            ) from error
        except (
            ValueError
        ) as error:  # pooch: the hash of the download differs, and it was deleted
            raise _differs(url + path, registry[path]) from error
        except OSError as error:
            raise InputError(
                f"cannot write {target}: {error.strerror or error}; free some space or"
                " set PICKLLM_CACHE"
            ) from error

    with ThreadPoolExecutor(8) as threads:
        try:
            list(
                tqdm(
                    threads.map(one, registry),
                    total=len(registry),
                    desc=f"fetch {NAME}",
                    unit="file",
                    disable=not progress,
                )
            )
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return folder


def _differs(where, expected):
    return InputError(
        f"checksum of {where} differs from the pinned SHA-256 {expected[:12]}...; the"
        " source has changed or the download is damaged: try again, or use another"
        " mirror"
    )


def _copied(source, target, sha):
    import hashlib

    from ..files import written

    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == sha:
        return
    if not source.exists():
        raise MissingFileError(
            f"no file {source}; PICKLLM_MIRROR must hold the repository's layout,"
            f" folder {DAY} and all below it"
        )
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha:
        raise _differs(source, sha)
    with written(target, "wb") as file:
        file.write(content)


def fetched():
    """Whether every file stands in the cache."""
    return all((cache_folder() / path).exists() for path in checksums())


def _json_lines(path):
    try:
        return [
            json.loads(line)
            for line in path.read_text("utf-8").split("\n")
            if line.strip()
        ]
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON lines ({error}); fetch the files again"
        ) from error


def read_category(folder, model, category):
    """One LLM's outcomes in one category, accuracy rebuilt and proved equal to the stated one.

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
    for path in (result, score):
        if not path.exists():
            raise MissingFileError(f"no file {path}; run `pickllm fetch {NAME}`")
    queries, (stated, *failures) = _json_lines(result), _json_lines(score)
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


def read(folder=None, pool=NAME):
    """Return the measured rows of one of the two pools, as a Trace.

    Parameters
    ----------
    folder : path, optional
        Where `fetch` put the files.
    pool : str
        A name in `data/pools.json`.
    """
    import pandas as pd

    folder = pathlib.Path(folder or cache_folder())
    declared, prices = declared_pools()[pool], read_prices()
    rows = [
        row
        for category in CONTEXTS
        for model in declared["models"]
        for row in read_category(folder, model, category)
    ]
    limits = declare_limits(declared["models"], prices, declared)
    return Trace.from_frame(
        pd.DataFrame(rows), prices, limits, declared["models"], name=f"{pool}-rows"
    )
