"""Receipts: what a manifest says, held against git, hashlib, picture and notebook."""

import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from kit import (
    RUNS,
    build,
    checkout,
    git,
    notebook,
    record,
    recorded_checkout,
    reproduce,
    study,
)

import pickllm as pk
from pickllm.__main__ import main
from pickllm.errors import InputError
from pickllm.figures import captions
from pickllm.files import root
from pickllm.publish import manifest, receipts, report, why
from pickllm.publish.stamps import stamps
from pickllm.study import provenance
from pickllm.study.planning import is_done
from pickllm.study.runs import Run
from pickllm.study.study import Study
from pickllm.traces import leaderboard


@pytest.fixture
def kit(tmp_path):
    return checkout(tmp_path)


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    return recorded_checkout(tmp_path, monkeypatch)


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest_of(folder):
    return manifest.read(folder / "figures" / "manifest.json")


def told(name, folder):
    """What `why` says of a name, and whether it knows."""
    return receipts.why(str(name), study(folder))


# Where a run comes from


def test_the_commit_is_the_codes_and_stays_it_when_the_record_is_committed(kit):
    head = git(kit, "rev-parse", "HEAD")
    assert provenance.code(kit) == {
        "commit": head,
        "date": git(kit, "log", "-1", "--format=%cI"),
        "clean": True,
    }
    record(kit)
    (kit / "README.md").write_text("a new table\n")
    git(kit, "commit", "-qam", "readme")
    assert git(kit, "rev-parse", "HEAD") != head
    assert provenance.code(kit)["commit"] == head
    assert provenance.code(kit)["clean"]
    (kit / "pickllm" / "a.py").write_text("2\n")
    assert provenance.code(kit)["commit"] == head
    assert not provenance.code(kit)["clean"]
    git(kit, "commit", "-qam", "code again")
    assert provenance.code(kit)["commit"] == git(kit, "rev-parse", "HEAD")
    assert provenance.code(kit)["clean"]


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("figures/x.csv", False),
        ("README.md", False),
        ("mine.csv", False),
        ("pickllm/new.py", True),
        ("notebooks/new.ipynb", True),
        ("data/new.csv", True),
        ("requirements.lock", True),
    ],
)
def test_only_what_can_change_a_result_makes_a_checkout_unclean(kit, path, counts):
    (kit / path).parent.mkdir(exist_ok=True)
    (kit / path).write_text("changed\n")
    assert provenance.code(kit)["clean"] is not counts
    assert provenance.changed(kit) == ([path] if counts else [])


def test_without_git_nothing_is_made_up_and_an_archive_speaks_for_itself(tmp_path):
    assert provenance.code(tmp_path) == {"commit": None, "date": None, "clean": None}
    assert provenance.changed(tmp_path) is None
    assert provenance.lock(tmp_path) is None
    said = {"commit": "c" * 40, "date": "2026-01-01T00:00:00+00:00", "clean": True}
    (tmp_path / "ARCHIVE.json").write_text(json.dumps({"code": said}))
    assert provenance.code(tmp_path) == said


def test_versions_that_the_lock_does_not_name_are_told(tmp_path):
    (tmp_path / "requirements.lock").write_text(
        "numpy==2.0 ; python_version < '3.12' \\\n    --hash=sha256:00\nnumpy==2.1 ;"
        " python_version >= '3.12'\n    # via x\nscipy==1.0\n"
    )
    assert provenance.off_lock({"numpy": "2.1", "scipy": "1.0"}, tmp_path) == []
    assert provenance.off_lock(
        {"numpy": "2.2", "scipy": "1.0", "other": "1"}, tmp_path
    ) == ["numpy", "other"]


def test_this_environments_lock_hash_is_sha256sums():
    assert provenance.lock() == {
        "file": "requirements.lock",
        "sha256": sha(root() / "requirements.lock"),
    }


# The manifest


