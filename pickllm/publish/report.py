"""The report: claims first, then each figure with a paragraph, methods, readings, runs.

It computes nothing: every number comes from a run's result, and every sentence with one
was written by the run.
"""

import base64
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import experiments
from ..analysis.headlines import gain, headlines
from ..errors import InputError
from ..files import PACKAGE, home, root, written
from ..study.provenance import PACKAGES
from ..study.runs import SIZES, all_figures
from ..study.study import Study
from . import artifact, latex, tables
from .manifest import write as write_manifest
from .pages import html, template
from .stamps import as_study, stamps
from .wording import claim_rows, headline_rows

if TYPE_CHECKING:
    from ..core.trace import Trace

MARKERS = ("<!-- claims: written by `make reproduce` -->", "<!-- end of claims -->")


def write(
    study: Study | str | Path,
    trace: "Trace",
    size: str,
    planned: Sequence[Mapping[str, Any]],
) -> Path:
    """Write a study's report from its results, and its manifest beside its figures.

    ``<folder>/report/index.html`` is one file that opens from disk; ``tables/``,
    ``numbers.tex`` and ``artifact.md`` stand beside it.

    Parameters
    ----------
    study : Study, or path of its folder
    trace : Trace
    size : str
        A key of `SIZES`.
    planned : sequence of dict
        From `runner.plan`.

    Returns
    -------
    pathlib.Path
    """
    study = as_study(study)
    claims = pd.read_csv(study.figures / "claims.csv")
    names = [plan["run"].name for plan in planned]
    manifest = write_manifest(study, tables.write(study), names)
    sheet = artifact.sheet(study, manifest, claims)
    code = stamps(study)[manifest["figures"]["claims"]["made_by"]]["code"]
    page = template("report.html.j2").render(
        **_opening(trace, size),
        **_headlines(study, claims),
        **_claims(claims, manifest),
        **_pictures(study, manifest),
        **_runs(study, names),
        methods=_document(study, "METHODS.md"),
        readings=_document(study, "READINGS.md"),
        artifact=html(sheet),
    )
    texts = {
        "numbers.tex": latex.macros(claims, manifest, code["commit"]),
        "artifact.md": f"# Artifact sheet\n\n{sheet}",
        "index.html": page,
    }
    for name, text in texts.items():
        with written(study.report / name) as file:
            file.write(text)
    return study.report / "index.html"


def _opening(trace: "Trace", size: str) -> dict[str, Any]:
    """Return what the page's first lines say: trace, size, and the pool's note."""
    from ..core.pool import declared_pools

    name = trace.name.removesuffix("-rows")
    note = ""
    if name in declared_pools():
        note = (
            f"The pool: {declared_pools()[name]['note']}. It is no evidence that"
            " routing pays in general."
        )
    return {
        "trace": trace.name,
        "size": size.capitalize(),
        "sessions": f"{SIZES[size]['sessions']:,}",
        "queries": f"{SIZES[size]['queries']:,}",
        "pool_note": note,
    }


def _headlines(study: Study, claims: pd.DataFrame) -> dict[str, Any]:
    """Return the headline claims, where the study has a multiverse."""
    tables_of = multiverse_tables(study.figures)
    if tables_of is None:
        return {"headlines": [], "gain": ""}
    shares, indices = tables_of
    rows = headline_rows(headlines(claims, shares, indices))
    return {"headlines": rows, "gain": gain(shares)}


def multiverse_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the multiverse's claims and indices from a folder of figures, if there."""
    paths = [folder / f"multiverse-{name}.csv" for name in ("claims", "decides")]
    if not all(path.exists() for path in paths):
        return None
    shares, indices = (pd.read_csv(path) for path in paths)
    return shares, indices


def _claims(claims: pd.DataFrame, manifest: dict[str, Any]) -> dict[str, Any]:
    counts = claims.verdict.value_counts()
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return {
        "tally": tally.capitalize(),
        "weights": experiments.MAIN_WEIGHTS,
        "rate": f"{experiments.RATE:g}",
        "claims": claim_rows(claims),
        "claims_run": manifest["figures"]["claims"]["run"],
    }


