"""Recording over real HTTP on loopback: every fault, nothing lost or paid twice."""

import asyncio
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import yaml
from endpoints import is_right, serving
from huggingface_hub import constants

import pickllm as pk
from pickllm.__main__ import main
from pickllm.live import recording, session
from pickllm.live.attempts import CallFailed, ask
from pickllm.live.endpoints import Endpoint
from pickllm.live.log import Log

PRICE = {"usd_per_million_input_tokens": 1.0, "usd_per_million_output_tokens": 2.0}
KEY = "sk-never-to-be-seen-0123"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of one's own, and no key of the machine's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"
    )  # for processes of their own
    monkeypatch.setattr(
        constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True
    )  # read once, at import
    monkeypatch.setenv("MY_KEY", KEY)
    return tmp_path


def queries(n=6, path="queries.csv"):
    """A queries file; each prompt says what the right answer is."""
    rows = [
        (f"{i:03d}", "ab"[i % 2], f"please say {i:03d}", f"{i:03d}", i / 2)
        for i in range(n)
    ]
    pd.DataFrame(
        rows, columns=["query_id", "context", "prompt", "reference", "weight"]
    ).to_csv(path, index=False)
    return recording.read_queries(path)


def models(path="models.yaml", **stubs):
    """A models file for some stubs, or for mappings that are taken as they are."""
    said = {
        name: (
            s
            if isinstance(s, dict)
            else {"model": f"id-of-{name}", "base_url": s.base_url, **PRICE}
        )
        for name, s in stubs.items()
    }
    pathlib.Path(path).write_text(yaml.safe_dump(said), "utf-8")
    return recording.read_models(path)


def lines(path="log.jsonl"):
    return [
        json.loads(line) for line in pathlib.Path(path).read_text("utf-8").splitlines()
    ]


def one_line(capsys, *arguments):
    assert main(list(arguments)) == 2
    out, error = capsys.readouterr()
    assert error.startswith("pickllm: "), error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    assert KEY not in out + error
    return error


# One attempt


def test_a_call_says_what_was_asked_and_what_came_back():
    with serving(model="returned-1", seconds=0.05, tokens=(20, 5, 2)) as stub:
        endpoint = Endpoint(
            "a",
            "asked-1",
            base_url=stub.base_url,
            temperature=0.3,
            seed=11,
            max_tokens=77,
            system="Be short.",
            extra={"top_p": 0.5},
        )
        reply = ask(endpoint, "please say 12", KEY)
    (request,) = stub.requests
    assert {
        k: request[k]
        for k in (
            "model",
            "temperature",
            "seed",
            "max_tokens",
            "top_p",
            "stream",
            "stream_options",
            "path",
        )
    } == {
        "model": "asked-1",
        "temperature": 0.3,
        "seed": 11,
        "max_tokens": 77,
        "top_p": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "path": "/v1/chat/completions",
    }
    assert [m["role"] for m in request["messages"]] == ["system", "user"]
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert (reply.response, reply.finish_reason, reply.returned_model) == (
        "12",
        "stop",
        "returned-1",
    )
    assert (reply.input_tokens, reply.output_tokens, reply.reasoning_tokens) == (
        20,
        5,
        2,
    )
    assert 50 <= reply.first_token_ms <= reply.latency_ms < 2000
    assert (
        abs((pd.Timestamp.now("UTC") - pd.Timestamp(reply.started)).total_seconds())
        < 60
    )


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("fault", "kind", "transient", "billed"),
    [
        ((429, {"Retry-After": "7"}), "HTTP 429", True, False),
        (500, "HTTP 500", True, False),
        ((503, {"list": "1"}), "HTTP 503", True, False),
        (408, "HTTP 408", True, False),
        (400, "HTTP 400", False, False),
        (401, "HTTP 401", False, False),
        (422, "HTTP 422", False, False),
        ("slow", "timeout", True, True),
        ("cut", "cut", True, True),
        ("malformed", "malformed answer", True, True),
    ],
    ids=str,
)
def test_a_fault_is_told_apart(stream, fault, kind, transient, billed):
    with serving(script=[fault]) as stub, pytest.raises(CallFailed) as caught:
        ask(
            Endpoint("a", "m", base_url=stub.base_url, stream=stream, timeout=0.25),
            "please say 12",
            KEY,
        )
    failure = caught.value
    assert (failure.kind, failure.transient, failure.billed) == (
        kind,
        transient,
        billed,
    )
    assert failure.wait_s == (7 if kind == "HTTP 429" else None)
    assert KEY not in str(failure)
    assert "\n" not in str(failure)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("silent cut", "cut"),
        ("error in stream", "error in the stream"),
        ("trickle", "timeout"),
        ("nothing", "cut"),
    ],
)
def test_a_stream_that_ends_badly_is_no_answer(fault, kind):
    with serving(script=[fault]) as stub, pytest.raises(CallFailed) as caught:
        ask(Endpoint("a", "m", base_url=stub.base_url, timeout=0.35), "please say 12")
    assert caught.value.kind == kind
    assert caught.value.transient
    assert caught.value.billed


