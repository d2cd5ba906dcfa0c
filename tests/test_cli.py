"""The command line: what each command prints; a user's mistake is one line."""

import pathlib
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import pickllm as pk
from pickllm.__main__ import main

PRICES = (
    "model,vendor,usd_per_million_input_tokens,usd_per_million_output_tokens,"
    "as_of,source\na,v,1,2,2024-01-01,s\nb,v,3,4,2024-01-01,s\n"
)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with a small trace of two LLMs and its prices, as the current folder."""
    monkeypatch.chdir(tmp_path)
    rows = [
        (f"q{i}", "c", m, float((i + j) % 2), 10 + i, 5, 400.0 + 100 * j)
        for i in range(12)
        for j, m in enumerate("ab")
    ]
    frame = pd.DataFrame(
        rows,
        columns=[
            "query_id",
            "context",
            "model",
            "accuracy",
            "input_tokens",
            "output_tokens",
            "latency_ms",
        ],
    )
    frame.to_csv("mine.csv", index=False)
    (tmp_path / "prices.csv").write_text(PRICES)
    return frame


def said(capsys, *arguments, code=0):
    """What a command prints to standard output and to standard error."""
    assert main(list(arguments)) == code
    return capsys.readouterr()


def one_line(capsys, *arguments):
    out, error = said(capsys, *arguments, code=2)
    assert error.startswith("pickllm: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not out
    return error


def test_traces_are_listed_with_what_they_need(capsys):
    out = said(capsys, "traces").out
    assert [line.split()[0] for line in out.splitlines()] == pk.list_traces()
    assert "bfcl-2024-08-11  (bundled)" in out


def test_a_sound_file_is_said_to_be_sound(mine, capsys):
    assert (
        "mine.csv: sound. Trace('mine': 12 queries, contexts c; models a, b)"
        in said(capsys, "check", "mine.csv", "--prices", "prices.csv").out
    )


def test_check_names_the_first_ten_wrong_rows_and_counts_the_rest(mine, capsys):
    mine.assign(accuracy=2.0).to_csv("wrong.csv", index=False)
    lines = said(
        capsys, "check", "wrong.csv", "--prices", "prices.csv", code=2
    ).err.splitlines()
    assert len(lines) == 11
    assert "row 2" in lines[0]
    assert "accuracy" in lines[0]
    assert "and 14 more" in lines[-1]


def test_a_summary_is_written_and_loads(mine, capsys):
    assert (
        "12 queries, 1 contexts, 2 models; statistics only, no row"
        in said(capsys, "summarise", "mine.csv", "--prices", "prices.csv").out
    )
    assert pk.TraceSummary.load("mine.summary.json").sample(5, seed=1).models == (
        "a",
        "b",
    )
    assert "q1" not in pathlib.Path("mine.summary.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["check", "none.csv"], "none.csv"),
        (["summarise", "mine.csv"], "price"),
        (["run", "study", "--trace", "nowhere"], "unknown trace 'nowhere'"),
        (["run", "study", "--size", "tiny"], "tiny"),
        (["run", "convergense"], "did you mean 'convergence'"),
        (["run", "convergence", "-p", "rate=1"], "declares no parameter 'rate'"),
        (["run", "convergence", "-p", "learning_rates"], "-p takes NAME=VALUE"),
        (["run", "live", "--trace", "mine.csv"], "declares no parameter 'trace'"),
        (["run", "pool", "-p", "figures=mine"], "folder with --folder"),
        (["run", "pool", "-p", "trace=nowhere"], "unknown trace 'nowhere'"),
        (["run", "study", "--folder", "mine.csv/a"], "cannot write"),
        (["promote", "nothing"], "no exported variant 'nothing'"),
        (["run", "study", "--jobs", "0"], "jobs"),
        (["sweep", "-s", "epsilom=1"], "did you mean 'epsilon'"),
    ],
    ids=lambda a: " ".join(a) if isinstance(a, list) else "",
)
def test_a_users_mistake_is_one_line(mine, capsys, arguments, text):
    assert text in one_line(capsys, *arguments)


COMMANDS = [
    "traces",
    "check",
    "fetch",
    "summarise",
    "push",
    "record",
    "score",
    "import",
    "run",
    "sweep",
    "why",
    "promote",
    "cite",
    "diff",
    "archive",
    "verify",
    "bench",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert command in capsys.readouterr().out


def test_both_ways_to_call_it_are_the_same():
    script = shutil.which("pickllm", path=str(pathlib.Path(sys.executable).parent))
    commands = [[sys.executable, "-m", "pickllm", "traces"], [script, "traces"]]
    a, b = (
        subprocess.run(c, capture_output=True, text=True, check=True).stdout
        for c in commands
    )
    assert a == b


def test_no_command_and_an_unknown_one_exit_2(capsys):
    for arguments in ([], ["reproduse"]):
        with pytest.raises(SystemExit) as done:
            main(arguments)
        assert done.value.code == 2
        assert "usage: pickllm" in capsys.readouterr().err


def test_an_unknown_part_of_the_bench_is_one_line(capsys):
    assert main(["bench", "lve"]) == 2
    assert capsys.readouterr().err.startswith(
        "pickllm: bench: unknown part 'lve'; did you mean 'live'?"
    )