def test_the_manifest_says_what_git_hashlib_and_the_notebook_say(recorded):
    held = manifest_of(recorded)
    (receipt,) = held["figures"].values()
    assert receipt["numbers"]["sha256"] == sha(recorded / "figures" / "claims.csv")
    assert (
        receipt["numbers"]["rows"]
        == 3
        == len((recorded / "figures" / "claims.csv").read_text().splitlines()) - 1
    )
    assert receipt["pictures"] == {
        e: sha(recorded / "figures" / f"claims.{e}") for e in ("svg", "pdf", "png")
    }
    assert receipt["cell"] == {"index": 1, "id": "c1"}
    assert receipt["run"] == "2" * 12
    run = held["runs"]["sessions-balanced"]
    assert run["parameters"] == {
        "seed": 0,
        "trace": "bfcl-2024-08-11",
        "prices": "",
        "sessions": 1000,
        "queries": 500,
        "contexts": "simple, rest",
    }
    assert run["notebook_sha256"] == sha(recorded / "notebooks" / "sim.ipynb")
    assert held["lock"]["sha256"] == sha(recorded / "requirements.lock")
    trace = held["traces"]["bfcl-2024-08-11"]
    assert trace["sha256"] == pk.load_trace("bfcl-2024-08-11").fingerprint()
    assert trace["prices"]["as_of"] == ["2024-08-11"]
    assert trace["prices"]["usd_per_million"]["gpt-4-1106-preview"] == [10.0, 30.0]
    assert trace["origin"]["sha256"] == sha(
        root() / "data" / "bfcl-2024-08-11.summary.json"
    )


DATA = root() / "data"


def origin(name):
    """What the manifest says of where a trace was read from, and `why` in words."""
    found = manifest._origin(Study.here(), name)
    trace = {"queries": 1, "contexts": [], "models": [], "sha256": "", "prices": None}
    lines = why._trace_lines(name, trace | {"origin": found})
    return found, [text for _, text in lines]


def test_a_shipped_table_is_traced_to_its_public_file_by_its_import_s_receipt():
    found, lines = origin("coderouterbench")
    held = json.loads((DATA / "coderouterbench.receipt.json").read_text())
    assert found == {
        "file": "data/coderouterbench.parquet",
        "sha256": sha(DATA / "coderouterbench.parquet"),
        "source": held["source"],
        "commit": held["commit"],
        "imported_from": {"file": held["file"], "sha256": held["sha256"]},
    }
    assert f"imported from {held['file']}, SHA-256 {held['sha256']}" in lines
    assert f"rows of {held['source']}, commit {held['commit']}" in lines


@pytest.mark.parametrize(
    ("pool", "lists"),
    [
        ("bfcl-2024-08-11", ["bfcl-2024-08-11"]),
        ("bfcl-2024-08-11-second", ["bfcl-2024-08-11"]),
        ("bfcl-2024-08-11-all", ["bfcl-2024-08-11", "bfcl-2024-08-11-all"]),
    ],
)
def test_rows_are_traced_to_every_list_that_their_files_stand_in(pool, lists):
    found, lines = origin(f"{pool}-rows")
    files = [found, *found.get("further", [])]
    assert [(f["file"], f["sha256"]) for f in files] == [
        (f"data/{name}.sha256", sha(DATA / f"{name}.sha256")) for name in lists
    ]
    listed = "".join((root() / file["file"]).read_text() for file in files)
    assert all(path in listed for path in leaderboard.checksums(pool))
    assert found["commit"] == leaderboard.COMMIT
    assert sum(line.startswith("from data/") for line in lines) == len(lists)


ELSEWHERE = {
    "seconds": 99.0,
    "finished": "2027-02-03T04:05:06Z",
    "machine": {
        "python": "3.13",
        "system": "Darwin",
        "cores": 64,
        "memory_gb": 128.0,
        "versions": {"numpy": "2.1"},
        "not_locked": ["numpy"],
    },
}


def test_reproducing_elsewhere_and_later_leaves_git_unchanged(recorded, tmp_path):
    (recorded / "docs.md").write_text("a commit that changes no input\n")
    git(recorded, "add", "docs.md")
    git(recorded, "commit", "-qm", "later")
    clone = tmp_path / "clone"
    git(recorded, "clone", "-q", str(recorded), str(clone))
    reproduce(clone, **ELSEWHERE)
    assert git(clone, "status", "--porcelain") == ""
    made = stamps(study(clone)).values()
    assert {stamp["machine"]["cores"] for stamp in made} == {64}