def test_nobody_there():
    with serving() as stub:
        pass
    with pytest.raises(CallFailed, match=r"no connection: .*refused") as caught:
        ask(Endpoint("a", "m", base_url=stub.base_url), "x")
    assert caught.value.transient
    assert not caught.value.billed


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_empty_answer_is_an_answer_and_usage_may_be_missing(stream):
    with serving(script=["empty", "no usage"]) as stub:
        endpoint = Endpoint("a", "m", base_url=stub.base_url, stream=stream)
        empty, bare = ask(endpoint, "please say 12"), ask(endpoint, "please say 12")
    assert (empty.response, empty.finish_reason, empty.output_tokens) == ("", "stop", 5)
    assert (
        bare.response,
        bare.input_tokens,
        bare.output_tokens,
        bare.reasoning_tokens,
    ) == ("12", None, None, None)
    assert (bare.first_token_ms is None) == (not stream)


def test_an_error_that_a_caller_is_handling_is_not_the_calls():
    with serving(script=[400, "cut"]) as stub:
        endpoint = Endpoint("a", "m", base_url=stub.base_url)
        try:
            ask(endpoint, "please say 12")
        except CallFailed:
            with pytest.raises(CallFailed, match=r"^cut"):
                ask(endpoint, "please say 12")


def test_the_hubs_token_is_not_sent_to_an_address_without_a_key(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", "hf_" + KEY)
    with serving() as stub:
        ask(Endpoint("a", "m", base_url=stub.base_url), "please say 12")
    assert KEY not in json.dumps(stub.requests[0])


# A recording


def test_every_query_goes_to_every_llm_once_and_the_log_says_all(here):
    table = queries(6)
    with serving(quality=1.0) as a, serving(model="b-2", quality=0.5) as b:
        count = recording.record(table, models(a=a, b=b), "log.jsonl", seed=3)
        assert (count.answered, count.failed, count.reused, count.left) == (12, 0, 0, 0)
        assert len(a.requests) == len(b.requests) == 6
    for record in lines():
        assert all(not isinstance(v, (dict, list)) for v in record.values())
        assert record["error"] is None
        assert record["attempts"] == 1
        assert record["repeat"] == 0
        assert (
            record["temperature"],
            record["seed"],
            record["max_tokens"],
            record["stream"],
        ) == (0.0, 0, 512, True)
        assert record["requested_model"] == f"id-of-{record['model']}"
        assert record["provider"].startswith("http://127.0.0.1")
        assert record["charged_usd"] == pytest.approx((20 * 1 + 5 * 2) / 1e6)
        right = is_right(
            "stub-1" if record["model"] == "a" else "b-2",
            record["prompt"],
            1.0 if record["model"] == "a" else 0.5,
        )
        assert (record["response"] == record["reference"]) == right
    frame = recording.read_answers("log.jsonl")
    assert {
        "query_id",
        "context",
        "model",
        "prompt",
        "response",
        "reference",
        "input_tokens",
        "output_tokens",
        "latency_ms",
        "error",
        "weight",
    } <= set(frame)
    assert list(zip(frame.query_id, frame.model, strict=True)) == [
        (q, m) for q in table.query_id for m in "ab"
    ]
    assert set(frame.reference) == set(table.reference)
    assert len(pd.read_json("log.jsonl", lines=True)) == 12
    assert count.spent_usd == pytest.approx(12 * 30e-6)


def test_the_order_of_calls_is_the_seeds_and_confounds_no_llm():
    table = queries(60)
    with serving() as stub:
        pool = models(a=stub, b=stub, c=stub)
        order = [
            [c.identity[:2] for c in recording.plan(table, pool, seed=s)]
            for s in (0, 0, 1)
        ]
        recording.record(table.head(5), pool, "log.jsonl", concurrency=1, seed=4)
    assert order[0] == order[1] != order[2]
    assert sorted(order[0]) == sorted(order[2])
    for name in (
        pool
    ):  # the mean position of 60 of 180 calls has a standard deviation of 5.5 calls
        positions = [i for i, (_, model) in enumerate(order[0]) if model == name]
        assert abs(np.mean(positions) - 89.5) < 4 * 5.5
    assert [(r["model"], r["messages"][0]["content"]) for r in stub.requests] == [
        (c.endpoint.model, c.query["prompt"])
        for c in recording.plan(table.head(5), pool, seed=4)
    ]


def test_no_more_calls_at_once_than_allowed():
    with serving(seconds=0.03) as stub:
        recording.record(queries(24), models(a=stub), "log.jsonl", concurrency=3)
    assert stub.most == 3


def test_a_call_is_tried_again_after_what_may_pass_and_not_after_what_will_not():
    with serving(script=[500, "cut", "malformed", 503]) as stub:
        count = recording.record(queries(1), models(a=stub), "log.jsonl", wait=0.01)
    assert count.answered == 1
    assert lines()[0]["attempts"] == 5 == len(stub.requests)
    assert lines()[0]["latency_ms"] < 1000  # of the attempt that succeeded
    with serving(script=[400]) as stub:
        count = recording.record(queries(1), models(a=stub), "other.jsonl", wait=0.01)
    assert (count.failed, len(stub.requests)) == (1, 1)
    (record,) = lines("other.jsonl")
    assert record["error"].startswith("HTTP 400")
    assert record["response"] is None
    assert record["attempts"] == 1


def test_an_endpoint_that_asks_for_time_gets_it_from_every_thread():
    with serving(script=[(429, {"Retry-After": "1"})], seconds=0.02) as stub:
        count = recording.record(
            queries(6), models(a=stub), "log.jsonl", concurrency=2, wait=0.001
        )
    assert count.answered == 6
    since = [r["at"] - stub.requests[0]["at"] for r in stub.requests]
    assert sum(s < 0.99 for s in since) <= 2
    assert len(since) == 7


def test_an_endpoint_that_asks_for_too_much_time_is_not_waited_for():
    with serving(script=[(503, {"Retry-After": "86400"})]) as stub:
        start = time.monotonic()
        count = recording.record(queries(1), models(a=stub), "log.jsonl")
    assert count.failed == 1
    assert time.monotonic() - start < 5


def test_what_failed_is_tried_again_by_the_next_run_and_what_succeeded_is_not():
    with serving(script=[400, None, 400]) as stub:
        pool, table = models(a=stub), queries(5)
        first = recording.record(table, pool, "log.jsonl", concurrency=1)
        second = recording.record(table, pool, "log.jsonl", concurrency=1)
        third = recording.record(table, pool, "log.jsonl")
    assert [(c.answered, c.failed, c.reused) for c in (first, second, third)] == [
        (3, 2, 0),
        (2, 0, 3),
        (0, 0, 5),
    ]
    assert len(stub.requests) == 7 == len(lines())
    assert recording.read_log("log.jsonl").error.isna().all()
    assert len(recording.read_log("log.jsonl")) == 5


def test_another_setting_or_prompt_is_another_call():
    with serving() as stub:
        pool, table = models(a=stub), queries(2)
        recording.record(table, pool, "log.jsonl")
        for changed in (
            {"temperature": 0.5},
            {"max_tokens": 9},
            {"system": "Be short."},
            {"seed": 1},
            {"extra": {"top_p": 0.1}},
        ):
            assert (
                recording.record(
                    table,
                    models(
                        a=yaml.safe_load(pathlib.Path("models.yaml").read_text())["a"]
                        | changed
                    ),
                    "log.jsonl",
                ).answered
                == 2
            )
            models(a=stub)
        price = {
            **PRICE,
            "usd_per_million_input_tokens": 9.0,
            "timeout": 3,
            "key_env": "MY_KEY",
        }  # none of these changes an answer
        assert (
            recording.record(
                table,
                models(a={"model": "id-of-a", "base_url": stub.base_url, **price}),
                "log.jsonl",
            ).reused
            == 2
        )
        assert (
            recording.record(
                table.assign(prompt=table.prompt + "0"), pool, "log.jsonl"
            ).answered
            == 2
        )
    with pytest.raises(pk.InputError, match="two settings of LLM 'a'"):
        recording.read_answers("log.jsonl")


def test_repeats_give_the_median_latency_and_warm_up_gives_no_outcome():
    with serving() as stub:
        count = recording.record(
            queries(2), models(a=stub), "log.jsonl", repeats=3, warm_up=2
        )
    assert count.answered == 6
    assert len(stub.requests) == 8
    assert len(lines("log.warm-up.jsonl")) == 2
    assert len(lines()) == 6
    assert count.spent_usd == pytest.approx(8 * 30e-6)
    frame, calls = recording.read_answers("log.jsonl"), recording.read_log("log.jsonl")
    assert frame.repeats.tolist() == [3, 3]
    for row in frame.itertuples():
        assert row.latency_ms == np.median(
            calls.latency_ms[calls.query_id == row.query_id]
        )


def test_a_repeat_that_failed_leaves_the_answer_to_the_next():
    with serving(script=[400]) as stub:
        recording.record(
            queries(1), models(a=stub), "log.jsonl", repeats=3, concurrency=1
        )
    (row,) = recording.read_answers("log.jsonl").to_dict("records")
    assert row["response"] == "000"
    assert row["repeats"] == 2
    assert pd.isna(row["error"])
    assert row["latency_ms"] == np.median(
        [r["latency_ms"] for r in lines() if r["error"] is None]
    )


# Money

DOLLAR = {
    "usd_per_million_input_tokens": 0,
    "usd_per_million_output_tokens": 2e5,
    "max_tokens": 5,
}  # one answer of five tokens costs 1 USD


@pytest.mark.parametrize(("budget", "made"), [(3.0, 3), (2.99, 2), (0.5, 0), (100, 12)])
def test_the_budget_is_never_passed_with_many_calls_at_once(budget, made):
    with serving(tokens=(7, 5, 0), seconds=0.01) as stub:
        pool, table = (
            models(a={"model": "m", "base_url": stub.base_url, **DOLLAR}),
            queries(12),
        )
        count = recording.record(table, pool, "log.jsonl", budget=budget, concurrency=8)
        assert (len(stub.requests), count.answered, count.left, count.over_budget) == (
            made,
            made,
            12 - made,
            made < 12,
        )
        if made < 12:
            assert (
                recording.record(table, pool, "log.jsonl", budget=made + 2.5).answered
                == 2
            )  # the log's spending counts
    assert recording.read_log("log.jsonl").charged_usd.sum() == made + 2 * (made < 12)


def test_cheaper_answers_than_feared_leave_room_for_more():
    with serving(tokens=(7, 1, 0)) as stub:  # a fifth of the worst case
        pool = models(a={"model": "m", "base_url": stub.base_url, **DOLLAR})
        count = recording.record(
            queries(12), pool, "log.jsonl", budget=2.0, concurrency=2
        )
    assert count.answered == 6
    assert count.spent_usd == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("script", "made"),
    [(["cut", "malformed"], 3), ([500, 500, 429], 6), (["no usage"] * 9, 3)],
)
def test_an_attempt_that_may_have_been_billed_counts_in_full(script, made):
    with serving(tokens=(7, 5, 0), script=script) as stub:
        pool = models(a={"model": "m", "base_url": stub.base_url, **DOLLAR})
        count = recording.record(
            queries(12), pool, "log.jsonl", budget=3.0, concurrency=1, wait=0.01
        )
    assert len(stub.requests) == made
    assert count.spent_usd == 3.0
    assert count.unmetered == (3 if "no usage" in script else 0)


