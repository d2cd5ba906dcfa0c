"""Comparing a study's numbers with the committed ones: what counts as the same, and what is said of the rest."""

import io
import subprocess

import pandas as pd
import pytest

from pickllm.files import root
from pickllm.publish import check
from pickllm.study.runs import all_figures


def frame(**columns):
    return pd.DataFrame(columns)


# One table against another


@pytest.mark.parametrize("value", [1.0, -250.0, 3e-7, 8e12])
def test_numbers_agree_within_the_stated_relative_tolerance_and_not_beyond(value):
    inside, outside = (value * (1 + step * check.TOLERANCE) for step in (0.99, 1.01))
    expected = frame(x=[5.0, value])
    assert check.difference(expected, frame(x=[5.0, inside])) is None
    assert (
        check.difference(expected, frame(x=[5.0, outside]))
        == f"row 2, column 'x': committed {value}, regenerated {outside}"
    )


def test_the_tolerance_is_finer_than_a_step_of_the_tables_sixth_digit_is_coarse():
    assert (
        check.difference(frame(x=[0.123456]), frame(x=[0.123457])) is None
    )  # one unit of the sixth digit
    assert check.difference(frame(x=[0.123456]), frame(x=[0.123466])) is not None
    assert check.difference(frame(x=[0.0]), frame(x=[1e-9])) is not None


def test_empty_cells_agree_with_empty_cells_alone():
    assert check.difference(frame(x=[1.0, None]), frame(x=[1.0, None])) is None
    assert "row 2, column 'x'" in check.difference(
        frame(x=[1.0, None]), frame(x=[1.0, 2.0])
    )
    assert "row 1, column 'x'" in check.difference(frame(x=[1.0]), frame(x=[None]))


def test_empty_cells_among_words_agree_with_empty_cells_alone():
    """As a table has them that was read from a file, where an empty cell is not equal to itself."""
    read = lambda text: pd.read_csv(io.StringIO(text))
    assert check.difference(read("x,y\n,1\na,2\n"), read("x,y\n,1\na,2\n")) is None
    assert "row 1, column 'x'" in check.difference(
        read("x,y\n,1\na,2\n"), read("x,y\nb,1\na,2\n")
    )
    assert "row 2, column 'x'" in check.difference(
        read("x,y\n,1\na,2\n"), read("x,y\n,1\n,2\n")
    )


def test_empty_words_agree_with_empty_words_alone():
    mixed = frame(x=["a", None])
    assert check.difference(mixed, frame(x=["a", None])) is None
    assert check.difference(mixed, frame(x=["a", "nan"])) is not None
    assert check.difference(frame(x=["a", "b"]), mixed).startswith("row 2, column 'x'")


def test_words_agree_exactly():
    assert check.difference(frame(x=["partly"]), frame(x=["partly"])) is None
    assert (
        check.difference(frame(x=["a", "partly"]), frame(x=["a", "Partly"]))
        == "row 2, column 'x': committed partly, regenerated Partly"
    )


def test_the_same_numbers_as_whole_or_broken_ones_agree():
    assert check.difference(frame(x=[1, 2]), frame(x=[1.0, 2.0])) is None


def test_other_columns_or_rows_are_named():
    assert (
        check.difference(frame(x=[1], y=[2]), frame(y=[2], x=[1]))
        == "columns differ: committed x, y; regenerated y, x"
    )
    assert (
        check.difference(frame(x=[1]), frame(x=[1, 2]))
        == "rows differ: committed 1, regenerated 2"
    )
    assert "rows differ" in check.difference(frame(x=[1, 2]), frame(x=[1]))


def test_the_first_difference_is_the_one_told():
    assert check.difference(
        frame(x=[1.0, 2.0, 3.0], y=[9.0] * 3), frame(x=[1.0, 2.5, 3.5], y=[0.0] * 3)
    ).startswith("row 2, column 'x'")


# A folder against the record


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of its own with two committed tables, and a regenerated folder."""
    monkeypatch.setattr(check, "root", lambda: tmp_path)
    for folder in ("figures", "build"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        (tmp_path / "figures" / f"{name}.csv").write_text("x\n1\n2\n")
        (tmp_path / "build" / f"{name}.csv").write_text("x\n1\n2\n")
    git = [
        "git",
        "-c",
        "user.name=n",
        "-c",
        "user.email=e",
        "-c",
        "core.hooksPath=none",
    ]
    for arguments in (["init", "-q"], ["add", "figures"], ["commit", "-qm", "figures"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_the_same_tables_are_said_to_be_the_same(checkout):
    assert check.compare("build") == [("a", None, 2), ("b", None, 2)]


def test_a_changed_a_missing_and_a_new_table_are_each_told(checkout):
    (checkout / "build" / "a.csv").write_text("x\n1\n2.1\n")
    (checkout / "build" / "b.csv").unlink()
    (checkout / "build" / "c.csv").write_text("x\n1\n")
    assert check.compare("build") == [
        ("a", "row 2, column 'x': committed 2, regenerated 2.1", 2),
        ("b", "not regenerated", 0),
        ("c", "not committed", 0),
    ]


def test_the_committed_table_is_heads_whatever_lies_in_the_folder(checkout):
    (checkout / "figures" / "a.csv").write_text("x\n9\n9\n")
    assert check.committed("a") == "x\n1\n2\n"
    assert check.compare("build")[0] == ("a", None, 2)


def test_a_committed_table_that_was_deleted_is_still_expected(checkout):
    (checkout / "figures" / "b.csv").unlink()
    (checkout / "build" / "b.csv").unlink()
    assert ("b", "not regenerated", 0) in check.compare("build")


def test_without_git_the_folder_is_the_record(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "root", lambda: tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.csv").write_text("x\n1\n")
    assert check.committed("a") == "x\n1\n"
    assert check.committed("b") is None


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