def test_the_manifest_names_no_machine_no_moment_and_no_commit(recorded):
    text = (recorded / "figures" / "manifest.json").read_text()
    commits = git(recorded, "log", "--format=%H").split()
    for word in (*commits, "2026-01-01", "Linux", "cores", "seconds", "finished"):
        assert word not in text, word


def test_the_report_writes_the_same_manifest_on_two_machines(recorded):
    trace = pk.load_trace("bfcl-2024-08-11")
    planned = [{"run": Run(name, name), "done": True} for name in RUNS]
    written = []
    for made in ({}, ELSEWHERE):
        build(recorded, **made)
        report.write(study(recorded), trace, "full", planned)
        written.append((recorded / "build" / "figures" / "manifest.json").read_bytes())
    assert written[0] == written[1]
    assert manifest.same(
        recorded / "build" / "figures" / "manifest.json",
        recorded / "figures" / "manifest.json",
    )


def test_a_run_that_is_no_part_of_the_study_is_no_part_of_its_manifest(recorded):
    stamp = study(recorded).stamp("sessions-balanced")
    study(recorded).stamp("given-up").write_text(stamp.read_text())
    assert "given-up" in manifest.collect(study(recorded))["runs"]
    planned = manifest.collect(study(recorded), runs=RUNS)
    assert set(planned["runs"]) == set(RUNS)


def test_two_manifests_are_the_same_or_not(recorded):
    one = recorded / "figures" / "manifest.json"
    other = recorded / "other.json"
    content = json.loads(one.read_text())
    other.write_text(json.dumps(content))
    assert receipts.same(one, other)
    content["figures"]["claims"]["run"] = "0" * 12
    other.write_text(json.dumps(content))
    assert not receipts.same(one, other)
    assert not receipts.same(one, recorded / "none.json")


@pytest.mark.parametrize(
    ("sources", "cell"),
    [
        (
            ["draw.save(f, 'other', t)", "x = 1\nsaved += draw.save(f, 'mine', t)"],
            {"index": 1, "id": "c1"},
        ),
        (["for n in names:\n    draw.save(f, n, t)"], {"index": 0, "id": "c0"}),
        (["draw.save(f, n, t)", "draw.save(f, m, t)"], None),
        (
            ["draw.save(f, 'other', t)", "# draw.save(f, 'mine', t)\nprint('mine')"],
            None,
        ),
    ],
)
def test_the_cell_that_draws_is_found_by_its_call(tmp_path, sources, cell):
    (tmp_path / "n.ipynb").write_text(notebook(*sources))
    assert manifest.find_cell(tmp_path / "n.ipynb", "mine") == cell


# The run id in each file


def test_each_picture_carries_its_run_id_where_its_format_keeps_such_things(recorded):
    from PIL import Image

    with Image.open(recorded / "figures" / "claims.png") as image:
        assert image.info["Description"] == f"pickllm run {'2' * 12}"
    words = [
        e.text
        for e in ElementTree.parse(recorded / "figures" / "claims.svg").iter(
            "{http://purl.org/dc/elements/1.1/}description"
        )
    ]
    assert words == [f"pickllm run {'2' * 12}"]
    assert re.search(
        rb"/Subject \(pickllm run 2{12}\)",
        (recorded / "figures" / "claims.pdf").read_bytes(),
    )
    for name in (
        "figures/claims.svg",
        "figures/claims.pdf",
        "figures/claims.png",
        "build/report/tables/claims.md",
        "build/report/tables/claims.tex",
    ):
        assert why.id_in(recorded / name) == "2" * 12, name
    assert why.id_in(recorded / "README.md") is None


# why


def test_why_names_every_link_of_the_chain(recorded):
    lines, known = told("claims", recorded)
    text = "\n".join(lines)
    held = manifest_of(recorded)
    assert known
    assert lines[0] == "claims: the record's"
    for link in (
        held["figures"]["claims"]["numbers"]["sha256"],
        "notebooks/draw.ipynb, cell 1",
        "sessions=1000",
        "seed=0",
        held["traces"]["bfcl-2024-08-11"]["sha256"],
        "of 2024-08-11",
        git(recorded, "rev-parse", "HEAD~1"),
        "clean: nothing changed",
        sha(recorded / "requirements.lock"),
        "Python 3.11 on Linux, 2 cores",
        "numpy 2.0",
    ):
        assert link in text, link


