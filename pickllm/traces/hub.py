"""Sharing: a trace or its summary as a dataset on the Hugging Face Hub, and back.

A shared dataset is one folder: ``trace.parquet`` (or ``trace.csv``) with ``prices.csv``
and ``trace.json``, or ``summary.json`` alone, and a card. An address is
``hub:owner/name@revision``; 40 hex digits name one commit for ever, a branch or a tag
may move, so it is resolved once and warned about. Whatever has been loaded by its
commit is kept by `huggingface_hub` and needs no network again.
"""

import functools
import json
import os
import pathlib
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.pool import PRICE_COLUMNS
from ..core.trace import Trace, read_trace
from ..errors import InputError, UnpinnedWarning
from ..files import write_json
from ..readers import read_json
from .summary import TraceSummary

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SCHEME = "hub:"
#: Files of a shared dataset: the rows as either, the first that is there.
TRACE_FILES = ("trace.parquet", "trace.csv")
SUMMARY_FILE = "summary.json"
PRICE_FILE = "prices.csv"
NOTE_FILE = "trace.json"
CARD = "README.md"
FILES = (*TRACE_FILES, SUMMARY_FILE, PRICE_FILE, NOTE_FILE)
#: Of `NOTE_FILE`. In the first one, the fingerprint left further columns out.
FORMAT = 2
TAG = "pickllm"
TEMPLATES = pathlib.Path(__file__).parent / "templates"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ADDRESS = re.compile(
    r"hub:(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>\S+))?",
    re.ASCII,
)
#: A query's id may be this long; one that is longer, or holds a space, reads like the
#: query itself.
LONGEST_ID = 64


@dataclass(frozen=True)
class Shared:
    """A dataset of the Hub on this disk.

    Attributes
    ----------
    address : str
        With the 40 hex digits of its commit.
    file : pathlib.Path
        Its trace, or its summary.
    prices : pathlib.Path or None
    note : dict
        What `push` recorded of the trace: ``limits``, ``fingerprint``; empty where
        nothing was.
    """

    address: str
    file: pathlib.Path
    prices: pathlib.Path | None
    note: dict[str, Any]


@dataclass(frozen=True)
class Pushed:
    """What `push` did.

    Attributes
    ----------
    address : str
        That loads it back.
    disclosed : tuple of str
        What everybody who may read it learns.
    """

    address: str
    disclosed: tuple[str, ...]


class Content(NamedTuple):
    """Of what is pushed: the fingerprint once loaded, and what is disclosed."""

    fingerprint: str
    disclosed: list[str]


def parse(address: str) -> tuple[str, str | None]:
    """Return the repository of an address, and its revision or None.

    Examples
    --------
    >>> parse("hub:ada/support-queries@main")
    ('ada/support-queries', 'main')
    """
    found = _ADDRESS.fullmatch(str(address))
    if not found:
        raise InputError(
            f"not a Hub address: {str(address)!r}; write hub:owner/name@revision, the"
            " revision being a commit's 40 hex digits"
        )
    return found["repo"], found["revision"]


def pinned(address: str, stacklevel: int = 2) -> str:
    """Return the same address with its commit.

    A branch, a tag or no revision is resolved, with a warning.

    Raises
    ------
    InputError
        No such dataset or revision, or no Hub to ask.
    """
    repo, revision = parse(address)
    if revision and _COMMIT.fullmatch(revision):
        return str(address)
    with _reported(repo, revision):
        commit = _api().dataset_info(repo, revision=revision).sha
    name = f"'{revision}' may move" if revision else "no revision was given"
    warnings.warn(
        f"{address}: {name}; it now is {SCHEME}{repo}@{commit}, cite that",
        UnpinnedWarning,
        stacklevel=stacklevel,
    )
    return f"{SCHEME}{repo}@{commit}"


def download(address: str, stacklevel: int = 2) -> Shared:
    """Bring a shared dataset to this disk.

    Parameters
    ----------
    address : str
        ``hub:owner/name@revision``.
    stacklevel : int
        Whose line a warning names; see `warnings.warn`.

    Returns
    -------
    Shared

    Raises
    ------
    InputError
        No such dataset or revision, a Hub that cannot be reached, or a dataset in
        another schema.
    """
    address = pinned(address, stacklevel + 1)
    repo, commit = parse(address)
    with _reported(repo, commit):
        folder = _folder(repo, commit)
    paths = {name: folder / name for name in FILES}
    here = {name: path for name, path in paths.items() if path.exists()}
    main = [name for name in (*TRACE_FILES, SUMMARY_FILE) if name in here]
    if not main:
        raise _not_a_trace(repo, commit)
    note = {}
    if NOTE_FILE in here:
        note = read_json(here[NOTE_FILE], "note of a trace", "push the trace again")
    if not isinstance(note, dict):
        note = {}
    return Shared(address, here[main[0]], here.get(PRICE_FILE), note)


