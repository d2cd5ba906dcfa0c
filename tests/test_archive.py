"""The archive: the same bytes twice, whole elsewhere, refused where it is not true."""

import json
import os
import shutil
import subprocess
import zipfile

import pytest
from kit import RUNS, git, recorded_checkout, study

from pickllm.errors import InputError
from pickllm.publish import archive, receipts
from pickllm.study import provenance
from pickllm.study.runs import Run


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    return recorded_checkout(tmp_path / "kit", monkeypatch)


def planned(done=True):
    return [{"run": Run(name, name), "done": done} for name in RUNS]


def write(folder, output=None, **options):
    return archive.write(planned(), study(folder), output, **options)


def unpacked(path, folder):
    with zipfile.ZipFile(path) as zipped:
        zipped.extractall(folder)
        (top,) = {name.split("/")[0] for name in zipped.namelist()}
    return folder / top


def check(folder):
    """Do what the archive's README says."""
    command = ["sha256sum", "-c", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_same_commit_and_study_give_the_same_bytes_whatever_the_clock(
    recorded, tmp_path
):
    one, n = write(recorded, tmp_path / "one.zip")
    for path in recorded.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (0, 1_000_000_000))
    other, _ = write(recorded, tmp_path / "other.zip")
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as zipped:
        assert len(zipped.namelist()) == n
        assert zipped.namelist() == sorted(zipped.namelist())
        assert zipped.testzip() is None
        assert {i.date_time for i in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_holds_code_lock_record_results_notebooks_and_nothing_else(
    recorded, tmp_path
):
    (recorded / "mine.csv").write_text("not git's")
    path, _ = write(recorded, tmp_path / "a.zip")
    folder = unpacked(path, tmp_path / "out")
    held = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(git(recorded, "ls-files").splitlines()) <= held
    assert held - set(git(recorded, "ls-files").splitlines()) == {
        "SHA256SUMS",
        "ARCHIVE.json",
        *(
            f"build/results/{n}.{e}"
            for n in ("claims", "sessions-balanced")
            for e in ("json", "stamp")
        ),
        "build/results/claims.claims.parquet",
        "build/notebooks/claims.ipynb",
        "build/notebooks/sessions-balanced.ipynb",
        *(f"build/figures/claims.{e}" for e in ("csv", "svg", "pdf", "png")),
        "build/figures/manifest.json",
        *(f"build/report/tables/claims.{e}" for e in ("csv", "md", "tex")),
    }


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum here")
def test_unpacked_elsewhere_sha256sum_finds_it_whole_and_each_change(
    recorded, tmp_path
):
    path, n = write(recorded, tmp_path / "a.zip")
    folder = unpacked(path, tmp_path / "out")
    done = check(folder)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == n - 1
    (folder / "figures" / "claims.csv").write_text("another")
    (folder / "data" / "d.csv").unlink()
    done = check(folder)
    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if not line.endswith(": OK")]
    assert wrong == [
        "data/d.csv: FAILED open or read",
        "figures/claims.csv: FAILED",
    ]


def test_unpacked_elsewhere_its_receipts_resolve_without_git(recorded, tmp_path):
    folder = unpacked(write(recorded, tmp_path / "a.zip")[0], tmp_path / "out")
    code = provenance.code(recorded)
    assert code["clean"]
    assert provenance.code(folder) == code
    elsewhere = study(folder)
    assert receipts.check(elsewhere) == [("claims", None)]
    before = receipts.why("claims", study(recorded))
    assert receipts.why("claims", elsewhere) == before
    shutil.rmtree(folder / "build")
    lines, known = receipts.why("claims", elsewhere)
    assert known
    assert any(f"{code['commit']} of {code['date']}" in line for line in lines)


def test_changed_files_are_refused_or_marked(recorded, tmp_path):
    (recorded / "data" / "d.csv").write_text("changed")
    with pytest.raises(InputError, match=r"not committed: data/d\.csv; commit first"):
        write(recorded, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    path, _ = write(recorded, dirty=True)
    assert (
        path.name
        == f"pickllm-0.1.0-{git(recorded, 'rev-parse', 'HEAD~1')[:12]}-dirty.zip"
    )
    folder = unpacked(path, tmp_path / "out")
    assert json.loads((folder / "ARCHIVE.json").read_text())["changed"] == [
        "data/d.csv"
    ]
    assert provenance.code(folder)["clean"] is False
    assert check(folder).returncode == 0


@pytest.mark.parametrize("path", ["figures/claims.csv", "README.md"])
def test_a_record_that_is_not_committed_is_refused_too(recorded, path):
    (recorded / path).write_text("changed")
    with pytest.raises(InputError, match="not committed"):
        write(recorded)


def test_a_study_that_is_not_done_or_not_the_records_is_refused(recorded):
    with pytest.raises(
        InputError,
        match=(
            r"2 of 2 runs are not done with this code \(the first: sessions-balanced\)"
        ),
    ):
        archive.write(planned(done=False), study(recorded))
    path = recorded / "build" / "figures" / "manifest.json"
    path.write_text(path.read_text().replace("2" * 12, "3" * 12))
    with pytest.raises(
        InputError, match="not the record of the study in build; run `make reproduce`"
    ):
        write(recorded)


def test_without_git_there_is_no_archive(recorded):
    shutil.rmtree(recorded / ".git")
    with pytest.raises(InputError, match="no git checkout"):
        write(recorded)


def test_files_that_can_be_executed_stay_so(recorded, tmp_path):
    script = recorded / "run"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    git(recorded, "add", "run")
    git(recorded, "commit", "-qm", "run")
    path, _ = write(recorded, tmp_path / "a.zip")
    with zipfile.ZipFile(path) as zipped:
        modes = {
            i.filename.partition("/")[2]: i.external_attr >> 16 & 0o777
            for i in zipped.infolist()
        }
    assert modes["run"] == 0o755
    assert modes["README.md"] == 0o644


def test_a_zip_that_cannot_be_written_leaves_nothing(recorded, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write(recorded, tmp_path / "file" / "a.zip")
    assert not list(tmp_path.glob("*.zip"))
