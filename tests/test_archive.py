"""The archive: the same bytes twice, whole when unpacked elsewhere, and refused where it would not be true."""

import json
import subprocess
import sys
import zipfile

import pytest
from kit import git, recorded_checkout

from pickllm.errors import InputError
from pickllm.files import root
from pickllm.publish import archive, receipts
from pickllm.study import provenance
from pickllm.study.runs import Run


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    return recorded_checkout(tmp_path / "kit", monkeypatch)


def planned(done=True):
    return [
        {"run": Run(name, name), "done": done}
        for name in ("sessions-balanced", "claims")
    ]


def unpacked(path, folder):
    with zipfile.ZipFile(path) as zipped:
        zipped.extractall(folder)
        (top,) = {name.split("/")[0] for name in zipped.namelist()}
    return folder / top


def check(folder):
    return subprocess.run(
        [sys.executable, "-I", "-S", "verify_archive.py"],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_the_same_commit_and_study_give_the_same_bytes_whatever_the_clock(
    recorded, tmp_path
):
    import os

    one, n = archive.write(planned(), output=tmp_path / "one.zip")
    for path in recorded.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (0, 1_000_000_000))
    other, _ = archive.write(planned(), output=tmp_path / "other.zip")
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as zipped:
        assert len(zipped.namelist()) == n
        assert zipped.namelist() == sorted(zipped.namelist())
        assert zipped.testzip() is None
        assert {i.date_time for i in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_it_holds_the_code_the_lock_the_record_the_results_the_notebooks_and_nothing_else(
    recorded, tmp_path
):
    (recorded / "mine.csv").write_text("not git's")
    path, _ = archive.write(planned(), output=tmp_path / "a.zip")
    folder = unpacked(path, tmp_path / "out")
    held = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(git(recorded, "ls-files").splitlines()) <= held
    assert held - set(git(recorded, "ls-files").splitlines()) == {
        "SHA256SUMS",
        "ARCHIVE.json",
        "verify_archive.py",
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


def test_unpacked_elsewhere_it_verifies_itself_with_the_standard_library(
    recorded, tmp_path
):
    path, n = archive.write(planned(), output=tmp_path / "a.zip")
    folder = unpacked(path, tmp_path / "out")
    done = check(folder)
    assert (done.returncode, done.stdout) == (
        0,
        f"{n - 1} of {n - 1} files as packed\n",
    )
    sums = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert sums.returncode == 0, sums.stdout
    (folder / "figures" / "claims.csv").write_text("another")
    (folder / "data" / "d.csv").unlink()
    done = check(folder)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "missing: data/d.csv",
        "changed: figures/claims.csv",
        f"{n - 3} of {n - 1} files as packed",
    ]
    (folder / "SHA256SUMS").unlink()
    assert check(folder).returncode == 2


def test_unpacked_elsewhere_its_receipts_resolve_without_git(
    recorded, tmp_path, monkeypatch
):
    from kit import adopt

    folder = unpacked(
        archive.write(planned(), output=tmp_path / "a.zip")[0], tmp_path / "out"
    )
    before = receipts.why("claims")
    code = provenance.code()
    adopt(folder, monkeypatch)
    assert provenance.code() == code
    assert code["clean"]
    assert receipts.check() == [("claims", None)]
    assert receipts.why("claims") == before


def test_changed_files_are_refused_or_marked(recorded, tmp_path):
    (recorded / "data" / "d.csv").write_text("changed")
    with pytest.raises(InputError, match=r"not committed: data/d\.csv; commit first"):
        archive.write(planned(), output=tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    path, _ = archive.write(planned(), dirty=True)
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
        archive.write(planned())


def test_a_study_that_is_not_done_or_not_the_records_is_refused(recorded):
    with pytest.raises(
        InputError,
        match=(
            r"2 of 2 runs are not done with this code \(the first: sessions-balanced\)"
        ),
    ):
        archive.write(planned(done=False))
    path = recorded / "build" / "figures" / "manifest.json"
    path.write_text(path.read_text().replace("2" * 12, "3" * 12))
    with pytest.raises(
        InputError, match="not the record of the study in build; run `make reproduce`"
    ):
        archive.write(planned())


def test_without_git_there_is_no_archive(recorded):
    import shutil

    shutil.rmtree(recorded / ".git")
    with pytest.raises(InputError, match="no git checkout"):
        archive.write(planned())


def test_files_that_can_be_executed_stay_so(recorded, tmp_path):
    script = recorded / "run"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    git(recorded, "add", "run")
    git(recorded, "commit", "-qm", "run")
    path, _ = archive.write(planned(), output=tmp_path / "a.zip")
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
        archive.write(planned(), output=tmp_path / "file" / "a.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_the_checker_needs_nothing_but_the_standard_library():
    import ast

    tree = ast.parse(
        (root() / "pickllm" / "publish" / "verify_archive.py").read_text("utf-8")
    )
    imported = {
        a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
    } | {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported <= set(sys.stdlib_module_names)