def _folder(repo: str, commit: str | None) -> pathlib.Path:
    """Return where a commit's files stand on this disk, once they are all there."""
    from huggingface_hub import errors, snapshot_download
    from tqdm import tqdm

    options: dict[str, Any] = {
        "repo_type": "dataset",
        "revision": commit,
        "cache_dir": os.environ.get("HF_HUB_CACHE"),
        "endpoint": _endpoint(),
        "allow_patterns": [*FILES, CARD],
        "tqdm_class": functools.partial(tqdm, disable=True),
    }
    try:
        return pathlib.Path(snapshot_download(repo, local_files_only=True, **options))
    except errors.LocalEntryNotFoundError:
        # fails at once where there is no Hub, which a download tries half a minute long
        _api().dataset_info(repo, revision=commit)
        return pathlib.Path(snapshot_download(repo, **options))


def _not_a_trace(repo: str, commit: str | None) -> InputError:
    with _reported(repo, commit):
        found = _api().dataset_info(repo, revision=commit).siblings or ()
    names = sorted(f.rfilename for f in found)
    seen = [name for name in names if not name.startswith(".")]
    listing = ", ".join(seen[:5]) or "no files"
    if len(seen) > 5:
        listing += f" and {len(seen) - 5} more"
    return InputError(
        f"{SCHEME}{repo}@{commit}: not a shared trace; it needs {TRACE_FILES[0]},"
        f" {TRACE_FILES[1]} or {SUMMARY_FILE}, and has {listing}. Download its file,"
        " bring it to the columns of a trace and load that"
    )


def is_as_pushed(trace: Trace, note: dict[str, Any]) -> bool:
    """Whether a trace that was loaded is the one whose fingerprint its note holds."""
    if "fingerprint" not in note or (note.get("format") != FORMAT and trace.extra):
        return True
    return note["fingerprint"] == trace.fingerprint()


def push(  # noqa: PLR0913 - each is a choice of whoever publishes
    data: Trace | TraceSummary,
    repo: str,
    *,
    summary_only: bool = False,
    licence: str = "unknown",
    source: str = "",
    private: bool = False,
    with_text: bool = False,
    min_cell: int = 5,
) -> Pushed:
    """Publish a trace, or its summary, as a dataset of the Hub, in one commit.

    The token comes from the environment (``HF_TOKEN``, or what ``hf auth login``
    stored) and must be one that may write.

    Parameters
    ----------
    data : Trace or TraceSummary
        A trace that is itself a sample of a summary is shared as that summary.
    repo : str
        ``owner/name``; made if it is not there, given a new commit if it is.
    summary_only : bool
        Share statistics and no row.
    licence : str
        The Hub's name of it, for example ``cc-by-4.0``.
    source : str
        Where the outcomes come from, for the card.
    private : bool
        A dataset that only its owner may read. A public one is not made private by
        this.
    with_text : bool
        Share further columns that are not numbers (prompts, responses), too; they are
        left out otherwise.
    min_cell : int
        For a summary made here, which is protected: see `TraceSummary.of`.

    Returns
    -------
    Pushed

    Raises
    ------
    InputError
        Ids that read like text, no token or one that may not write, a name that another
        dataset has.
    """
    if parse(f"{SCHEME}{repo}") != (repo, None):
        raise InputError(f"push: a dataset's name is owner/name, got {repo!r}")
    left: list[str] = []
    if isinstance(data, Trace):
        if data.sample_of:
            data = _summary_behind(data)
        elif summary_only:
            data = TraceSummary.of(data, min_cell, protect=True)
        elif not with_text:
            data, left = _without_text(data)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        content = _write(data, folder)
        if left:
            content.disclosed.append(
                f"left out as text: {', '.join(left)} (--with-text shares them)"
            )
        card = _card(data, content, repo=repo, licence=licence, source=source)
        (folder / CARD).write_text(card, "utf-8")
        with _reported(repo, None, writing=True):
            commit = _commit(repo, folder, private)
    told = f"licence: {licence}", f"fingerprint: {content.fingerprint}"
    return Pushed(f"{SCHEME}{repo}@{commit}", (*content.disclosed, *told))


