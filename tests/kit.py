"""A checkout small enough to know by heart: two notebooks, two runs, one figure, under git."""

import atexit
import functools
import json
import pathlib
import shutil
import subprocess
import tempfile

import pandas as pd
import pytest

from pickllm import figures
from pickllm.figures import saving
from pickllm.files import digest, home
from pickllm.publish import archive, check, citation, diff, receipts, tables
from pickllm.study import provenance

RUNS = {"sessions-balanced": ("sim", "1" * 64), "claims": ("draw", "2" * 64)}


def git(folder, *arguments):
    options = [
        "-c",
        "user.name=n",
        "-c",
        "user.email=e",
        "-c",
        "core.hooksPath=none",
        "-c",
        "commit.gpgsign=false",
    ]
    return subprocess.run(
        ["git", *options, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def notebook(*sources):
    cells = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "metadata": {},
            "source": s,
            "outputs": [],
            "execution_count": None,
        }
        for i, s in enumerate(sources)
    ]
    return json.dumps(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    )


def claims():
    """Three claims: one measured, one as a share, one that cannot be tested."""
    rows = [
        (
            "cost-60-lri-most-expensive",
            "session cost -60 %, against the most expensive LLM (L_R-I)",
            "secondary: a page",
            -60.0,
            -63.2104,
            -64.8,
            -61.7,
            "%",
            "reproduced",
            "near",
        ),
        (
            "speed-lri",
            "a higher learning rate locks sooner (L_R-I)",
            "abstract",
            None,
            1.0,
            0.675592,
            1.0,
            "of contexts",
            "partly",
            "in 8 of 8",
        ),
        (
            "reward-ratio",
            "reward = w_a a & 50 % of {x}",
            "secondary: a page",
            None,
            None,
            None,
            None,
            "%",
            "not testable",
            "a statement",
        ),
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "id",
            "statement",
            "source",
            "paper_value",
            "measured",
            "low",
            "high",
            "unit",
            "verdict",
            "reason",
        ],
    )


def stamp(folder, name, files, study="build", **parameters):
    book, inputs = RUNS[name]
    content = {
        "input": inputs,
        "seconds": 1.5,
        "parameters": parameters | {"result": f"{study}/results/{name}.json"},
        "defaults": {"seed": 0, "result": "elsewhere.json"},
        "notebook": book,
        "notebook_sha256": provenance.sha256(folder / "notebooks" / f"{book}.ipynb"),
        "needs": ["sessions-balanced"] if name == "claims" else [],
        "finished": "2026-01-01T00:00:00Z",
        "code": provenance.code(folder),
        "lock": provenance.lock(folder),
        "machine": {
            "python": "3.11",
            "system": "Linux",
            "cores": 2,
            "memory_gb": None,
            "versions": {"numpy": "2.0"},
            "not_locked": [],
        },
        "files": {f: digest(folder / f) for f in files},
    }
    (folder / study / "results" / f"{name}.stamp").write_text(json.dumps(content))


def build(folder, study="build", **parameters):
    """Write the study's results and figure, as the notebooks would."""
    (folder / study / "results").mkdir(parents=True, exist_ok=True)
    (folder / study / "notebooks").mkdir(exist_ok=True)
    table = claims()
    drawn = figures.save(
        figures.claims(table.iloc[:2]),
        "claims",
        table,
        folder / study / "figures",
        run="2" * 12,
    )
    drawn = [f"{study}/figures/claims.{f.rsplit('.', 1)[1]}" for f in drawn]
    table.to_parquet(folder / study / "results" / "claims.claims.parquet")
    for name in RUNS:
        (folder / study / "results" / f"{name}.json").write_text("{}")
        (folder / study / "notebooks" / f"{name}.ipynb").write_text(notebook("1"))
    own = {
        "trace": "bfcl-2024-08-11",
        "prices": "",
        "sessions": 1000,
        "queries": 500,
        "contexts": "simple, rest",
    } | parameters
    stamp(
        folder,
        "sessions-balanced",
        [f"{study}/results/sessions-balanced.json"],
        study,
        **own,
    )
    stamp(
        folder,
        "claims",
        [
            f"{study}/results/claims.json",
            f"{study}/results/claims.claims.parquet",
            *drawn,
        ],
        study,
    )


def adopt(folder, monkeypatch):
    """Let the kit's modules take ``folder`` for their own checkout."""
    for module in (
        archive,
        check,
        citation,
        diff,
        saving,
        provenance,
        receipts,
        tables,
    ):
        monkeypatch.setattr(module, "root", lambda: folder)
    monkeypatch.setattr(
        receipts,
        "home",
        lambda name: folder / name if name == "notebooks" else home(name),
    )
    return folder


def checkout(folder, monkeypatch):
    """Everything in ``folder``, committed; the kit's modules take it for their own checkout."""
    adopt(folder, monkeypatch)
    files = {
        "pickllm/a.py": "1\n",
        "data/d.csv": "x\n1\n",
        "README.md": "hello\n",
        "requirements.lock": "numpy==2.0 \\\n    --hash=sha256:00\n",
        ".gitignore": "build/\n",
        "CITATION.cff": (home("data").parent / "CITATION.cff").read_text("utf-8"),
        "notebooks/sim.ipynb": notebook("seed = 0", "1"),
        "notebooks/draw.ipynb": notebook(
            "import x",
            "%matplotlib inline\nsaved = draw.save(f, 'claims', t, figures, run)",
        ),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "code")
    return folder


def record(folder):
    """Build the study and commit its record, as `make reproduce` and its user do."""
    build(folder)
    receipts.write("build", tables.write("build"))
    (folder / "figures").mkdir(exist_ok=True)
    for path in (folder / "build" / "figures").iterdir():
        (folder / "figures" / path.name).write_bytes(path.read_bytes())
    git(folder, "add", "figures")
    git(folder, "commit", "-qm", "record")


@functools.cache
def _template():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pickllm-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        record(checkout(folder, monkeypatch))
    return folder


def recorded_checkout(folder, monkeypatch):
    """A copy of a checkout with its record committed."""
    shutil.copytree(_template(), folder, dirs_exist_ok=True)
    return adopt(folder, monkeypatch)