def test_a_dry_run_calls_nobody_and_needs_no_key(capsys, monkeypatch):
    monkeypatch.delenv("MY_KEY")
    queries(10)
    said = {
        "model": "m",
        "base_url": "http://127.0.0.1:9/v1",
        "key_env": "MY_KEY",
        **PRICE,
        "max_tokens": 100,
    }
    models(a=said, b={k: v for k, v in said.items() if not k.startswith("usd")})
    assert (
        main(
            [
                "record",
                "queries.csv",
                "--models",
                "models.yaml",
                "--dry-run",
                "--repeats",
                "2",
                "--warm-up",
                "1",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    # 21 calls: at worst a token a byte and 256 of the template, and the whole answer;
    # expected are a token for four bytes, and half the answer
    n = len("please say 000")
    assert (
        f"a: 21 calls, expected {21 * (n / 4 + 2 * 50) / 1e6:.4f} USD, at worst"
        f" {21 * (n + 256 + 2 * 100) / 1e6:.4f} USD" in out
    )
    assert "b: 21 calls, no price" in out
    assert "for those that have a price" in out
    assert not pathlib.Path("queries.jsonl").exists()


def test_an_expected_cost_learns_from_the_log():
    with serving(tokens=(20, 40, 0)) as stub:
        pool, table = models(a=stub), queries(10)
        recording.record(table.head(4), pool, "log.jsonl")
    (row,) = recording.estimate(table, pool, "log.jsonl").itertuples()
    assert row.calls == 6
    assert row.expected_usd == pytest.approx(6 * (14 / 4 * 1 + 40 * 2) / 1e6)


def test_prices_are_written_as_a_price_file():
    with serving() as stub:
        said = {
            "model": "m",
            "base_url": stub.base_url,
            **PRICE,
            "vendor": "v",
            "source": "list",
        }
        pathlib.Path("models.yaml").write_text(
            yaml.safe_dump({"a": said}) + "  as_of: 2024-08-11\n", "utf-8"
        )
        queries(1)
        assert main(["record", "queries.csv", "--models", "models.yaml"]) == 0
    price = pk.read_prices("queries.prices.csv")["a"]
    assert (
        price.input_usd,
        price.output_usd,
        price.vendor,
        price.as_of,
        price.source,
    ) == (1.0, 2.0, "v", "2024-08-11", "list")


# Nothing lost, nothing paid twice


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT], ids=lambda s: s.name)
def test_a_kill_at_any_moment_loses_no_finished_call_and_pays_none_twice(sent):
    table = queries(40)
    with serving(seconds=0.02) as stub:
        models(a=stub)
        command = [
            sys.executable,
            "-m",
            "pickllm",
            "record",
            "queries.csv",
            "--models",
            "models.yaml",
            "--output",
            "log.jsonl",
            "--concurrency",
            "4",
        ]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while len(stub.requests) < 15 and process.poll() is None:
            time.sleep(0.002)
        os.kill(process.pid, sent)
        error = process.communicate()[1]
        time.sleep(
            0.1
        )  # what was sent before the kill may still be on its way to the server
        before = pathlib.Path("log.jsonl").read_text("utf-8").split("\n")[:-1]
        finished = {json.loads(line)["prompt"] for line in before}
        asked = len(stub.requests)
        assert 15 <= asked < 40
        assert asked - 4 <= len(finished) <= asked
        if sent == signal.SIGINT:
            assert process.returncode == 130
            assert len(finished) == asked
            assert "goes on from there" in error
        count = recording.record(
            table, recording.read_models("models.yaml"), "log.jsonl"
        )
        times = Counter(r["messages"][0]["content"] for r in stub.requests)
    assert count.reused == len(finished)
    assert all(times[prompt] == 1 for prompt in finished)
    assert sum(times.values()) == asked + 40 - len(finished)
    assert Counter(r["query_id"] for r in lines()) == Counter(table.query_id)


def test_an_interrupt_does_not_wait_for_an_endpoint_that_asked_for_time():
    queries(3)
    with serving(script=[(429, {"Retry-After": "300"})]) as stub:
        models(a=stub)
        command = [
            sys.executable,
            "-m",
            "pickllm",
            "record",
            "queries.csv",
            "--models",
            "models.yaml",
            "--output",
            "log.jsonl",
            "--concurrency",
            "2",
        ]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while len(stub.requests) < 2 and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert len(stub.requests) == 2
        assert sorted(str(r["error"])[:8] for r in lines()) == ["HTTP 429", "None"]


def recorded(n=4):
    """A finished log of one LLM, as bytes."""
    with serving() as stub:
        recording.record(queries(n), models(a=stub), "log.jsonl", concurrency=1)
    return pathlib.Path("log.jsonl").read_bytes()


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_line_cut_in_mid_write_is_set_aside_and_its_call_made_again(kept, here):
    with serving() as stub:
        table, pool = queries(4), models(a=stub)
        recording.record(table, pool, "log.jsonl")
        data = pathlib.Path("log.jsonl").read_bytes()
        start = data.rstrip(b"\n").rindex(b"\n") + 1
        piece = data[start : start + max(1, int(kept * (len(data) - start - 2)))]
        pathlib.Path("log.jsonl").write_bytes(data[:start] + piece)
        assert len(recording.read_log("log.jsonl")) == 3  # a run may be under way
        count = recording.record(table, pool, "log.jsonl")
        assert (count.reused, count.answered, len(stub.requests)) == (3, 1, 5)
    (aside,) = here.glob("log.jsonl.cut-*")
    assert aside.read_bytes() == piece
    assert f"line 4 was cut; set aside as {aside.name}" in count.set_aside[0]
    assert len(lines()) == 4


def test_a_line_spoilt_in_the_middle_is_set_aside_too(here):
    data = recorded()
    second = data.index(b"\n") + 1
    pathlib.Path("log.jsonl").write_bytes(
        data[: second + 40] + b"\n" + data[data.index(b"\n", second) + 1 :]
    )
    with pytest.raises(
        pk.InputError, match="line 2 was cut; run `pickllm record` again"
    ):
        recording.read_log("log.jsonl")
    with Log("log.jsonl") as log:
        assert len(log.records) == 3
        assert "line 2 was cut" in log.set_aside[0]
    assert len(recording.read_log("log.jsonl")) == 3
    with Log("log.jsonl") as log:
        assert not log.set_aside


def test_a_whole_last_line_without_its_end_is_kept():
    data = recorded()
    pathlib.Path("log.jsonl").write_bytes(data[:-1])
    with Log("log.jsonl") as log:
        assert len(log.records) == 4
        assert not log.set_aside
        log.append(log.records[0])
    assert len(lines()) == 5


def test_one_recording_at_a_time():
    with (
        serving() as stub,
        Log("log.jsonl"),
        pytest.raises(pk.InputError, match="another recording writes this log"),
    ):
        recording.record(queries(1), models(a=stub), "log.jsonl")
    assert not stub.requests


@pytest.mark.parametrize("text", ["query_id,prompt\n1,x\n", '{"a": 1}\n', "notes"])
def test_a_file_that_is_no_log_is_left_as_it_is(text):
    pathlib.Path("log.jsonl").write_text(text)
    with pytest.raises(pk.InputError, match="log"):
        Log("log.jsonl")
    assert pathlib.Path("log.jsonl").read_text() == text


# Privacy


def test_the_key_is_in_no_file_and_on_no_screen(here, capsys):
    queries(4)
    with serving(
        script=[400, None, 401]
    ) as stub:  # the stub repeats the header in what it says of an error
        models(a={"model": "m", "base_url": stub.base_url, "key_env": "MY_KEY"})
        assert (
            main(
                [
                    "record",
                    "queries.csv",
                    "--models",
                    "models.yaml",
                    "--concurrency",
                    "1",
                ]
            )
            == 2
        )
        assert stub.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    out = capsys.readouterr()
    assert "***" in out.err
    assert KEY not in out.out + out.err
    assert any("***" in p.read_text("utf-8") for p in here.rglob("*") if p.is_file())
    assert not any(KEY in p.read_text("utf-8") for p in here.rglob("*") if p.is_file())


def everything_told(error):
    """What a terminal or a notebook may show of an error and those beneath it."""
    told = [*traceback.format_exception(error)]
    while error is not None:
        told += [repr(error), *map(str, error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(told)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_no_error_beneath_a_failed_call_holds_the_key(status, stream, caplog):
    caplog.set_level("DEBUG")
    with serving(script=[status]) as stub, pytest.raises(CallFailed) as caught:
        ask(Endpoint("a", "m", base_url=stub.base_url, stream=stream), "say 1", KEY)
    assert KEY in stub.requests[0]["headers"]["authorization"]
    assert "your header was Bearer ***" in str(caught.value)
    assert KEY not in everything_told(caught.value)
    assert KEY not in caplog.text


def test_no_error_beneath_a_failed_session_holds_the_key():
    with serving(script=[400, 401]) as stub:
        one = {"model": "m", "base_url": stub.base_url, "key_env": "MY_KEY", **PRICE}
        models(a=one, b=one)
        router = pk.Router(["a", "b"], pk.UniformRandom(), pk.Reward())
        live = pk.LiveSession(
            router, session.clients("models.yaml"), lambda text, reference: 1.0
        )
        with pytest.raises(pk.InputError, match="every LLM failed") as caught:
            live.ask("say 1")
    assert KEY not in everything_told(caught.value)
    assert isinstance(caught.value.__cause__, CallFailed)


def test_a_reply_that_repeats_the_key_is_without_it():
    with serving() as stub:
        reply = ask(Endpoint("a", "m", base_url=stub.base_url), f"say {KEY}", KEY)
    assert reply.response == "***"


def test_an_answer_that_repeats_the_key_is_kept_without_it():
    with serving() as stub:
        pathlib.Path("queries.csv").write_text(f"query_id,text\n1,say {KEY}\n")
        pool = models(a={"model": "m", "base_url": stub.base_url, "key_env": "MY_KEY"})
        recording.record(recording.read_queries("queries.csv"), pool, "log.jsonl")
    assert KEY not in pathlib.Path("log.jsonl").read_text()
    assert lines()[0]["response"] == "***"


def test_texts_may_be_left_out(here):
    queries(3)
    pd.read_csv("queries.csv", dtype=str).assign(note="private note").to_csv(
        "queries.csv", index=False
    )
    with serving(script=[400]) as stub:
        models(a=stub)
        assert (
            main(
                [
                    "record",
                    "queries.csv",
                    "--models",
                    "models.yaml",
                    "--no-text",
                    "--concurrency",
                    "1",
                ]
            )
            == 1
        )
        assert (
            main(["record", "queries.csv", "--models", "models.yaml", "--no-text"]) == 0
        )
    text = pathlib.Path("queries.jsonl").read_text("utf-8")
    assert "please" not in text
    assert "private" not in text
    assert "your header" not in text
    for record in recording.read_log("queries.jsonl").to_dict("records"):
        prompt = f"please say {record['query_id']}"
        assert pd.isna(record["prompt"])
        assert record["prompt_sha256"] == hashlib.sha256(prompt.encode()).hexdigest()
        assert (
            record["response_sha256"]
            == record["reference_sha256"]
            == hashlib.sha256(record["query_id"].encode()).hexdigest()
        )


# Bad input


def test_an_endpoint_that_refuses_ends_its_own_calls_and_no_others(capsys):
    queries(30)
    with serving() as gone:
        pass
    with serving() as here:
        models(gone=gone, here=here)
        assert (
            main(
                [
                    "record",
                    "queries.csv",
                    "--models",
                    "models.yaml",
                    "--attempts",
                    "1",
                    "--concurrency",
                    "2",
                ]
            )
            == 2
        )
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith(
            "pickllm: LLM 'gone' was given up: http://127.0.0.1"
        )
        assert "refused" in error
        assert "correct models.yaml or start the endpoint" in error
        assert len(here.requests) == 30
    frame = recording.read_log("queries.jsonl")
    assert frame.error[frame.model == "here"].isna().all()
    assert 5 <= (frame.model == "gone").sum() <= 6


def test_a_wrong_key_is_not_tried_thirty_times():
    with serving(script=[401] * 30) as stub:
        count = recording.record(
            queries(30), models(a=stub), "log.jsonl", concurrency=1
        )
    assert len(stub.requests) == 1
    assert count.left == 29
    assert "HTTP 401" in count.given_up["a"]


SOUND = "a: {model: m, base_url: 'http://127.0.0.1:9/v1'}"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,prompt\n1,x\n", "column 'query_id' is missing"),
        ("query_id,context\n1,x\n", "column 'prompt' (or 'text') is missing"),
        ("query_id,prompt,text\n1,x,y\n", "columns 'prompt' and 'text' both"),
        (
            "query_id,prompt\n1,x\n2,\n",
            "row 3, column 'prompt': must be a text, got nan",
        ),
        ("query_id,prompt\n1,x\n01,x\n\n1,y\n\n", "row 5: query '1' stands twice"),
        (
            "query_id,prompt,response\n1,x,y\n",
            "column 'response' has a name that the log uses",
        ),
        ("query_id,prompt\n", "has no rows"),
        (
            "query_id,prompt,reference\n1,What is 2+2?,4,\n2,What is 3+3?,6,\n",
            "pickllm: queries.csv, line 2: 4 fields under 3 columns; take the extra",
        ),
        ("query_id,prompt,prompt\n1,x,y\n", "column 'prompt' stands twice"),
        ("", "not a CSV table, it is empty"),
        (None, "no queries file queries.csv"),
    ],
)
def test_a_wrong_queries_file_is_one_line(capsys, table, message):
    pathlib.Path("models.yaml").write_text(SOUND)
    if table is not None:
        pathlib.Path("queries.csv").write_text(table)
    assert message in one_line(
        capsys, "record", "queries.csv", "--models", "models.yaml"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SOUND[:-1] + ", api_key: " + KEY + "}", "LLM 'a': unknown key 'api_key'; "),
        (SOUND[:-1] + ", max_token: 3}", "did you mean 'max_tokens'"),
        (
            SOUND[:-1] + ", key_env: " + KEY + "}",
            "key_env must be the name of an environment variable",
        ),
        (
            SOUND[:-1] + ", key_env: NOT_SET}",
            "the environment variable NOT_SET is not set; export",
        ),
        (
            SOUND[:-1] + ", max_tokens: 0}",
            "max_tokens must be a whole number >= 1, got 0",
        ),
        (
            SOUND[:-1] + ", temperature: hot}",
            "temperature must be a number >= 0, got 'hot'",
        ),
        (SOUND[:-1] + ", seed: true}", "seed must be a whole number >= 0, got True"),
        (
            SOUND[:-1] + ", extra: {seed: 3}}",
            "extra must be a mapping without model, messages",
        ),
        (
            SOUND[:-1] + ", usd_per_million_input_tokens: 3}",
            "usd_per_million_output_tokens must be a number >= 0, got None; give both",
        ),
        (SOUND[:-1] + ", provider: together}", "needs either base_url"),
        ("a: {model: m}", "needs either base_url"),
        ("a: {base_url: 'http://x/v1'}", "model must be the LLM's id"),
        (
            "a: {model: m, base_url: 'http://me:" + KEY + "@x/v1'}",
            "base_url must be an address",
        ),
        ("a: {model: m, base_url: 'x/v1'}", "base_url must be an address"),
        ("a: {model: m, base_url: 'http://[x/v1'}", "base_url must be an address"),
        ("a: 3", "must hold `key: value` lines"),
        (SOUND + "\n" + SOUND, "'a' stands twice, in line 2 again"),
        ("a: {model: m", "not YAML"),
        ("[]", "must hold an LLM's name"),
        ("a: {model: m, provider: together}", "needs a key; set HF_TOKEN"),
        (None, "no models file models.yaml"),
    ],
)
def test_a_wrong_models_file_is_one_line(capsys, monkeypatch, text, message):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    queries(1)
    if text is not None:
        pathlib.Path("models.yaml").write_text(text)
    assert message in one_line(
        capsys, "record", "queries.csv", "--models", "models.yaml"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "3"], "a budget needs the price of every LLM, and 'a' has none"),
        (["--budget", "-1"], "budget must be a number in [0, inf], got -1.0"),
        (["--repeats", "0"], "repeats must be a whole number in [1, inf], got 0"),
        (
            ["--concurrency", "0"],
            "concurrency must be a whole number in [1, 100], got 0",
        ),
        (["--max-tokens", "0"], "max_tokens must be a whole number >= 1"),
        (["--temperature", "nan"], "temperature must be a number >= 0"),
        (["--output", "queries.csv/log.jsonl"], "cannot write"),
        (["--output", "queries.csv"], "not a log of calls"),
    ],
)
def test_a_wrong_option_is_one_line(capsys, arguments, message):
    queries(2)
    pathlib.Path("models.yaml").write_text(SOUND)
    assert message in one_line(
        capsys, "record", "queries.csv", "--models", "models.yaml", *arguments
    )