def _pictures(study: Study, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the figures, as text that the page holds, and the links to tables."""
    figures = []
    for name, (title, text) in all_figures().items():
        path = study.figures / f"{name}.svg"
        if path.exists():
            code = base64.b64encode(path.read_bytes()).decode()
            figure = {
                "name": name,
                "title": title,
                "text": text,
                "source": f"data:image/svg+xml;base64,{code}",
                "run": manifest["figures"][name]["run"],
            }
            figures.append(figure)
    linked = []
    for name, entry in manifest["tables"].items():
        title = tables.TABLES[name.removeprefix("tables/")].title
        linked.append({"name": name, "title": title, **entry})
    return {"figures": figures, "tables": linked}


def _runs(study: Study, names: Sequence[str]) -> dict[str, Any]:
    """Return what each run took and found, and what this machine is."""
    runs = []
    notes = []
    for name in names:
        stamp = json.loads(study.stamp(name).read_text("utf-8"))
        result = json.loads((study.results / f"{name}.json").read_text("utf-8"))
        run = {
            "name": name,
            "notebook": stamp["notebook"],
            "seconds": stamp["seconds"],
            "input": stamp["input"][:12],
        }
        runs.append(run)
        notes += result["notes"]
    system = f"{platform.system()} {platform.machine()}"
    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    return {
        "runs": runs,
        "notes": notes,
        "total": f"{sum(run['seconds'] for run in runs):.0f}",
        "machine": (
            f"Python {platform.python_version()} on {system}, {os.cpu_count()} cores"
        ),
        "versions": ", ".join(versions),
    }


def _document(study: Study, name: str) -> str:
    """Return one of the kit's own pages as HTML, its headings a level lower."""
    places = [PACKAGE / name, study.root / name, home("notebooks") / name]
    for path in places:
        if path.exists():
            text = re.sub(r"^# .*\n", "", path.read_text("utf-8"), count=1)
            return html(re.sub(r"^#", "##", text, flags=re.MULTILINE))
    return ""


def headlines_markdown(headlines: pd.DataFrame) -> str:
    """Return the headline claims as a table for the README."""
    lines = [
        "| claim | L_R-I: here | in worlds | Q-learning: here | in worlds |"
        " decided by (L_R-I; Q-learning) |",
        "|---|---|---:|---|---:|---|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in headline_rows(headlines)]
    return "\n".join(lines).replace("L_R-I", "L<sub>R-I</sub>")


def claims_markdown(claims: pd.DataFrame) -> str:
    """Return the table of claims for the README, from `figures/claims.csv`."""
    lines = [
        "| claim | source | stated | ours | 95 % interval, these queries |"
        " queries like these | random choice | attainable | verdict |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for claim in claim_rows(claims):
        intervals = ("interval", "interval_queries")
        limits = ("random", "attainable")
        shown = ("statement", "source", "stated", "value", *intervals, *limits)
        cells = [*(claim[name] for name in shown), claim["verdict"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines).replace("L_R-I", "L<sub>R-I</sub>")


def readme_claims(folder: Path) -> str:
    """Return what the README says of the claims: headlines, and their evidence.

    Parameters
    ----------
    folder : pathlib.Path
        With ``claims.csv``, ``multiverse-claims.csv`` and ``multiverse-decides.csv``.
    """
    claims = pd.read_csv(folder / "claims.csv")
    known = multiverse_tables(folder)
    if known is None:
        return claims_markdown(claims)
    shares, indices = known
    parts = [
        headlines_markdown(headlines(claims, shares, indices)),
        gain(shares),
        f"<details><summary>The {len(claims)} claims behind them</summary>",
        claims_markdown(claims),
        "</details>",
    ]
    return "\n\n".join(parts)


def update_readme(text_of_claims: str, path: Path | None = None) -> None:
    """Write what is said of the claims between the README's markers.

    Parameters
    ----------
    text_of_claims : str
        Of `readme_claims`.
    path : pathlib.Path, optional
        By default the checkout's README.

    Raises
    ------
    InputError
        The README has no markers.
    """
    path = path or root() / "README.md"
    text = path.read_text("utf-8")
    begin, end = MARKERS
    if begin not in text or end not in text:
        raise InputError(
            f"{path}: the markers {begin} and {end} are missing; put both back, the"
            " table goes between them"
        )
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    with written(path) as file:
        file.write(f"{before}{begin}\n{text_of_claims}\n{end}{after}")
