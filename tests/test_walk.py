"""The README's walk as a new user goes it, from queries to a shared dataset."""

import os
import shutil
import subprocess
import sys

import hub as stand_in
import pandas as pd
import pytest
import yaml
from endpoints import is_right, serving

import pickllm as pk
from pickllm.files import root

N = 160
KEY = "sk-of-my-own"
LIVE = (
    *("-p", "latency_floor_ms=2"),
    *("-p", "latency_ceiling_ms=1000"),
    *("-p", "learning_rate=0.3"),
    *("-p", "every=80"),
)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the checkout, with a user's two files in it."""
    for name in ("pickllm", "data", "notebooks"):
        shutil.copytree(
            root() / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns(".ipynb_checkpoints", "variants"),
        )
    for path in root().iterdir():
        if path.suffix in (".toml", ".md", ".cff", ".lock"):
            shutil.copy(path, tmp_path)
    rows = [
        (f"q{i:03d}", ("sums", "spelling")[i % 2], f"please say {i}", str(i))
        for i in range(N)
    ]
    pd.DataFrame(rows, columns=["query_id", "context", "prompt", "reference"]).to_csv(
        tmp_path / "queries.csv", index=False
    )
    return tmp_path


def run(checkout, *arguments, **further):
    """Run a command of the kit in the checkout."""
    places = {
        "HF_HOME": str(checkout / "hf"),
        "HF_TOKEN": "hf_ada_writes",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(checkout),
        "MY_KEY": KEY,
    }
    return subprocess.run(
        [sys.executable, "-m", "pickllm", *arguments],
        cwd=checkout,
        env=os.environ | places | further,
        capture_output=True,
        text=True,
    )


def write_models(checkout, **stubs):
    """Write a models file of stubs, each with its price."""
    said = {
        name: {
            "model": name,
            "base_url": stub.base_url,
            "key_env": "MY_KEY",
            "max_tokens": 50,
            "usd_per_million_input_tokens": usd,
            "usd_per_million_output_tokens": usd,
        }
        for name, (stub, usd) in stubs.items()
    }
    (checkout / "models.yaml").write_text(yaml.safe_dump(said))


def files_of(checkout):
    """What every file holds, but the kit's own code."""
    return [
        path.read_bytes()
        for path in checkout.rglob("*")
        if path.is_file() and "pickllm/" not in str(path)
    ]


@pytest.mark.xdist_group("notebooks")
def test_from_queries_to_a_shared_dataset(checkout):
    def pickllm(*arguments, hub="http://127.0.0.1:9"):
        done = run(checkout, *arguments, HF_ENDPOINT=hub)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    with (
        serving(model="g", quality=0.95, seconds=0.002) as good,
        serving(model="b", quality=0.3, seconds=0.02) as bad,
        stand_in.running() as (_, hub),
    ):
        write_models(checkout, bad=(bad, 20.0), good=(good, 1.0))
        record = ("record", "queries.csv", "--models", "models.yaml")
        assert f"{2 * N} calls" in pickllm(*record, "--dry-run")
        assert not good.requests
        assert f"{2 * N} calls answered" in pickllm(*record, "--budget", "5")
        score = ("score", "queries.jsonl", "--scorer", "exact_match")
        assert "mine.csv" in pickllm(*score, "--output", "mine.csv")
        pickllm("check", "mine.csv", "--prices", "queries.prices.csv")
        trace = ("--trace", "mine.csv", "--prices", "queries.prices.csv")
        pickllm("run", "study", *trace, "--size", "smoke", "--jobs", "2")
        pickllm("run", "live", "--force", *LIVE)
        prices = ("--prices", "queries.prices.csv")
        pushed = pickllm("push", "mine.csv", "ada/mine", *prices, hub=hub)
        pushed = pushed.splitlines()[-1]
        checked = pickllm("check", pushed, hub=hub)

    rows = pk.load_trace(
        checkout / "mine.csv", checkout / "queries.prices.csv"
    ).to_frame()
    quality = {"good": ("g", 0.95), "bad": ("b", 0.3)}
    expected = [
        float(is_right(quality[m][0], f"please say {int(q[1:])}", quality[m][1]))
        for q, m in zip(rows.query_id, rows.model, strict=True)
    ]
    assert rows.accuracy.tolist() == expected
    assert len(rows) == 2 * N
    (report,) = (p for p in (checkout / "build").rglob("report/index.html"))
    assert "sums" in report.read_text("utf-8")
    assert "spelling" in report.read_text("utf-8")
    (session,) = checkout.rglob("live.session.parquet")
    assert pd.read_parquet(session).locked.iloc[-1] == "good"
    assert str(N) in checked
    assert len(pushed.rpartition("@")[2]) == 40
    assert not any(KEY.encode() in data for data in files_of(checkout))


@pytest.mark.xdist_group("notebooks")
def test_a_key_that_endpoints_repeat_is_in_no_file_and_on_no_terminal(checkout):
    with (
        serving(model="g", script=[401] * N) as good,  # each says the header it got
        serving(model="b", script=[500] * N) as bad,
    ):
        write_models(checkout, bad=(bad, 20.0), good=(good, 1.0))
        once = ("--models", "models.yaml", "--attempts", "1")
        record = run(checkout, "record", "queries.csv", *once)
        live = run(checkout, "run", "live", "--force")
    assert all(KEY in request["headers"]["authorization"] for request in good.requests)
    masked = "your header was Bearer ***"
    for done, told in ((record, masked), (live, "every LLM failed")):
        assert done.returncode == 2
        assert told in done.stdout + done.stderr
        assert KEY not in done.stdout + done.stderr
    files = files_of(checkout)
    assert any(b'"cells"' in data and masked.encode() in data for data in files)
    assert not any(KEY.encode() in data for data in files)
