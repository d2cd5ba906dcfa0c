"""Two studies side by side: what is planted is found, in size and order, no more."""

import json

import numpy as np
import pandas as pd
import pytest
from kit import build, recorded_checkout, study
from test_archive import planned

from pickllm.__main__ import main
from pickllm.publish import archive, diff


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A checkout with the study in ``build`` and a second one of the same inputs."""
    folder = recorded_checkout(tmp_path / "kit", monkeypatch)
    build(folder, "build/other")
    monkeypatch.chdir(folder)
    return folder


def side(name="x", runs=None, pictures=None, **tables):
    return diff.Side(name, runs or {}, tables, pictures or {})


def found(a, b, **options):
    return [
        (d.kind, d.where, d.a, d.b)
        for d in diff.differences(
            side(t=pd.DataFrame(a)), side(t=pd.DataFrame(b)), **options
        )
    ]


# Tables


def test_the_same_table_does_not_differ_with_empty_cells_either():
    table = {"a": ["x", None, "z"], "v": [1.0, np.nan, 3.0], "n": [1, 2, 3]}
    assert found(table, table) == []


def test_numbers_differ_beyond_the_tolerance_and_are_told_with_their_row():
    assert (
        found(
            {"m": ["a", "b"], "v": [1.0, 2.0]},
            {"m": ["a", "b"], "v": [1.0, 2.0 * (1 + 0.9e-5)]},
        )
        == []
    )
    assert found(
        {"m": ["a", "b"], "v": [1.0, 2.0]}, {"m": ["a", "b"], "v": [1.0, 2.5]}
    ) == [("number", "t: row 2 (b), v", 2.0, 2.5)]
    assert found(
        {"m": ["a"], "v": [1.0]}, {"m": ["a"], "v": [1.0 + 1e-9]}, tolerance=0
    ) == [("number", "t: row 1, v", 1.0, 1.0 + 1e-9)]


def test_the_largest_relative_difference_comes_first():
    a = pd.DataFrame({"k": list("abcd"), "v": [100.0, 1.0, 0.0, 5.0]})
    told = diff.differences(side(t=a), side(t=a.assign(v=[101.0, 1.5, 1e-9, np.nan])))
    assert [d.where for d in told] == [
        "t: row 4 (d), v",
        "t: row 3 (c), v",
        "t: row 2 (b), v",
        "t: row 1 (a), v",
    ]
    assert [d.relative for d in told] == [
        np.inf,
        1.0,
        pytest.approx(0.5 / 1.5),
        pytest.approx(1 / 101),
    ]


def test_rows_are_matched_by_their_labels_when_one_table_has_more():
    a, b = (
        {"k": list("abc"), "v": [1.0, 2.0, 3.0]},
        {
            "k": list("cxa"),
            "v": [3.0, 9.0, 1.5],
        },
    )
    assert found(a, b) == [
        ("row", "t: row 2 (b)", "there", None),
        ("row", "t: row 2 (x)", None, "there"),
        ("number", "t: row 1 (a), v", 1.0, 1.5),
    ]


def test_a_setting_in_numbers_tells_rows_apart_where_words_do_not():
    a = {"k": ["a", "a", "b"], "rate": [0.1, 0.2, 0.1], "v": [1.0, 2.0, 3.0]}
    b = {"k": ["a", "b"], "rate": [0.2, 0.1], "v": [2.0, 4.0]}
    assert found(a, b) == [
        ("row", "t: row 1 (a)", "there", None),
        ("number", "t: row 2 (b), v", 3.0, 4.0),
    ]


def test_a_label_that_holds_for_the_whole_table_does_not_part_its_rows():
    a, b = (
        {"w": ["balanced"] * 2, "k": ["a", "b"], "v": [1.0, 2.0]},
        {
            "w": ["cost first"] * 2,
            "k": ["a", "b"],
            "v": [1.0, 4.0],
        },
    )
    assert found(a, b) == [
        ("table", "t: column w", "balanced", "cost first"),
        ("number", "t: row 2 (b), v", 2.0, 4.0),
    ]


def test_columns_and_tables_that_one_side_has_alone():
    assert found({"k": ["a"], "v": [1.0]}, {"k": ["a"], "u": [1.0]}) == [
        ("table", "t: column u", None, "there"),
        ("table", "t: column v", "there", None),
    ]
    told = diff.differences(
        side(t=pd.DataFrame({"x": [1]})), side(u=pd.DataFrame({"x": [1, 2]}))
    )
    assert [(d.kind, d.where, d.a, d.b) for d in told] == [
        ("table", "t", "1 rows", None),
        ("table", "u", None, "2 rows"),
    ]


def test_long_columns_are_counted_in_full_and_listed_in_part():
    n = 10_000
    a, b = (
        side("A", t=pd.DataFrame({"v": np.ones(n)})),
        side("B", t=pd.DataFrame({"v": np.linspace(2, 3, n)})),
    )
    told = diff.differences(a, b)
    assert len(told) < n
    assert sum(1 + d.more for d in told) == n
    assert told[0].b == 3.0
    lines = diff.lines(a, b, told, limit=2)
    assert "10000 numbers differ" in lines
    assert lines[-1] == "  and 9998 more"
    assert lines[-3] == "  t: row 10000, v: A 1, B 3 (+2, 66.7 %)"


# Studies


def test_a_study_is_the_same_as_itself_its_record_its_repetition_and_its_archive(
    two, capsys
):
    path, _ = archive.write(planned(), study(two), two.parent / "a.zip")
    for other in (
        "build",
        "figures",
        "build/figures",
        "figures/manifest.json",
        "build/other",
        str(path),
    ):
        assert main(["diff", "build", other]) == 0, capsys.readouterr().out
        assert (
            capsys.readouterr().out.splitlines()[-1]
            == "the same: parameters, numbers of 1 tables, 1 pictures"
        )


def test_planted_differences_are_found_and_exit_1(two, capsys):
    other = two / "build/other"
    csv, svg, stamp = (
        other / "figures/claims.csv",
        other / "figures/claims.svg",
        other / "results/sessions-balanced.stamp",
    )
    csv.write_text(
        csv.read_text().replace("-63.2104", "-31.6052").replace("reproduced", "partly")
    )
    stamp.write_text(stamp.read_text().replace('"sessions": 1000', '"sessions": 10'))
    svg.write_text(svg.read_text().replace("cost", "COST"))
    (two / "build/other/results/claims.stamp").unlink()
    assert main(["diff", "build", "build/other"]) == 1
    out = capsys.readouterr().out
    assert "claims: A 222222222222, B not there" in out
    assert "sessions-balanced: sessions: A 1000, B 10" in out
    assert "measured: A -63.2104, B -31.6052 (+31.6052, 50 %)" in out
    assert "verdict: A reproduced, B partly" in out
    assert "1 picture differs\n  claims" in out


def test_a_pictures_run_id_alone_makes_no_difference(two):
    svg = two / "build/other/figures/claims.svg"
    svg.write_text(svg.read_text().replace("2" * 12, "3" * 12))
    sides = [diff.open_side(name, study(two)) for name in ("build", "build/other")]
    assert diff.differences(*sides) == []


def test_two_runs_by_name_by_id_and_by_folder(two, capsys):
    assert main(["diff", "claims", "build/other:claims"]) == 0
    assert main(["diff", "2" * 12, "claims"]) == 0
    capsys.readouterr()
    stamp = two / "build/other/results/sessions-balanced.stamp"
    content = json.loads(stamp.read_text())
    content["parameters"]["queries"] = 20
    stamp.write_text(json.dumps(content))
    assert main(["diff", "sessions-balanced", "build/other:sessions-balanced"]) == 1
    assert "run: queries: A 500, B 20" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nosuch", "README.md", "data", "build/nosuch:claims"])
def test_what_is_no_study_is_one_line_and_exit_2(two, name, capsys):
    assert main(["diff", "build", name]) == 2
    err = capsys.readouterr().err
    assert err.startswith("pickllm: ")
    assert err.count("\n") == 1


def test_a_zip_of_something_else_is_refused(two, capsys):
    import zipfile

    with zipfile.ZipFile(two / "x.zip", "w") as zipped:
        zipped.writestr("a.txt", "a")
    assert main(["diff", "build", str(two / "x.zip")]) == 2
    assert "holds no figures/manifest.json; give an archive" in capsys.readouterr().err


def test_a_damaged_table_is_one_line_with_its_file_and_exit_2(two, capsys):
    (two / "build/other/figures/claims.csv").write_text("")
    assert main(["diff", "build", "build/other"]) == 2
    err = capsys.readouterr().err
    assert "build/other/figures/claims.csv is no table (No columns" in err
    assert err.count("\n") == 1
