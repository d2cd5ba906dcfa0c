"""Comparing with the committed numbers: what is the same, what is said of the rest."""

import io
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from kit import git

from pickllm.files import root
from pickllm.publish import cells, check
from pickllm.publish.record import committed
from pickllm.study.runs import all_figures
from pickllm.study.study import Study


def frame(**columns):
    return pd.DataFrame(columns)


# One table against another


@pytest.mark.parametrize("value", [1.0, -250.0, 3e-7, 8e12])
def test_numbers_agree_within_the_stated_relative_tolerance_and_not_beyond(value):
    inside, outside = (value * (1 + step * check.TOLERANCE) for step in (0.99, 1.01))
    expected = frame(x=[5.0, value])
    assert cells.first_difference(expected, frame(x=[5.0, inside])) is None
    assert (
        cells.first_difference(expected, frame(x=[5.0, outside]))
        == f"row 2, column 'x': committed {value}, regenerated {outside}"
    )


def test_the_tolerance_is_finer_than_a_step_of_the_tables_sixth_digit_is_coarse():
    assert (
        cells.first_difference(frame(x=[0.123456]), frame(x=[0.123457])) is None
    )  # one unit of the sixth digit
    assert cells.first_difference(frame(x=[0.123456]), frame(x=[0.123466])) is not None
    assert cells.first_difference(frame(x=[0.0]), frame(x=[1e-9])) is not None


def test_empty_cells_agree_with_empty_cells_alone():
    assert cells.first_difference(frame(x=[1.0, None]), frame(x=[1.0, None])) is None
    assert "row 2, column 'x'" in cells.first_difference(
        frame(x=[1.0, None]), frame(x=[1.0, 2.0])
    )
    assert "row 1, column 'x'" in cells.first_difference(
        frame(x=[1.0]), frame(x=[None])
    )


def test_empty_cells_among_words_agree_with_empty_cells_alone():
    """As a file's table has them, where an empty cell is not equal to itself."""

    def read(text):
        return pd.read_csv(io.StringIO(text))

    assert (
        cells.first_difference(read("x,y\n,1\na,2\n"), read("x,y\n,1\na,2\n")) is None
    )
    assert "row 1, column 'x'" in cells.first_difference(
        read("x,y\n,1\na,2\n"), read("x,y\nb,1\na,2\n")
    )
    assert "row 2, column 'x'" in cells.first_difference(
        read("x,y\n,1\na,2\n"), read("x,y\n,1\n,2\n")
    )


def test_empty_words_agree_with_empty_words_alone():
    mixed = frame(x=["a", None])
    assert cells.first_difference(mixed, frame(x=["a", None])) is None
    assert cells.first_difference(mixed, frame(x=["a", "nan"])) is not None
    assert cells.first_difference(frame(x=["a", "b"]), mixed).startswith(
        "row 2, column 'x'"
    )


def test_words_agree_exactly():
    assert cells.first_difference(frame(x=["partly"]), frame(x=["partly"])) is None
    assert (
        cells.first_difference(frame(x=["a", "partly"]), frame(x=["a", "Partly"]))
        == "row 2, column 'x': committed partly, regenerated Partly"
    )


def test_the_same_numbers_as_whole_or_broken_ones_agree():
    assert cells.first_difference(frame(x=[1, 2]), frame(x=[1.0, 2.0])) is None


def test_other_columns_or_rows_are_named():
    assert (
        cells.first_difference(frame(x=[1], y=[2]), frame(y=[2], x=[1]))
        == "columns differ: committed x, y; regenerated y, x"
    )
    assert (
        cells.first_difference(frame(x=[1]), frame(x=[1, 2]))
        == "rows differ: committed 1, regenerated 2"
    )
    assert "rows differ" in cells.first_difference(frame(x=[1, 2]), frame(x=[1]))


def test_the_first_difference_is_the_one_told():
    assert cells.first_difference(
        frame(x=[1.0, 2.0, 3.0], y=[9.0] * 3), frame(x=[1.0, 2.5, 3.5], y=[0.0] * 3)
    ).startswith("row 2, column 'x'")


# A folder against the record


@pytest.fixture
def study(tmp_path):
    """A study with two tables in a repository that has them committed."""
    study = Study(tmp_path, Path("build"))
    for folder in (study.record, study.figures):
        folder.mkdir(parents=True)
        for name in ("a", "b"):
            (folder / f"{name}.csv").write_text("x\n1\n2\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "figures")
    git(tmp_path, "commit", "-qm", "figures")
    return study


def test_the_same_tables_are_said_to_be_the_same(study):
    assert check.compare(study) == [("a", None, 2), ("b", None, 2)]


def test_a_changed_a_missing_and_a_new_table_are_each_told(study):
    (study.figures / "a.csv").write_text("x\n1\n2.1\n")
    (study.figures / "b.csv").unlink()
    (study.figures / "c.csv").write_text("x\n1\n")
    assert check.compare(study) == [
        ("a", "row 2, column 'x': committed 2, regenerated 2.1", 2),
        ("b", "not regenerated", 0),
        ("c", "not committed", 0),
    ]


def test_the_committed_table_is_heads_whatever_lies_in_the_folder(study):
    (study.record / "a.csv").write_text("x\n9\n9\n")
    assert committed(study, "a.csv") == b"x\n1\n2\n"
    assert check.compare(study)[0] == ("a", None, 2)


def test_a_committed_table_that_was_deleted_is_still_expected(study):
    (study.record / "b.csv").unlink()
    (study.figures / "b.csv").unlink()
    assert ("b", "not regenerated", 0) in check.compare(study)


def test_a_table_that_only_lies_in_the_folder_is_not_committed(study):
    for folder in (study.record, study.figures):
        (folder / "c.csv").write_text("x\n1\n")
    assert ("c", "not committed", 0) in check.compare(study)


def test_without_git_the_folder_is_the_record(study):
    shutil.rmtree(study.root / ".git")
    (study.record / "a.csv").write_text("x\n9\n9\n")
    assert committed(study, "a.csv") == b"x\n9\n9\n"
    assert committed(study, "c.csv") is None
    assert check.compare(study) == [
        ("a", "row 1, column 'x': committed 9, regenerated 1", 2),
        ("b", None, 2),
    ]


def test_every_figure_of_the_list_is_committed_and_readable():
    if subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root(), capture_output=True
    ).returncode:
        pytest.skip("not a git checkout")
    rows = check.compare("figures")
    assert {name for name, _, _ in rows} == set(all_figures())
    assert not [
        name
        for name, difference, _ in rows
        if difference in ("not committed", "not regenerated")
    ]
    assert all(n > 0 for _, _, n in rows)
