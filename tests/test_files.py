"""Writing: the whole file under its final name, or nothing."""

import subprocess
import sys

import pytest

from pickllm import InputError
from pickllm.files import digest, written


def interrupted(file):
    file.write("new")
    raise KeyboardInterrupt


def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), written(tmp_path / "a.txt") as file:
        interrupted(file)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    code = """
import resource, sys
from pickllm.files import written
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
with written(sys.argv[1]) as file:
    file.write("x" * 100_000)
"""  # a limit on a file's size stands for a disk that is full
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(path)], capture_output=True, text=True
    )
    message = f"InputError: cannot write {path}: File too large; free some space"
    assert message in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "a").write_text("")
    message = r"cannot write .*choose a folder that you may write"
    with pytest.raises(InputError, match=message), written(tmp_path / "a" / "b.txt"):
        pass


def test_a_digest_tells_parts_apart():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