def _summary_behind(trace: Trace) -> TraceSummary:
    """Return the summary that a trace is a sample of, at the trace's own prices."""
    summary: Any = trace.sample_of
    for model, price in trace.prices.items():
        if summary.prices.get(model) != price:
            raise InputError(
                f"push: a sample of a summary at other prices than the summary's"
                f" ({model}); push it as it was loaded without prices=, which whoever"
                " loads it may give"
            )
    return summary


def _commit(repo: str, folder: pathlib.Path, private: bool) -> str:
    """Make a folder's files the dataset's only ones; return the commit's id.

    In one commit, so that whoever reads meanwhile has the files of one push.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, get_token

    token = get_token()
    if not token:
        raise InputError(
            "push: no token in the environment; make one that may write at"
            f" {_endpoint()}/settings/tokens and set HF_TOKEN"
        )
    api = _api(token)
    api.create_repo(repo, repo_type="dataset", private=private or None, exist_ok=True)
    info = api.dataset_info(repo)
    there = {f.rfilename for f in info.siblings or ()}
    if CARD in there and TAG not in (info.tags or ()):
        raise InputError(
            f"push: {repo} holds another dataset, which a push would replace; choose a"
            " new name"
        )
    if private and not info.private:
        raise InputError(
            f"push: {repo} is public already; make it private at"
            f" {_endpoint()}/datasets/{repo}/settings, or choose a new name"
        )
    new = sorted(path.name for path in folder.iterdir())
    old = sorted(there.intersection(FILES) - set(new))
    message = "Summary of a trace" if SUMMARY_FILE in new else "Trace"
    return api.create_commit(
        repo,
        [
            *(CommitOperationAdd(name, folder / name) for name in new),
            *(CommitOperationDelete(name) for name in old),
        ],
        commit_message=f"{message} (pickllm)",
        repo_type="dataset",
        parent_commit=info.sha,
    ).oid


def _write(data: Trace | TraceSummary, folder: pathlib.Path) -> Content:
    """Write what is shared of a trace or a summary.

    The fingerprint is of what is loaded again: a file rounds, and has types of its own.
    """
    if isinstance(data, TraceSummary):
        data.save(folder / SUMMARY_FILE)
        loaded = TraceSummary.load(folder / SUMMARY_FILE).sample()
        return Content(loaded.fingerprint(), list(data.disclosed()))
    data.save(folder / TRACE_FILES[0])
    prices = None
    if data.prices:
        prices = folder / PRICE_FILE
        _write_prices(prices, data.prices.values())
    loaded = read_trace(folder / TRACE_FILES[0], prices, data.limits)
    note = {
        "format": FORMAT,
        "name": data.name,
        "fingerprint": loaded.fingerprint(),
        "limits": vars(data.limits),
    }
    write_json(folder / NOTE_FILE, note)
    disclosed = [
        f"every row: {data.n_queries} queries by {len(data.models)} LLMs, with ids,"
        " contexts and LLMs by name, accuracy, tokens, latency and cost"
    ]
    if data.extra:
        disclosed.append(f"further columns, as they are: {', '.join(data.extra)}")
    return Content(loaded.fingerprint(), disclosed)


def _without_text(trace: Trace) -> tuple[Trace, list[str]]:
    """Return a trace without its further columns that hold text, and their names.

    Raises
    ------
    InputError
        Ids that read like text.
    """
    for query in trace.query_id.tolist():
        if len(query) > LONGEST_ID or " " in query:
            raise InputError(
                f"push: query_id {query[:40]!r} reads like a query's text; give ids"
                f" without spaces of at most {LONGEST_ID} characters, or say"
                " --with-text"
            )
    numbers = {c: v for c, v in trace.extra.items() if v.dtype.kind in "biufc"}
    left = [c for c in trace.extra if c not in numbers]
    return replace(trace, extra=numbers), left


def _write_prices(path: pathlib.Path, prices: Any) -> None:
    import pandas as pd

    rows = [
        (p.model, p.vendor, p.input_usd, p.output_usd, p.as_of, p.source)
        for p in prices
    ]
    frame = pd.DataFrame(rows, columns=list(PRICE_COLUMNS))
    frame.to_csv(path, index=False, lineterminator="\n")


def _card(data: Trace | TraceSummary, content: Content, **stated: str) -> str:
    """Return the dataset's card: what the Hub reads (YAML), then what people do."""
    import jinja2
    from huggingface_hub import DatasetCardData

    whole = isinstance(data, Trace)
    kind = "trace" if whole else "summary of a trace"
    shown: dict[str, Any] = {"viewer": False}
    if whole:
        rows = {"config_name": "default", "data_files": TRACE_FILES[0]}
        shown = {"configs": [rows]}
    head = DatasetCardData(
        license=stated["licence"],
        pretty_name=f"{data.name}: {kind}",
        tags=[TAG, "llm-routing"],
        **shown,
    )
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, keep_trailing_newline=True)
    environment.filters["cell"] = _cell
    return environment.get_template("dataset_card.md.jinja").render(
        head=head.to_yaml(),
        whole=whole,
        name=data.name,
        models=data.models,
        contexts=_contexts(data),
        prices=list(data.prices.values()),
        price_columns=PRICE_COLUMNS,
        disclosed=content.disclosed,
        fingerprint=content.fingerprint,
        **stated,
    )


