"""A small checkout, known by heart: two notebooks, two runs, one figure, under git."""

import atexit
import functools
import json
import pathlib
import shutil
import subprocess
import tempfile

import pandas as pd

from pickllm import figures
from pickllm.files import digest, home
from pickllm.publish import manifest, tables
from pickllm.study import provenance
from pickllm.study.study import Study

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
            -70.3,
            -56.1,
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
            None,
            None,
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
            "low_queries",
            "high_queries",
            "unit",
            "verdict",
            "reason",
        ],
    )


#: What a machine and a moment say of a run.
MADE = {
    "seconds": 1.5,
    "finished": "2026-01-01T00:00:00Z",
    "machine": {
        "python": "3.11",
        "system": "Linux",
        "cores": 2,
        "memory_gb": None,
        "versions": {"numpy": "2.0"},
        "not_locked": [],
    },
}


def stamp(folder, run, files, name, made, parameters):
    """Write a run's stamp, as the runner does."""
    book, inputs = RUNS[run]
    content = {
        "input": inputs,
        "parameters": parameters | {"result": f"{name}/results/{run}.json"},
        "defaults": {"seed": 0, "result": "elsewhere.json"},
        "notebook": book,
        "notebook_sha256": provenance.sha256(folder / "notebooks" / f"{book}.ipynb"),
        "needs": ["sessions-balanced"] if run == "claims" else [],
        "code": provenance.code(folder),
        "lock": provenance.lock(folder),
        "files": {file: digest(folder / file) for file in files},
        **made,
    }
    study(folder, name).stamp(run).write_text(json.dumps(content))


def build(folder, name="build", **made):
    """Write the study's results and figure, as the notebooks would."""
    made = MADE | made
    place = study(folder, name)
    place.results.mkdir(parents=True, exist_ok=True)
    place.notebooks.mkdir(exist_ok=True)
    table = claims()
    drawn = figures.save(
        figures.claims(table.iloc[:2]),
        "claims",
        table,
        place.figures,
        run="2" * 12,
    )
    table.to_parquet(place.results / "claims.claims.parquet")
    for run in RUNS:
        (place.results / f"{run}.json").write_text('{"notes": []}')
        (place.notebooks / f"{run}.ipynb").write_text(notebook("1"))
    simulated = [f"{name}/results/sessions-balanced.json"]
    own = {
        "trace": "bfcl-2024-08-11",
        "prices": "",
        "sessions": 1000,
        "queries": 500,
        "contexts": "simple, rest",
    }
    stamp(folder, "sessions-balanced", simulated, name, made, own)
    judged = [
        f"{name}/results/claims.json",
        f"{name}/results/claims.claims.parquet",
        *(f"{name}/figures/claims.{file.rsplit('.', 1)[1]}" for file in drawn),
    ]
    stamp(folder, "claims", judged, name, made, {})


def study(folder, name="build"):
    """A study of a checkout."""
    return Study(folder, pathlib.Path(name))


def adopt(folder, monkeypatch):
    """Let the command line take ``folder`` for the kit's own checkout."""
    monkeypatch.setattr("pickllm.study.study.root", lambda: folder)
    return folder


def checkout(folder):
    """Everything in ``folder``, committed."""
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


def reproduce(folder, name="build", **machine):
    """Build the study and renew the record, as `make reproduce` does."""
    build(folder, name, **machine)
    made = study(folder, name)
    manifest.write(made, tables.write(made))
    (folder / "figures").mkdir(exist_ok=True)
    for path in made.figures.iterdir():
        (folder / "figures" / path.name).write_bytes(path.read_bytes())


def record(folder):
    """Reproduce the study and commit its record."""
    reproduce(folder)
    git(folder, "add", "figures")
    git(folder, "commit", "-qm", "record")


@functools.cache
def _template():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pickllm-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    record(checkout(folder))
    return folder


def recorded_checkout(folder, monkeypatch):
    """A copy of a checkout with its record committed, which the commands work in."""
    shutil.copytree(_template(), folder, dirs_exist_ok=True)
    return adopt(folder, monkeypatch)
