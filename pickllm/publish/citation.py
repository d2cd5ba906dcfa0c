"""Citing: BibTeX for paper, kit and data, and a claim as a sentence with its run."""

from pathlib import Path
from typing import Any

import pandas as pd

from .. import experiments
from ..analysis import claims as declared
from ..errors import InputError, nearest
from ..files import PACKAGE
from ..readers import read_yaml
from ..study import provenance
from ..study.study import Study
from .manifest import MANIFEST, read
from .record import code_of_record
from .stamps import as_study, made_here
from .wording import claim_rows

#: Characters that BibTeX would take for commands.
SPECIAL = "&%$#_"


def citation_file(study: Study | str | Path = "build") -> dict[str, Any]:
    """Return the kit's CITATION.cff as plain data: the wheel's, else the checkout's.

    Raises
    ------
    InputError
        There is none.
    """
    root = as_study(study).root
    remedy = "run this in a checkout of the kit"
    for path in (PACKAGE / "CITATION.cff", root / "CITATION.cff"):
        if path.exists():
            return read_yaml(path, "citation file", remedy)
    raise InputError(f"no CITATION.cff in {root}; {remedy}")


def bibtex(study: Study | str | Path = "build") -> str:
    """Return three BibTeX entries: the paper, this kit at its commit, and the data.

    Parameters
    ----------
    study : Study, or path of its folder
        In the checkout whose commit is cited.

    Returns
    -------
    str
    """
    study = as_study(study)
    kit = citation_file(study)
    paper = next(r for r in kit["references"] if r["type"] != "dataset")
    data = next(r for r in kit["references"] if r["type"] == "dataset")
    code = provenance.code(study.root)
    state = ", with changes since" if code["clean"] is False else ""
    entries = [
        entry(
            "misc",
            "pickllm",
            {
                "author": _authors(paper),
                "title": f"{{{paper['title']}}}",
                "year": paper["year"],
                "eprint": paper["notes"].removeprefix("arXiv "),
                "archiveprefix": "arXiv",
                "url": paper["url"],
            },
        ),
        entry(
            "software",
            "pickllm-kit",
            {
                "author": _authors(kit),
                "title": f"{{{kit['title']}}}",
                "year": (code["date"] or "")[:4],
                "version": kit["version"],
                "note": f"commit {code['commit']}{state}" if code["commit"] else "",
                "license": kit["license"],
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
    return "\n\n".join(entries)


def entry(kind: str, key: str, fields: dict[str, Any]) -> str:
    r"""Return one BibTeX entry.

    Empty fields are left out, braces kept, special characters escaped.

    Examples
    --------
    >>> print(entry("misc", "a", {"title": "{R & D}", "year": 2024, "note": ""}))
    @misc{a,
      title = {{R \& D}},
      year = {2024},
    }
    """
    lines = [f"@{kind}{{{key},"]
    for name, value in fields.items():
        if value in ("", None):
            continue
        text = str(value)
        if name != "url":
            for character in SPECIAL:
                text = text.replace(character, f"\\{character}")
        lines.append(f"  {name} = {{{text}}},")
    return "\n".join([*lines, "}"])


def _authors(item: dict[str, Any]) -> str:
    """Return people by family and given names, and groups in braces.

    So BibTeX does not take a group's name apart.
    """
    names = []
    for author in item["authors"]:
        if "name" in author:
            names.append(f"{{{author['name']}}}")
        else:
            parts = [author.get("family-names"), author.get("given-names")]
            names.append(", ".join(part for part in parts if part))
    return " and ".join(names)


def sentence(claim: str, study: Study | str | Path = "build") -> str:
    """Return one claim of the record, ready to quote.

    Parameters
    ----------
    claim : str
        Its id.
    study : Study, or path of its folder
        Its record has the claim; it knows the commit where the run was made in it.

    Returns
    -------
    str

    Raises
    ------
    InputError, MissingFileError
        No such claim, or no record.
    """
    study = as_study(study)
    manifest = read(study.record / MANIFEST)
    table = pd.read_csv(study.record / "claims.csv")
    if claim not in set(table.id):
        raise InputError(f"unknown claim {claim!r}; {nearest(claim, list(table.id))}")
    (row,) = claim_rows(table.loc[table.id == claim])
    receipt = manifest["figures"]["claims"]
    made = made_here(study, manifest).get(receipt["made_by"])
    code = made["code"] if made else code_of_record(study)
    measured = ""
    if row["value"]:
        wider = row["interval_queries"]
        like_these = f", for queries like these {wider}" if wider else ""
        measured = (
            f"measured {row['value']} (95 % interval {row['interval']}{like_these}; n ="
            f" {sample(claim, manifest)}), "
        )
    stated = f", stated {row['stated']}" if row["stated"] else ""
    return (
        f'Claim "{row["statement"]}" ({_source(row["source"])}{stated}): {measured}'
        f"verdict: {row['verdict']} [pickllm {manifest['kit']}, commit"
        f" {provenance.short(code['commit'])}, run {receipt['run']}, claim {claim}]."
    )


def _source(source: str) -> str:
    if source == "ours":
        return "declared by the kit"
    if source == declared.ABSTRACT:
        return "the paper's abstract"
    return source


def sample(claim: str, manifest: dict[str, Any]) -> str:
    """Return on how many sessions, or contexts, a claim's interval rests.

    Parameters
    ----------
    claim : str
        Its id.
    manifest : dict

    Returns
    -------
    str
    """
    main = manifest["runs"][f"sessions-{experiments.MAIN_WEIGHTS}"]["parameters"]
    contexts = main["contexts"].split(",")
    if contexts == ["all"]:
        contexts = manifest["traces"][main["trace"]]["contexts"]
    n = len(contexts)
    measures = {c.id: c.measure for c in declared.CLAIMS}
    if measures.get(claim) == "speed":
        return f"{n} contexts of {main['sessions']:,} sessions per learning rate"
    return (
        f"{main['sessions']:,} sessions of {main['queries']:,} queries in each of"
        f" {n} contexts"
    )
