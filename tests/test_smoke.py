"""The smallest whole study, by an installed wheel in a folder that is no checkout.

Every figure, verdict and page, and the same bytes from one worker and from two.
"""

import html
import json
import os
import subprocess
import sys
import zipfile

import pandas as pd
import pytest

from pickllm.analysis import claims
from pickllm.figures import captions
from pickllm.files import root

pytestmark = pytest.mark.xdist_group("smoke")
MINE = "a figure of the user's own"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The wheel, unpacked where no checkout is."""
    if not (root() / "pyproject.toml").exists():
        pytest.skip("no checkout to build a wheel from")
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
    subprocess.run([*command, str(place)], cwd=root(), check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    wheel.unlink()
    return place


@pytest.fixture(scope="module")
def folder(site, tmp_path_factory):
    """A folder in which the wheel's smoke study has run, by two workers."""
    place = tmp_path_factory.mktemp("user")
    (place / "figures").mkdir()
    (place / "figures" / "claims.csv").write_text(MINE)
    command(site, place, "run", "study", "--size", "smoke", "--jobs", "2")
    return place


def start(site, place, *arguments):
    """The command line of the wheel, in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "pickllm", *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )


def command(site, place, *arguments):
    done = start(site, place, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def smoke(folder):
    return folder / "pickllm-study" / "smoke"


#: The full study alone has other traces beside its own.
FIGURES = {
    name: title
    for name, (title, _) in captions.FIGURES.items()
    if name != "frontier-coderouterbench"
}


def test_every_figure_is_there_in_every_format(smoke):
    for name in FIGURES:
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
    shown = html.unescape(text)
    assert all(title in shown for title in FIGURES.values())
    assert 'src="http' not in text
    assert 'href="http://' not in text
    assert "<script src" not in text


def test_the_report_has_the_methods_and_the_readings(smoke):
    text = (smoke / "report" / "index.html").read_text("utf-8")
    assert "<strong>Data.</strong>" in text
    assert "<h3>What the abstract states</h3>" in text


def test_it_writes_in_its_own_folder_alone(folder, site):
    assert sorted(path.name for path in folder.iterdir()) == [
        "figures",
        "pickllm-study",
    ]
    assert [path.name for path in (folder / "figures").iterdir()] == ["claims.csv"]
    assert (folder / "figures" / "claims.csv").read_text() == MINE
    assert not list(site.rglob("*.stamp"))


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (["verify"], "verify needs the record in figures/ of a checkout"),
        (["archive"], "archive needs the record in figures/ of a checkout"),
        (["promote", "mine"], "promote needs the notebooks and data of a checkout"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_needs_a_checkout_says_so_in_one_line(site, tmp_path, arguments, needs):
    done = start(site, tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"pickllm: {needs}")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_findings_are_written_by_the_runs(smoke):
    notes = [
        note
        for path in (smoke / "results").glob("*.json")
        for note in json.loads(path.read_text("utf-8"))["notes"]
    ]
    assert notes
    assert all(note.endswith(".") for note in notes)


def test_one_worker_gives_the_bytes_that_two_gave(site, folder, smoke):
    def made():
        paths = [*(smoke / "figures").glob("*.csv"), *(smoke / "results").iterdir()]
        return {p.name: p.read_bytes() for p in paths if p.suffix != ".stamp"}

    before = made()
    assert len(before) >= 2 * len(FIGURES)
    again = ["sessions-balanced", "figures-sessions", "claims"]
    for name in again:
        (smoke / "results" / f"{name}.stamp").unlink()
    options = ["--size", "smoke", "--jobs", "1", "--folder", str(smoke)]
    printed = command(site, folder, "run", "study", *options)
    assert f"{len(again)} runs executed" in printed
    assert made() == before