def _contexts(data: Trace | TraceSummary) -> list[dict[str, Any]]:
    """Return each context's name, its queries, and each LLM's mean accuracy in it."""
    if isinstance(data, TraceSummary):
        return [
            {
                "name": context,
                "queries": s["n_queries"],
                "means": [s["rows"][m]["accuracy"][0] for m in data.models],
            }
            for context, s in data.contexts.items()
        ]
    parts = [data.select(context=context) for context in data.contexts]
    return [
        {
            "name": part.contexts[0],
            "queries": part.n_queries,
            "means": part.accuracy.mean(axis=0).tolist(),
        }
        for part in parts
    ]


def _cell(text: str) -> str:
    """Return a name as text of a Markdown table.

    Nothing in it ends a cell, a line or starts markup.
    """
    return re.sub(r"([|<>`*\[\]\\])", r"\\\1", " ".join(str(text).split()))


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _api(token: str | None = None) -> "HfApi":
    from huggingface_hub import HfApi

    return HfApi(endpoint=_endpoint(), token=token)


@contextmanager
def _reported(repo: str, revision: str | None, writing: bool = False) -> Iterator[None]:
    """Whatever the Hub, the network or the disk may answer, as one line."""
    try:
        yield
    except (InputError, BrokenPipeError):
        raise
    except Exception as error:
        where = SCHEME + repo + (f"@{revision}" if revision else "")
        said = _said(error, repo, writing)
        if said is None:
            raise
        raise InputError(f"{where}: {said}") from error


def _said(error: BaseException, repo: str, writing: bool) -> str | None:
    """Return what an error means and the next move; None for one of our own making."""
    from huggingface_hub import errors

    hub = _endpoint()
    transport = errors.HfHubHTTPError.__mro__[1]  # of huggingface_hub's HTTP library
    unreachable = (
        transport,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.FileMetadataError,
        ConnectionError,
        TimeoutError,
    )
    cause = error.__cause__
    if isinstance(error, errors.LocalEntryNotFoundError) and cause is not None:
        return _said(cause, repo, writing)
    if isinstance(error, errors.GatedRepoError):
        page = f"{hub}/datasets/{repo}"
        return f"its owner must let you in; ask at {page}, then set HF_TOKEN"
    if isinstance(error, errors.RepositoryNotFoundError):
        move = (
            "check the name; if it is private, set HF_TOKEN to a token that may read it"
        )
        if writing:
            move = "check the owner, and that the token may write there"
        return f"no such dataset at {hub}; {move}"
    if isinstance(error, errors.RevisionNotFoundError):
        commits = f"{hub}/datasets/{repo}/commits/main"
        return f"no such revision; its commits are listed at {commits}"
    if isinstance(error, errors.HfHubHTTPError):
        return _status(error.response)
    if isinstance(error, unreachable):
        move = "check the network and HF_ENDPOINT"
        if not writing:
            move += "; what was loaded once by its commit needs no network"
        return f"cannot reach {hub} ({type(cause or error).__name__}); {move}"
    if isinstance(error, KeyError | TypeError | json.JSONDecodeError):
        return f"{hub} does not answer as a Hub does; check HF_ENDPOINT"
    if isinstance(error, OSError | ValueError | RuntimeError):
        return f"{' '.join(str(error).split())[:300]}; try again"
    return None


def _status(response: Any) -> str:
    """Return what an HTTP status of the Hub means, and the next move."""
    moves: dict[Any, str] = {
        401: "the token is not valid: set HF_TOKEN to another",
        403: "the token may not do this: set HF_TOKEN to one that may",
        412: "someone else pushed meanwhile: push again",
    }
    status: Any = "nothing" if response is None else response.status_code
    return f"the Hub answered {status}; {moves.get(status, 'try again later')}"