def test_why_in_a_clone_tells_the_chain_and_the_commit_from_git(recorded):
    before = told("claims", recorded)[0]
    shutil.rmtree(recorded / "build")
    after = told("claims", recorded)[0]
    differing = [line for line in after if line not in before]
    commit = git(recorded, "rev-parse", "HEAD~1")
    assert len(differing) == 2
    assert f"commit     {commit} of" in differing[0]
    assert "the code beside the record" in differing[0]
    assert "not known here" in differing[1]
    copy = told(recorded / "figures" / "claims.pdf", recorded)[0]
    assert copy[0].endswith("the record's, byte for byte")


def test_why_tells_who_made_the_runs_only_of_the_same_inputs(recorded):
    stamp = study(recorded).stamp("sessions-balanced")
    stamp.write_text(stamp.read_text().replace("1" * 64, "9" * 64))
    assert "in 1 of 2 runs" in told("claims", recorded)[0][-1]
    stamp = study(recorded).stamp("claims")
    stamp.write_text(stamp.read_text().replace("2" * 64, "9" * 64))
    assert "not known here" in told("claims", recorded)[0][-1]


def test_why_tells_the_records_a_redrawn_an_explorations_and_an_unknown_file_apart(
    recorded, tmp_path
):
    figure = recorded / "figures" / "claims.svg"
    assert told(figure, recorded)[0][0] == f"{figure}: the record's, byte for byte"
    changed = recorded / "elsewhere" / "claims.svg"
    changed.parent.mkdir()
    changed.write_bytes(figure.read_bytes() + b"\n")
    assert "its bytes are not the record's" in told(changed, recorded)[0][0]
    build(recorded, "build/explore")
    stamp = recorded / "build" / "explore" / "results" / "claims.stamp"
    stamp.write_text(stamp.read_text().replace("2" * 64, "3" * 64))
    other = recorded / "claims.svg"
    other.write_bytes(figure.read_bytes().replace(b"2" * 12, b"3" * 12))
    lines, known = told(other, recorded)
    assert known
    assert "not the record's but an exploration's" in lines[0]
    assert "build/explore" in lines[0]
    assert any("3" * 12 in line for line in lines)
    assert not any("OTHER" in line for line in lines)
    other.write_bytes(figure.read_bytes().replace(b"2" * 12, b"4" * 12))
    lines, known = told(other, recorded)
    assert not known
    assert "unknown: carries run id 444444444444" in lines[0]
    lines, known = told(recorded / "README.md", recorded)
    assert not known
    assert "carries no run id" in lines[0]


def test_why_a_changed_csv_is_said_to_hold_other_numbers(recorded):
    (recorded / "figures" / "claims.csv").write_text("x\n1\n")
    assert any("holds OTHER numbers" in line for line in told("claims", recorded)[0])


def test_why_an_unknown_name_and_a_missing_record_are_one_line_and_exit_2(
    recorded, capsys
):
    assert main(["why", "claim"]) == 2
    assert (
        capsys.readouterr().err
        == "pickllm: no figure, table or file 'claim'; did you mean 'claims'? (known:"
        " claims, tables/claims)\n"
    )
    (recorded / "figures" / "manifest.json").write_text("{")
    assert main(["why", "claims"]) == 2
    assert "as JSON (" in capsys.readouterr().err
    (recorded / "figures" / "manifest.json").unlink()
    assert main(["why", "claims"]) == 2
    assert "run `make reproduce`" in capsys.readouterr().err


# Checking


def edit(folder, change):
    path = folder / "figures" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    git(folder, "commit", "-qam", "edit")


def test_a_true_record_is_found_true_also_when_head_has_moved_on(recorded):
    assert receipts.check(study(recorded)) == [("claims", None)]
    (recorded / "pickllm" / "a.py").write_text("3\n")
    git(recorded, "commit", "-qam", "later")
    assert receipts.check(study(recorded)) == [("claims", None)]


