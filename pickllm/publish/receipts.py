"""Receipts: whether every figure of the record still is what its manifest says."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..study.study import Study
from .manifest import MANIFEST, PICTURES, collect, read, same, upstream, write
from .record import committed, listed
from .stamps import as_study, run_id
from .why import why

__all__ = [
    "MANIFEST",
    "check",
    "collect",
    "outdated",
    "read",
    "same",
    "unresolved",
    "why",
    "write",
]


def check(study: Study | str | Path = "build") -> list[tuple[str, str | None]]:
    """Check each committed figure's receipt.

    It reads git's HEAD where there is git, else the folder. HEAD may have moved on
    since the record was made.

    Parameters
    ----------
    study : Study, or path of its folder
        The study whose record is checked.

    Returns
    -------
    list of (str, str or None)
        Name, and the first thing that is wrong or None: the receipt is there, its
        hashes are the files', and it leads to a trace and the date of its prices.
    """
    study = as_study(study)
    names = {Path(name).stem for name in listed(study) if name.endswith(".csv")}
    text = committed(study, MANIFEST)
    if text is None:
        folder = study.record.name
        told = f"no {folder}/{MANIFEST}; run `make reproduce` and commit {folder}/"
        return [(name, told) for name in sorted(names)]
    manifest = json.loads(text)
    lone = set(manifest["figures"]) - names
    return [
        *((name, _wrong(study, manifest, name)) for name in sorted(names)),
        *((name, "a receipt without a figure") for name in sorted(lone)),
    ]


def _wrong(study: Study, manifest: dict[str, Any], name: str) -> str | None:
    """Return the first thing that is wrong with a figure's receipt."""
    receipt = manifest["figures"].get(name)
    if receipt is None:
        return "no receipt"
    expected = {"csv": receipt["numbers"]["sha256"], **receipt["pictures"]}
    for ending in ("csv", *PICTURES):
        file = f"{name}.{ending}"
        content = committed(study, file)
        if content is None:
            return f"{file} is not committed"
        if ending not in expected:
            return f"no receipt of {file}"
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != expected[ending]:
            return (
                f"{file} is not the file of the receipt: SHA-256 {sha256[:12]}, receipt"
                f" {expected[ending][:12]}"
            )
        if ending != "csv" and f"pickllm run {receipt['run']}".encode() not in content:
            return f"{file} does not carry run id {receipt['run']}"
    return unresolved(manifest, receipt)


def unresolved(manifest: dict[str, Any], receipt: dict[str, Any]) -> str | None:
    """Return the first missing link from a receipt to the trace and its prices.

    Parameters
    ----------
    manifest : dict
    receipt : dict
        Of ``figures`` of the manifest.

    Returns
    -------
    str or None
    """
    made_by = receipt["made_by"]
    try:
        names = [made_by, *upstream(manifest, made_by)]
    except InputError as error:
        return str(error).partition(";")[0]
    runs = [manifest["runs"][name] for name in names]
    if receipt["run"] != runs[0]["run"] or any(run_id(r) != r["run"] for r in runs):
        return "its run id is not that of the inputs"
    if receipt["cell"] is None:
        return f"no single cell of {runs[0]['notebook']} draws it"
    given = [run["parameters"] for run in runs]
    traces = {values["trace"] for values in given if "trace" in values}
    if not traces:
        return "no trace at the end of its chain"
    unknown = sorted(traces - set(manifest["traces"]))
    if unknown:
        return f"no hash of trace {', '.join(unknown)}"
    prices = [manifest["traces"][trace]["prices"] for trace in traces]
    if any(listed is not None and not listed["as_of"] for listed in prices):
        return "no date of its prices"
    return None


def outdated(study: Study | str | Path) -> list[str]:
    """Return the figures whose inputs in a fresh study are not those of the record.

    Code, notebook, parameters or trace have changed since.

    Parameters
    ----------
    study : Study, or path of its folder
        The fresh study.

    Returns
    -------
    list of str
    """
    study = as_study(study)
    text = committed(study, MANIFEST)
    path = study.figures / MANIFEST
    if text is None or not path.exists():
        return []
    old = json.loads(text)["figures"]
    new = read(path)["figures"]
    both = set(old) & set(new)
    return sorted(name for name in both if old[name]["run"] != new[name]["run"])
