"""Citing: BibTeX for the paper, the kit and the data, and one claim as a sentence with its interval, n and run."""

import pandas as pd

from .. import experiments
from ..analysis import claims as _claims
from ..errors import InputError, nearest
from ..files import PACKAGE, root
from ..study import provenance
from . import receipts

#: What the order of the file's references stands for.
_ARXIV = "arXiv "


def citation_file():
    """Return the kit's CITATION.cff as plain data.

    Raises
    ------
    InputError
        There is none.
    """
    import yaml

    for path in (root() / "CITATION.cff", PACKAGE / "CITATION.cff"):
        if path.exists():
            return yaml.safe_load(path.read_text("utf-8"))
    raise InputError(f"no CITATION.cff in {root()}; run this in a checkout of the kit")


def bibtex():
    """Three BibTeX entries: the paper, this kit at its version and commit, and the data.

    Returns
    -------
    str
    """
    cff = citation_file()
    paper = next(r for r in cff["references"] if r["type"] != "dataset")
    data = next(r for r in cff["references"] if r["type"] == "dataset")
    code = provenance.code()
    eprint = paper["notes"].removeprefix(_ARXIV)
    state = {True: "", False: ", with changes since", None: ""}[code["clean"]]
    return "\n\n".join(
        [
            entry(
                "misc",
                "pickllm",
                {
                    "author": _authors(paper),
                    "title": f"{{{paper['title']}}}",
                    "year": paper["year"],
                    "eprint": eprint,
                    "archiveprefix": "arXiv",
                    "url": paper["url"],
                },
            ),
            entry(
                "software",
                "pickllm-kit",
                {
                    "author": _authors(cff),
                    "title": f"{{{cff['title']}}}",
                    "year": (code["date"] or "")[:4],
                    "version": cff["version"],
                    "note": f"commit {code['commit']}{state}" if code["commit"] else "",
                    "license": cff["license"],
                },
            ),
            entry(
                "misc",
                "pickllm-data",
                {
                    "author": _authors(data),
                    "title": f"{{{data['title']}}}",
                    "year": data["year"],
                    "url": data["url"],
                    "note": f"commit {data['commit']}",
                },
            ),
        ]
    )


def entry(kind, key, fields):
    r"""One BibTeX entry; empty fields are left out, braces kept, special characters escaped.

    Examples
    --------
    >>> print(entry("misc", "a", {"title": "{R & D}", "year": 2024, "note": ""}))
    @misc{a,
      title = {{R \& D}},
      year = {2024},
    }
    """
    special = {c: f"\\{c}" for c in "&%$#_"}
    text = lambda name, value: (
        str(value) if name == "url" else "".join(special.get(c, c) for c in str(value))
    )
    lines = [
        f"  {name} = {{{text(name, value)}}},"
        for name, value in fields.items()
        if value not in ("", None)
    ]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _authors(item):
    """People by family and given names; groups in braces, so that BibTeX does not take them apart."""
    return " and ".join(
        (
            f"{{{a['name']}}}"
            if "name" in a
            else ", ".join(
                a[part] for part in ("family-names", "given-names") if part in a
            )
        )
        for a in item["authors"]
    )


def sentence(claim, record="figures"):
    """One claim of the record, ready to quote.

    Parameters
    ----------
    claim : str
        Its id.
    record : path
        Folder of ``claims.csv`` and of the manifest, from the checkout's top.

    Returns
    -------
    str

    Raises
    ------
    InputError
        No such claim, or no record.
    """
    from .report import claim_rows

    manifest = receipts.read(root() / record / receipts.MANIFEST)
    table = pd.read_csv(root() / record / "claims.csv")
    if claim not in set(table.id):
        raise InputError(f"unknown claim {claim!r}; {nearest(claim, table.id)}")
    (c,) = claim_rows(table[table.id == claim])
    receipt = manifest["figures"]["claims"]
    commit = provenance.short(manifest["runs"][receipt["made_by"]]["code"]["commit"])
    source = (
        "declared by the kit"
        if c["source"] == "ours"
        else "the paper's abstract"
        if c["source"] == _claims.ABSTRACT
        else c["source"]
    )
    stated = f", stated {c['stated']}" if c["stated"] else ""
    measured = (
        f"measured {c['value']} (95 % interval {c['interval']}; n ="
        f" {sample(claim, manifest)}), "
        if c["value"]
        else ""
    )
    text = (
        f'Claim "{c["statement"]}" ({source}{stated}): {measured}verdict:'
        f" {c['verdict']}"
    )
    return (
        f"{text} [pickllm {manifest['kit']}, commit {commit}, run {receipt['run']},"
        f" claim {claim}]."
    )


def sample(claim, manifest):
    """On how many sessions, or contexts, a claim's interval rests.

    Parameters
    ----------
    claim : str
        Its id.
    manifest : dict

    Returns
    -------
    str
    """
    (measure,) = {c.measure for c in _claims.CLAIMS if c.id == claim} or {""}
    parameters = manifest["runs"][f"sessions-{experiments.MAIN_WEIGHTS}"]["parameters"]
    contexts = parameters["contexts"]
    n = len(
        manifest["traces"][parameters["trace"]]["contexts"]
        if contexts == "all"
        else contexts.split(",")
    )
    if measure == "speed":
        return f"{n} contexts of {parameters['sessions']:,} sessions per learning rate"
    return (
        f"{parameters['sessions']:,} sessions of {parameters['queries']:,} queries in"
        f" each of {n} contexts"
    )
