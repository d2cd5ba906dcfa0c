"""Stamps: what each run of a study left in ``build``, among it what no manifest holds.

A stamp has a run's inputs, and when, on which machine and from which commit it was
made.
"""

import json
from pathlib import Path
from typing import Any

from ..study.study import Study

#: Parameters that only say where results go: the same run in another folder is the same
#: run.
PLACES = ("result", "results", "figures", "run")


def as_study(study: Study | str | Path) -> Study:
    """Return a study, or the one in a folder of the checkout."""
    return study if isinstance(study, Study) else Study.here(study)


def run_id(stamp: dict[str, Any]) -> str:
    """Return a run's id: 12 hex digits of the hash of everything it depends on."""
    return stamp["input"][:12]


def parameters(stamp: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters that a run had, without where its results went.

    The notebook's own defaults are among them.

    Examples
    --------
    >>> given = {"rate": 0.2, "result": "r.json"}
    >>> parameters({"defaults": {"seed": 0, "rate": 0.1}, "parameters": given})
    {'seed': 0, 'rate': 0.2}
    """
    values = stamp["defaults"] | stamp["parameters"]
    return {name: value for name, value in values.items() if name not in PLACES}


def stamps(study: Study) -> dict[str, dict[str, Any]]:
    """Return the stamps of a study by run's name; damaged ones are left out."""
    found = {}
    for path in sorted(study.results.glob("*.stamp")):
        try:
            stamp = json.loads(path.read_text("utf-8"))
        except ValueError:
            continue
        if {"input", "code", "defaults"} <= set(stamp):
            found[path.stem] = stamp
    return found


def studies(study: Study) -> list[Study]:
    """Return the studies in a study's folder, itself among them, nearest first."""
    inside = {
        path.parent.parent.relative_to(study.path)
        for path in study.path.rglob("*.stamp")
        if path.parent.name == "results"
    }
    nearest_first = sorted(inside, key=lambda place: (len(place.parts), place))
    return [Study(study.root, study.folder / place) for place in nearest_first]


def made_here(study: Study, manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the stamps of those runs of a manifest that were made in this folder.

    Parameters
    ----------
    study : Study
        It and the studies in its folder are searched.
    manifest : dict

    Returns
    -------
    dict of str to dict
        Run's name -> stamp, with commit, lock, machine, seconds and date.
    """
    found = {}
    for other in reversed(studies(study)):  # the nearest speaks last
        for stamp in stamps(other).values():
            found[stamp["input"]] = stamp
    return {
        name: found[run["input"]]
        for name, run in manifest["runs"].items()
        if run["input"] in found
    }
