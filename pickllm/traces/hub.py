"""Sharing: a trace or its summary as a dataset on the Hugging Face Hub, and back by revision.

A shared dataset is one folder: ``trace.parquet`` (or ``trace.csv``) with ``prices.csv`` and
``trace.json``, or ``summary.json`` alone, and a card. An address is ``hub:owner/name@revision``; 40 hex
digits name one commit for ever, a branch or a tag may move, so it is resolved once and warned about.
Whatever has been loaded by its commit is kept by `huggingface_hub` and needs no network again.
"""

import io
import json
import os
import pathlib
import re
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

from ..core.pool import PRICE_COLUMNS
from ..errors import InputError, UnpinnedWarning
from .summary import TraceSummary

SCHEME = "hub:"
#: Files of a shared dataset, in the order in which they are looked for.
TRACE_FILES, SUMMARY_FILE, PRICE_FILE, NOTE_FILE, CARD = (
    ("trace.parquet", "trace.csv"),
    "summary.json",
    "prices.csv",
    "trace.json",
    "README.md",
)
TAG = "pickllm"
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
    trace, summary, prices : pathlib.Path or None
    note : dict
        What `push` recorded of the trace: ``limits``, ``fingerprint``; empty where
        nothing was.
    """

    address: str
    trace: pathlib.Path | None
    summary: pathlib.Path | None
    prices: pathlib.Path | None
    note: dict


@dataclass(frozen=True)
class Pushed:
    """What `push` did: the address that loads it back, and what everybody who may read it learns."""

    address: str
    disclosed: tuple


def parse(address):
    """(repository, revision or None) of an address.

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


def pinned(address, stacklevel=2):
    """Return the same address with its commit; a branch, a tag or no revision is resolved, with a warning.

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


def download(address, stacklevel=2):
    """Bring a shared dataset to this disk.

    Parameters
    ----------
    address : str
        ``hub:owner/name@revision``.

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
        files = _kept(repo, commit) or _fetched(repo, commit)
    trace = next((files[name] for name in TRACE_FILES if name in files), None)
    note = files.get(NOTE_FILE)
    try:
        note = json.loads(note.read_text("utf-8")) if note else {}
    except ValueError as error:
        raise InputError(
            f"{address}: {NOTE_FILE} is not JSON ({error}); push the trace again"
        ) from error
    return Shared(
        address,
        trace,
        files.get(SUMMARY_FILE),
        files.get(PRICE_FILE),
        note if isinstance(note, dict) else {},
    )


def push(
    data,
    repo,
    *,
    summary_only=False,
    licence="unknown",
    source="",
    private=False,
    with_text=False,
    min_cell=5,
):
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
    if not isinstance(data, TraceSummary):
        data = data.sample_of or (
            TraceSummary.of(data, min_cell, protect=True) if summary_only else data
        )
    files, disclosed = (
        _summary_files(data)
        if isinstance(data, TraceSummary)
        else _trace_files(data, with_text)
    )
    loaded = files.pop("fingerprint")
    files[CARD] = _card(repo, data, licence, source, loaded, disclosed).encode()
    with _reported(repo, None, writing=True):
        return Pushed(
            f"{SCHEME}{repo}@{_commit(repo, files, private)}",
            (*disclosed, f"licence: {licence}", f"fingerprint: {loaded}"),
        )


def _commit(repo, files, private):
    """One commit that makes these files the dataset's only ones; its id."""
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
    old = {*TRACE_FILES, SUMMARY_FILE, PRICE_FILE, NOTE_FILE} & there - files.keys()
    operations = [
        CommitOperationAdd(name, content) for name, content in files.items()
    ] + [CommitOperationDelete(name) for name in sorted(old)]
    message = "Summary of a trace" if SUMMARY_FILE in files else "Trace"
    return api.create_commit(
        repo,
        operations,
        commit_message=f"{message} (pickllm)",
        repo_type="dataset",
        parent_commit=info.sha,
    ).oid


