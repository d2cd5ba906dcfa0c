"""The whole study at its smallest size: every figure, verdict and page, and the same bytes from one worker and from two."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from pickllm.analysis import claims
from pickllm.figures import captions
from pickllm.files import root

pytestmark = pytest.mark.xdist_group("smoke")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout in which the smoke study has run, by two workers."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("pickllm", "data", "notebooks"):
        shutil.copytree(
            root() / name,
            place / name,
            ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
        )
    for path in root().iterdir():
        if path.suffix in (".toml", ".md", ".cff", ".lock"):
            shutil.copy(path, place)
    run(place, jobs=2)
    return place


def run(place, jobs):
    command = [
        sys.executable,
        "-m",
        "pickllm",
        "run",
        "study",
        "--size",
        "smoke",
        "--jobs",
        str(jobs),
    ]
    done = subprocess.run(
        command,
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def smoke(checkout):
    return checkout / "build" / "smoke"


def test_every_figure_is_there_in_every_format(smoke):
    for name in captions.FIGURES:
        for ending in ("svg", "pdf", "png", "csv"):
            assert (smoke / "figures" / f"{name}.{ending}").stat().st_size > 0, (
                f"{name}.{ending}"
            )


def test_every_claim_has_a_verdict(smoke):
    frame = pd.read_csv(smoke / "figures" / "claims.csv")
    assert set(frame.id) == {c.id for c in claims.CLAIMS}
    assert frame.verdict.notna().all()
    assert frame.reason.notna().all()


def test_the_report_stands_alone(smoke):
    text = (smoke / "report" / "index.html").read_text("utf-8")
    assert all(title in text for title, _ in captions.FIGURES.values())
    assert 'src="http' not in text
    assert 'href="http://' not in text
    assert "<script src" not in text


def test_the_small_study_leaves_the_record_alone(smoke):
    assert not (smoke.parents[1] / "figures").exists()


def test_findings_are_written_by_the_runs(smoke):
    notes = [
        note
        for path in (smoke / "results").glob("*.json")
        for note in json.loads(path.read_text("utf-8"))["notes"]
    ]
    assert notes
    assert all(note.endswith(".") for note in notes)


def test_one_worker_gives_the_bytes_that_two_gave(checkout, smoke):
    made = lambda: {
        p.name: p.read_bytes()
        for p in [*(smoke / "figures").glob("*.csv"), *(smoke / "results").iterdir()]
        if p.suffix != ".stamp"
    }
    before = made()
    assert len(before) >= 2 * len(captions.FIGURES)
    again = ["sessions-balanced", "figures-sessions", "claims"]
    for name in again:
        (smoke / "results" / f"{name}.stamp").unlink()
    assert f"{len(again)} runs executed" in run(checkout, jobs=1)
    assert made() == before