def test_queries_in_parquet_with_a_text_column_and_lists_of_references():
    frame = pd.DataFrame(
        {
            "query_id": [1, 2],
            "text": ["say 1", "say 2"],
            "reference": [["1", "one"], None],
            "when": pd.to_datetime(["2024-01-01", None]),
        }
    )
    frame.to_parquet("queries.parquet")
    with serving() as stub:
        recording.record(
            recording.read_queries("queries.parquet"),
            models(a=stub),
            "log.jsonl",
            seed=0,
        )
    first, second = sorted(lines(), key=lambda r: r["query_id"])
    assert first["reference"] == ["1", "one"]
    assert second["reference"] is None
    assert first["context"] == "all"
    assert first["when"].startswith("2024-01-01")
    assert second["when"] is None


# Live


def test_clients_take_part_in_a_live_session():
    with (
        serving(quality=1.0, tokens=(10, 10, 0)) as good,
        serving(model="bad", quality=0.0, script=[500]) as bad,
    ):
        models(good=good, bad=bad)
        clients = session.clients("models.yaml")
        text, cost = clients["good"]("please say 7")
        assert text == "7"
        assert cost == pytest.approx(30e-6)
        router = pk.Router(
            ["bad", "good"], pk.LinearRewardInaction(0.3), pk.Reward(), seed=0
        )
        live = pk.LiveSession(
            router, clients, lambda text, reference: float(text == reference)
        )
        answers = [live.ask(f"please say {i}", str(i)) for i in range(80)]
        assert any(a.failed == ("bad",) for a in answers)
        assert router.locked == "good" == answers[-1].model
        assert asyncio.run(live.ask_async("please say 3", "3")).accuracy == 1.0


def test_a_client_without_usage_estimates_and_says_so_once():
    with serving(script=["no usage"] * 2) as stub:
        models(a=stub)
        client = session.clients("models.yaml")["a"]
        with pytest.warns(UserWarning, match="LLM 'a' does not say how many tokens"):
            _, cost = client("please say 1234")
        assert cost == pytest.approx((15 / 4 * 1 + 4 / 4 * 2) / 1e6)
        client("please say 1234")


def test_a_client_needs_a_price():
    pathlib.Path("models.yaml").write_text(SOUND)
    with pytest.raises(
        pk.InputError, match="LLM 'a' has no price, and a session learns from costs"
    ):
        session.clients("models.yaml")