BREAKS = {
    "no receipt": lambda m: m["figures"].pop("claims"),
    "claims.csv is not the file of the receipt": (
        lambda m: m["figures"]["claims"]["numbers"].update(sha256="0" * 64)
    ),
    "no receipt of claims.png": lambda m: m["figures"]["claims"]["pictures"].pop("png"),
    "does not carry run id": lambda m: m["figures"]["claims"].update(run="0" * 12),
    "is not in the manifest": lambda m: m["runs"].pop("sessions-balanced"),
    "not that of the inputs": (
        lambda m: m["runs"]["sessions-balanced"].update(run="0" * 12)
    ),
    "no single cell": lambda m: m["figures"]["claims"].update(cell=None),
    "no hash of trace": lambda m: m["traces"].clear(),
    "no trace at the end": lambda m: m["runs"]["claims"]["needs"].clear(),
    "no date of its prices": (
        lambda m: m["traces"]["bfcl-2024-08-11"]["prices"].update(as_of=[])
    ),
}


@pytest.mark.parametrize("expected", BREAKS)
def test_each_broken_link_is_told(recorded, expected):
    edit(recorded, BREAKS[expected])
    ((name, problem),) = receipts.check(study(recorded))
    assert name == "claims"
    assert expected in problem


def test_a_picture_swapped_a_figure_added_and_a_receipt_left_over_are_told(recorded):
    for ending in ("csv", "svg", "pdf", "png"):
        (recorded / "figures" / f"new.{ending}").write_bytes(
            (recorded / "figures" / f"claims.{ending}").read_bytes()
        )
    (recorded / "figures" / "claims.png").write_bytes(b"another")
    git(recorded, "add", "figures")
    git(recorded, "commit", "-qm", "figures")
    found = dict(receipts.check(study(recorded)))
    assert "claims.png is not the file of the receipt" in found["claims"]
    assert found["new"] == "no receipt"
    git(
        recorded,
        "rm",
        "-q",
        *[f"figures/claims.{e}" for e in ("csv", "svg", "pdf", "png")],
    )
    git(recorded, "commit", "-qm", "fewer")
    assert ("claims", "a receipt without a figure") in receipts.check(study(recorded))


def test_without_git_the_folder_is_checked_and_without_a_manifest_every_figure_fails(
    recorded,
):
    shutil.rmtree(recorded / ".git")
    assert receipts.check(study(recorded)) == [("claims", None)]
    (recorded / "figures" / "manifest.json").unlink()
    ((name, problem),) = receipts.check(study(recorded))
    assert name == "claims"
    assert "no figures/manifest.json" in problem


def test_other_inputs_than_the_records_are_noted(recorded):
    build(recorded, "build/verify")
    fresh = study(recorded, "build/verify")
    receipts.write(fresh)
    assert receipts.outdated(fresh) == []
    path = recorded / "build" / "verify" / "figures" / "manifest.json"
    path.write_text(
        path.read_text().replace('"run": "222222222222"', '"run": "333333333333"')
    )
    assert receipts.outdated(fresh) == ["claims"]


# The record, and the study's stamps


def test_every_figure_of_the_record_resolves():
    if subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root(), capture_output=True
    ).returncode:
        pytest.skip("not a git checkout")
    checked = receipts.check()
    assert {name for name, _ in checked} == set(captions.FIGURES)
    assert [row for row in checked if row[1]] == []


def test_a_run_without_its_provenance_is_not_done(recorded):
    study = Study(recorded, pathlib.Path("build"))
    assert is_done(study, "claims", "2" * 64)
    assert not is_done(study, "claims", "3" * 64)
    path = recorded / "build" / "results" / "claims.stamp"
    content = json.loads(path.read_text())
    del content["defaults"]
    path.write_text(json.dumps(content))
    assert not is_done(study, "claims", "2" * 64)


def test_an_upstream_run_that_is_missing_is_an_error_with_the_next_move(recorded):
    held = manifest_of(recorded)
    assert manifest.upstream(held, "claims") == ["sessions-balanced"]
    del held["runs"]["sessions-balanced"]
    with pytest.raises(
        InputError,
        match=r"run 'sessions-balanced', which 'claims' was .*make reproduce",
    ):
        manifest.upstream(held, "claims")
