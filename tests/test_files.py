"""Writing: the whole file under its final name, or nothing."""

import subprocess
import sys

import pytest

from pickllm import InputError
from pickllm.files import digest, written


def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), written(tmp_path / "a.txt") as file:
        file.write("new")
        1 / 0
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    code = (
        "import resource, sys; from pickllm.files import written\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "with written(sys.argv[1]) as file: file.write('x' * 100_000)"
    )
    # a limit on a file's size stands for a disk that is full
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(tmp_path / "a.txt")],
        capture_output=True,
        text=True,
    )
    assert (
        f"InputError: cannot write {tmp_path / 'a.txt'}: File too large; free some"
        " space" in done.stderr.splitlines()[-1]
    )
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "a").write_text("")
    with (
        pytest.raises(
            InputError, match="cannot write .*choose a folder that you may write"
        ),
        written(tmp_path / "a" / "b.txt"),
    ):
        pass


def test_a_digest_tells_parts_apart():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