def _trace_files(trace, with_text):
    """Return a trace's files as bytes, its fingerprint, and what they disclose."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    frame = trace.to_frame()
    text = [
        c
        for c in trace.extra
        if not (is_numeric_dtype(frame[c]) or is_bool_dtype(frame[c]))
    ]
    wordy = next(
        (q for q in trace.query_id.tolist() if len(q) > LONGEST_ID or " " in q), None
    )
    if wordy and not with_text:
        raise InputError(
            f"push: query_id {wordy[:40]!r} reads like a query's text; give ids without"
            f" spaces of at most {LONGEST_ID} characters, or say --with-text"
        )
    left = [] if with_text else text
    content = io.BytesIO()
    frame.drop(columns=left).to_parquet(content, index=False)
    note = {
        "format": 1,
        "name": trace.name,
        "fingerprint": trace.fingerprint(),
        "limits": vars(trace.limits),
    }
    files = {
        TRACE_FILES[0]: content.getvalue(),
        NOTE_FILE: (json.dumps(note, indent=1) + "\n").encode(),
        "fingerprint": trace.fingerprint(),
    }
    if trace.prices:
        files[PRICE_FILE] = (
            _price_table(trace.prices.values())
            .to_csv(index=False, lineterminator="\n")
            .encode()
        )
    kept = [c for c in trace.extra if c not in left]
    columns = "ids, contexts and LLMs by name, accuracy, tokens, latency and cost"
    disclosed = [
        f"every row: {trace.n_queries} queries by {len(trace.models)} LLMs, with"
        f" {columns}"
    ]
    disclosed += [f"further columns, as they are: {', '.join(kept)}"] if kept else []
    disclosed += (
        [f"left out as text: {', '.join(left)} (--with-text shares them)"]
        if left
        else []
    )
    return files, disclosed


def _summary_files(summary):
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # the file rounds; what is shared is what it holds
        path = pathlib.Path(folder) / SUMMARY_FILE
        summary.save(path)
        content, fingerprint = (
            path.read_bytes(),
            TraceSummary.load(path).sample().fingerprint(),
        )
    return {SUMMARY_FILE: content, "fingerprint": fingerprint}, summary.disclosed()


def _price_table(prices):
    import pandas as pd

    return pd.DataFrame(
        [
            (p.model, p.vendor, p.input_usd, p.output_usd, p.as_of, p.source)
            for p in prices
        ],
        columns=PRICE_COLUMNS,
    )


def _card(repo, data, licence, source, fingerprint, disclosed):
    """Return the dataset's card: what the Hub reads (YAML), then what people do."""
    import yaml

    whole = not isinstance(data, TraceSummary)
    head = {
        "license": licence,
        "pretty_name": f"{data.name}: {'trace' if whole else 'summary of a trace'}",
        "tags": [TAG, "llm-routing"],
    }
    head |= (
        {"configs": [{"config_name": "default", "data_files": TRACE_FILES[0]}]}
        if whole
        else {"viewer": False}
    )
    if whole:
        counts = {c: int((data.context == c).sum()) for c in data.contexts}
        means = {
            (c, m): data.accuracy[data.context == c, j].mean()
            for c in data.contexts
            for j, m in enumerate(data.models)
        }
    else:
        counts = {c: s["n_queries"] for c, s in data.contexts.items()}
        means = {
            (c, m): s["rows"][m]["accuracy"][0]
            for c, s in data.contexts.items()
            for m in data.models
        }
    table = [
        ("context", "queries", *(f"accuracy of {m}" for m in data.models)),
        ("---",) * (2 + len(data.models)),
    ]
    table += [
        (c, str(n), *(f"{means[c, m]:.3f}" for m in data.models))
        for c, n in counts.items()
    ]
    schema = [
        ("column", "unit"),
        ("---", "---"),
        ("query_id, context, model", "names"),
        ("accuracy", "in [0, 1]"),
        ("input_tokens, output_tokens", "count"),
        ("latency_ms", "milliseconds"),
        ("cost_usd", "US dollars"),
    ]
    listed = map(tuple, _price_table(data.prices.values()).astype(str).to_numpy())
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {_cell(data.name)}",
        (
            f"{'Outcomes' if whole else 'Statistics of the outcomes'} of every LLM of a"
            " pool on every query;"
            f" {'one row per query and LLM' if whole else 'no row'}."
        ),
        "## Load it",
        (
            "```python\nimport pickllm as pk\n\ntrace ="
            f' pk.load_trace("{SCHEME}{repo}@REVISION")\n```'
        ),
        (
            "REVISION is the 40 hex digits of a commit of this dataset (Files,"
            " History); `pickllm push` printed them."
        ),
        "## Queries and mean accuracy",
        _markdown(table),
        *(["## Schema of trace.parquet", _markdown(schema)] if whole else []),
        "## Prices",
        (
            _markdown([PRICE_COLUMNS, ("---",) * 6, *listed])
            if data.prices
            else "Costs are as recorded."
        ),
        "## What is disclosed",
        "\n".join(f"- {_cell(line)}" for line in disclosed),
        "## Provenance",
        (
            f"Source: {_cell(source) or 'not stated'}. Licence: {_cell(licence)}."
            f" Fingerprint of the trace as loaded (SHA-256): `{fingerprint}`."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown(rows):
    return "\n".join(f"| {' | '.join(_cell(v) for v in row)} |" for row in rows)


def _cell(text):
    """Return a name as text of a Markdown table: nothing in it ends a cell, a line or starts markup."""
    return re.sub(r"([|<>`*\[\]\\])", r"\\\1", " ".join(str(text).split()))


def _endpoint():
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _api(token=None):
    from huggingface_hub import HfApi

    return HfApi(endpoint=_endpoint(), token=token)


def _kept(repo, commit):
    """Return a commit's files as they stand on this disk; none if its rows or its summary were not brought yet."""
    from huggingface_hub import try_to_load_from_cache

    names = (NOTE_FILE, PRICE_FILE, SUMMARY_FILE, *TRACE_FILES)
    paths = {
        n: try_to_load_from_cache(
            repo, n, os.environ.get("HF_HUB_CACHE"), commit, "dataset"
        )
        for n in names
    }
    here = {
        name: pathlib.Path(path)
        for name, path in paths.items()
        if isinstance(path, str)
    }
    return here if here.keys() & {SUMMARY_FILE, *TRACE_FILES} else {}


def _fetched(repo, commit):
    """Return a commit's files, brought to this disk; the rows come last, so that where they are, all is."""
    from huggingface_hub import hf_hub_download

    there = [
        f.rfilename for f in _api().dataset_info(repo, revision=commit).siblings or ()
    ]
    main = next((name for name in (*TRACE_FILES, SUMMARY_FILE) if name in there), None)
    if main is None:
        seen = sorted(name for name in there if not name.startswith("."))
        listing = ", ".join(seen[:5]) + (
            f" and {len(seen) - 5} more" if len(seen) > 5 else ""
        )
        raise InputError(
            f"{SCHEME}{repo}@{commit}: not a shared trace; it needs {TRACE_FILES[0]},"
            f" {TRACE_FILES[1]} or {SUMMARY_FILE}, and has {listing or 'no files'}."
            " Download its file, bring it to the columns of a trace and load that"
        )
    wanted = [
        name
        for name in (NOTE_FILE, PRICE_FILE)
        if name in there and main != SUMMARY_FILE
    ] + [main]
    at = {
        "repo_type": "dataset",
        "revision": commit,
        "cache_dir": os.environ.get("HF_HUB_CACHE"),
        "endpoint": _endpoint(),
    }
    return {name: pathlib.Path(hf_hub_download(repo, name, **at)) for name in wanted}


@contextmanager
def _reported(repo, revision, writing=False):
    """Whatever the Hub, the network or the disk may answer, as one line with the next move."""
    from huggingface_hub import errors

    where = f"{SCHEME}{repo}" + (f"@{revision}" if revision else "")
    transport = errors.HfHubHTTPError.__mro__[
        1
    ]  # of the HTTP library that huggingface_hub uses
    try:
        yield
    except (InputError, BrokenPipeError):
        raise
    except errors.GatedRepoError as error:
        raise InputError(
            f"{where}: its owner must let you in; ask at {_endpoint()}/datasets/{repo},"
            " then set HF_TOKEN"
        ) from error
    except errors.RepositoryNotFoundError as error:
        move = (
            "check the name; if it is private, set HF_TOKEN to a token that may read it"
        )
        move = (
            "check the owner, and that the token may write there" if writing else move
        )
        raise InputError(
            f"{where}: no such dataset at {_endpoint()}; {move}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"{where}: no such revision; its commits are listed at"
            f" {_endpoint()}/datasets/{repo}/commits/main"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "nothing"
        moves = {
            401: "the token is not valid: set HF_TOKEN to another",
            403: "the token may not do this: set HF_TOKEN to one that may",
            412: "someone else pushed meanwhile: push again",
        }
        raise InputError(
            f"{where}: the Hub answered {status};"
            f" {moves.get(status, 'try again later')}"
        ) from error
    except (
        transport,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.FileMetadataError,
        ConnectionError,
        TimeoutError,
    ) as error:
        move = "check the network and HF_ENDPOINT" + (
            "" if writing else "; what was loaded once by its commit needs no network"
        )
        raise InputError(
            f"{where}: cannot reach {_endpoint()}"
            f" ({type(error.__cause__ or error).__name__}); {move}"
        ) from error
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{where}: {_endpoint()} does not answer as a Hub does; check HF_ENDPOINT"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{where}: {' '.join(str(error).split())[:300]}; try again"
        ) from error
