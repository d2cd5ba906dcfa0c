"""Sources: one name or path, one trace; and prices that are given are those it has."""

import subprocess
import sys
from dataclasses import replace
from os import environ

import numpy as np
import pandas as pd
import pytest
from test_trace import COLUMNS, refused

import pickllm as pk
from pickllm.files import home
from pickllm.traces import hub, leaderboard

MAIN = "bfcl-2024-08-11"
LLMS = ("a", "b")
LISTED = home("data") / "prices.csv"


def table(**columns):
    rows = [
        (f"q{i}", "law", m, float((i + j) % 2), 100 * (i + 1), 10 + j, 500.0 + i)
        for i in range(8)
        for j, m in enumerate(LLMS)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(**columns)


def prices(input_usd=2.0, output_usd=8.0, models=LLMS):
    return {
        m: pk.Price(m, "v", input_usd, output_usd, "2026-01-01", "mine") for m in models
    }


def doubled():
    """The kit's own list at twice its prices."""
    return {
        m: replace(p, input_usd=2 * p.input_usd, output_usd=2 * p.output_usd)
        for m, p in pk.read_prices().items()
    }


def written(tmp_path, kind, monkeypatch):
    """A trace's name, by where it comes from; none needs the prices of its LLMs."""
    own = table(cost_usd=0.5)
    made = pk.Trace.from_frame(table(), prices=prices(1.0, 1.0))
    if kind == "bundled":
        return MAIN
    if kind == "rows":
        monkeypatch.setattr(leaderboard, "read", lambda pool: pk.load_trace(pool))
        return f"{MAIN}-rows"
    if kind == "summary":
        pk.TraceSummary.of(made).save(tmp_path / "s.json")
        return tmp_path / "s.json"
    if kind == "summary of own costs":
        pk.TraceSummary.of(pk.Trace.from_frame(own)).save(tmp_path / "s.json")
        return tmp_path / "s.json"
    own.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


KINDS = ["bundled", "rows", "summary", "summary of own costs", "file of own costs"]


@pytest.mark.parametrize("kind", KINDS)
def test_prices_that_are_given_are_applied_whatever_the_source(
    tmp_path, kind, monkeypatch
):
    name = written(tmp_path, kind, monkeypatch)
    before = pk.load_trace(name)
    given = prices(3.0, 7.0, before.models)
    after = pk.load_trace(name, given)
    expected = (3.0 * before.input_tokens + 7.0 * before.output_tokens) / 1e6
    np.testing.assert_allclose(after.cost_usd, expected, rtol=1e-12)
    assert after.prices == given
    assert after.fingerprint() != before.fingerprint()
    for outcome in ("accuracy", "latency_ms", "input_tokens", "output_tokens"):
        np.testing.assert_array_equal(getattr(after, outcome), getattr(before, outcome))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_a_price_is_refused_in_one_line(tmp_path, kind, monkeypatch):
    name = written(tmp_path, kind, monkeypatch)
    models = pk.load_trace(name).models
    message = refused(lambda: pk.load_trace(name, prices(models=models[1:])))
    assert f"'{models[0]}' has no price; add its row to the price file" in message


def test_the_kit_s_own_list_changes_nothing_and_limits_follow_any_other():
    bundled = pk.load_trace(MAIN)
    assert pk.load_trace(MAIN, LISTED).fingerprint() == bundled.fingerprint()
    dear = pk.load_trace(MAIN, doubled())
    np.testing.assert_array_equal(dear.cost_usd, 2 * bundled.cost_usd)
    assert dear.limits.max_cost_usd == 2 * bundled.limits.max_cost_usd
    own = pk.Limits(1.0, 10.0, 1000.0)
    for trace in (pk.load_trace(MAIN, limits=own), pk.load_trace(MAIN, LISTED, own)):
        assert trace.limits == own
    assert pk.load_trace(MAIN).limits == bundled.limits  # what is kept is untouched


def test_a_receipt_holds_the_prices_of_its_run(tmp_path):
    from pickllm.publish import manifest
    from pickllm.study.study import Study

    frame = pd.read_csv(LISTED, dtype={"as_of": str})
    frame["usd_per_million_input_tokens"] *= 3
    frame.to_csv(tmp_path / "mine.csv", index=False)

    def traced(prices):
        run = {"parameters": {"trace": MAIN, "prices": prices}}
        return manifest._traces(Study.here(), {"one": run})[MAIN]

    plain = traced("")
    mine = traced(str(tmp_path / "mine.csv"))
    assert mine["sha256"] != plain["sha256"]
    for model, (input_usd, output_usd) in plain["prices"]["usd_per_million"].items():
        assert mine["prices"]["usd_per_million"][model] == [3 * input_usd, output_usd]


def test_costs_without_tokens_cannot_be_priced(tmp_path):
    own = table(cost_usd=0.5, input_tokens=0, output_tokens=0)
    own.to_csv(tmp_path / "t.csv", index=False)
    message = refused(lambda: pk.load_trace(tmp_path / "t.csv", prices()))
    assert "has costs but no tokens, so that prices cannot be applied" in message


def test_a_sample_at_other_prices_is_not_pushed_as_its_summary():
    repriced = pk.load_trace(MAIN, doubled())
    message = refused(lambda: hub.push(repriced, "ada/mine"))
    assert "a sample of a summary at other prices than the summary's" in message


@pytest.mark.parametrize("processor", ["Haswell", "SANDYBRIDGE", "PRESCOTT"])
def test_a_sample_does_not_depend_on_the_processor(processor):
    code = "import pickllm as pk; print(pk.load_trace('bfcl-2024-08-11').fingerprint())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ | {"OPENBLAS_CORETYPE": processor},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == pk.load_trace("bfcl-2024-08-11").fingerprint()
