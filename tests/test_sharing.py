"""Sharing: what is pushed comes back by its commit, what should not leave does not, and
every refusal is one line.
"""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace

import hub as stand_in
import numpy as np
import pandas as pd
import pytest
import yaml
from test_trace import COLUMNS, refused, same

import pickllm as pk
from pickllm.errors import UnpinnedWarning
from pickllm.traces import hub as sharing

FAR = "0" * 40


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub of one's own, with a token that may write and an empty cache."""
    with stand_in.running() as (hub, address):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_ada_writes")
        hub.address = address
        yield hub


def table(n=12):
    """Queries in two contexts by two LLMs, with a column of text and one of numbers."""
    rng = np.random.default_rng(3)
    rows = [
        (
            f"q{i}",
            "law" if i % 2 else "Maß | maths",
            m,
            float(rng.random() < 0.6),
            int(rng.integers(1, 300)),
            int(rng.integers(0, 90)),
            200 + 1000 * rng.random(),
        )
        for i in range(n)
        for m in ("a/1,2", "b|ü")
    ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(
        response="the secret answer", attempts=1
    )


def prices(**changes):
    one = {
        "vendor": "v",
        "input_usd": 0.1 + 0.2,
        "output_usd": 1 / 3,
        "as_of": "2025-01-01",
        "source": "list, with a comma",
    } | changes
    return {m: pk.Price(m, **one) for m in ("a/1,2", "b|ü")}


def trace(n=12, **limits):
    return pk.Trace.from_frame(
        table(n),
        prices=prices(),
        limits=pk.Limits(**limits) if limits else None,
        name="mine",
    )


def without_text(mine):
    return replace(mine, extra={"attempts": mine.extra["attempts"]})


# There and back


@pytest.mark.parametrize(
    "limits",
    [{}, {"max_cost_usd": 0.5, "latency_floor_ms": 10.0, "latency_ceiling_ms": 7e4}],
)
def test_what_is_pushed_is_what_its_commit_loads(hub, limits):
    mine = trace(**limits)
    pushed = sharing.push(mine, "ada/mine", licence="cc-by-4.0", source="a log")
    again = pk.load_trace(pushed.address)
    assert pushed.address == f"hub:ada/mine@{hub.datasets['ada/mine']['refs']['main']}"
    assert again.fingerprint() == without_text(mine).fingerprint()
    assert again.prices == mine.prices
    assert again.limits == mine.limits
    assert same(
        again, pk.Trace.from_frame(table().drop(columns="response"), prices=prices())
    )


def test_large_files_go_by_the_large_file_protocol_and_come_back(tmp_path):
    with stand_in.running(lfs=(".parquet",)) as (hub, address):
        trace().save(tmp_path / "t.csv")
        environment = os.environ | {
            "HF_ENDPOINT": address,
            "HF_HOME": str(tmp_path),
            "HF_TOKEN": "hf_ada_writes",
            "HF_HUB_DISABLE_XET": "1",
        }
        # in a process of its own: huggingface_hub reads its switches when it is
        # imported
        code = (
            "import sys, pickllm as pk\nfrom pickllm.traces import hub as sharing\nt ="
            " pk.load_trace(sys.argv[1])\n"
            "p = sharing.push(t, 'ada/large', with_text=True)"
            "\nassert pk.load_trace(p.address).fingerprint() == t.fingerprint()"
            "\nprint(p.address)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "t.csv"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(hub.objects) == 1
        assert hub.head("ada/large")["trace.parquet"] in hub.objects.values()


def test_a_commit_that_was_loaded_once_needs_no_hub(hub, monkeypatch):
    rows, summary = (
        sharing.push(trace(), "ada/mine"),
        sharing.push(trace(), "ada/short", summary_only=True, min_cell=2),
    )
    first = [pk.load_trace(p.address).fingerprint() for p in (rows, summary)]
    calls = len(hub.calls)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert [pk.load_trace(p.address).fingerprint() for p in (rows, summary)] == first
    assert len(hub.calls) == calls


def test_a_later_commit_changes_nothing_of_an_earlier_one(hub):
    one, two = trace(), trace(8)
    first, second = sharing.push(one, "ada/mine"), sharing.push(two, "ada/mine")
    assert [pk.load_trace(p.address).n_queries for p in (first, second)] == [12, 8]
    assert (
        sharing.push(two, "ada/mine").address == second.address
    )  # nothing changed, no commit


def test_a_summary_is_shared_without_rows_and_samples_alike_after_loading(hub):
    sharing.push(trace(), "ada/mine")
    pushed = sharing.push(trace(), "ada/mine", summary_only=True, min_cell=3)
    assert {f for f in hub.head("ada/mine") if not f.startswith(".")} == {
        "summary.json",
        "README.md",
    }  # the rows are gone from the head
    again = pk.load_trace(pushed.address)
    assert again.sample_of.provenance["protected"]
    assert f"fingerprint: {again.fingerprint()}" in pushed.disclosed
    assert sharing.push(again, "ada/again").address
    assert "trace.parquet" not in hub.head("ada/again")
    assert hub.head("ada/again")["summary.json"] == hub.head("ada/mine")["summary.json"]


def test_files_that_others_made_by_hand_load_too(hub):
    content = table().drop(columns="response").to_csv(index=False).encode()
    sha = hub.commit(
        "bob/hand",
        {
            "trace.csv": content,
            "prices.csv": (
                b'model,usd_per_million_input_tokens,usd_per_million_output_tokens\n"a/1,2",1,2\nb|\xc3\xbc,3,4\n'
            ),
        },
    )
    assert pk.load_trace(f"hub:bob/hand@{sha}").prices["b|ü"].output_usd == 4


def test_own_prices_stand_over_the_dataset_s(hub):
    address = sharing.push(trace(), "ada/mine").address
    assert pk.load_trace(
        address, prices=prices(input_usd=9.0)
    ).limits.max_cost_usd == pytest.approx((9 * 1000 + 300 / 3) / 1e6)


# What moves


@pytest.mark.parametrize(
    "name", ["hub:ada/mine@main", "hub:ada/mine", "hub:ada/mine@v1"]
)
def test_what_may_move_is_loaded_with_a_warning_that_names_the_commit(hub, name):
    address = sharing.push(trace(), "ada/mine").address
    hub.datasets["ada/mine"]["refs"]["v1"] = address[-40:]
    with pytest.warns(UnpinnedWarning, match=address) as said:
        assert pk.load_trace(name).name == f"ada/mine@{address[-40:][:12]}"
    assert len(said) == 1
    assert "\n" not in str(said[0].message)
    assert said[0].filename == __file__


def test_a_commit_is_loaded_without_a_word(hub):
    address = sharing.push(trace(), "ada/mine").address
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pk.load_trace(address)


# What does not leave


def test_text_stays_here_unless_it_is_told_to_go(hub):
    pushed = sharing.push(trace(), "ada/mine")
    assert not any(b"secret" in content for content in hub.head("ada/mine").values())
    assert any("left out as text: response" in line for line in pushed.disclosed)
    assert any("attempts" in line for line in pushed.disclosed)
    told = sharing.push(trace(), "ada/told", with_text=True)
    assert (pk.load_trace(told.address).extra["response"] == "the secret answer").all()


@pytest.mark.parametrize("query", ["what is the capital of France?", "x" * 65])
def test_an_id_that_reads_like_a_query_is_refused(hub, query):
    told = pk.Trace.from_frame(table().replace("q3", query), prices=prices())
    assert "--with-text" in refused(lambda: sharing.push(told, "ada/mine"))
    assert not hub.calls
    assert sharing.push(told, "ada/mine", with_text=True)


def test_the_token_is_nowhere_in_what_is_pushed(hub):
    pushed = sharing.push(trace(), "ada/mine")
    assert not any(b"hf_ada" in content for content in hub.head("ada/mine").values())
    assert "hf_ada" not in repr(pushed)


def test_a_private_dataset_is_made_private_and_a_public_one_refused_as_such(hub):
    address = sharing.push(trace(), "ada/mine", private=True).address
    assert hub.datasets["ada/mine"]["private"]
    assert pk.load_trace(address).n_queries == 12
    sharing.push(trace(), "ada/open")
    before = dict(hub.head("ada/open"))
    assert "is public already" in refused(
        lambda: sharing.push(trace(8), "ada/open", private=True)
    )
    assert hub.head("ada/open") == before


def test_another_dataset_is_not_replaced(hub):
    hub.commit(
        "ada/other",
        {"README.md": b"---\nlicense: mit\n---\n# Other\n", "trace.csv": b"x"},
    )
    assert "another dataset" in refused(lambda: sharing.push(trace(), "ada/other"))
    assert hub.head("ada/other")["trace.csv"] == b"x"


# The card


def test_the_card_says_what_a_reader_needs(hub):
    pushed = sharing.push(
        trace(), "ada/mine", licence="cc-by-4.0", source="support desk | 2025"
    )
    card = hub.head("ada/mine")["README.md"].decode()
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["tags"][0], head["configs"][0]["data_files"]) == (
        "cc-by-4.0",
        "pickllm",
        "trace.parquet",
    )
    lines = card.splitlines()
    law = next(line for line in lines if line.startswith("| law |"))
    here = trace().select(context="law")
    assert (
        law == f"| law | 6 | {here.accuracy[:, 0].mean():.3f} |"
        f" {here.accuracy[:, 1].mean():.3f} |"
    )
    assert without_text(trace()).fingerprint() in card
    assert "hub:ada/mine@REVISION" in card
    assert "support desk \\| 2025" in card
    assert "b\\|ü" in card
    assert all(
        line.replace("\\|", "").count("|") == 5
        for line in lines
        if line.startswith(("| law", "| Maß", "| context"))
    )
    assert all(line.split(",")[0] in card for line in pushed.disclosed[:1])


# Refusals, one line each


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("hub:ada/none", "no such dataset"),
        (f"hub:ada/none@{FAR}", "no such dataset"),
        ("hub:ada/mine@none", "no such revision"),
        (f"hub:ada/mine@{FAR}", "no such revision"),
        ("hub:mine", "write hub:owner/name@revision"),
        ("hub:ada/mine@", "write hub:owner/name@revision"),
        ("hub:../mine@main", "write hub:owner/name@revision"),
        ("hub:ada/..@main", "no such dataset|try again|write hub"),
    ],
)
def test_what_is_not_there_is_named(hub, address, says):
    import re

    sharing.push(trace(), "ada/mine")
    assert re.search(says, refused(lambda: pk.load_trace(address)))


def test_another_schema_is_named(hub):
    sha = hub.commit("bob/images", {"README.md": b"x", "train-0.parquet": b"x"})
    assert "has README.md, train-0.parquet" in refused(
        lambda: pk.load_trace(f"hub:bob/images@{sha}")
    )
    for name, content in (
        ("trace.csv", b"a,b\n1,2\n"),
        ("trace.parquet", b"PAR1 no"),
        ("summary.json", b'{"a": 1}'),
    ):
        sha = hub.commit("bob/wrong", {name: content})
        message = refused(lambda sha=sha: pk.load_trace(f"hub:bob/wrong@{sha}"))
        assert "another schema" in message
        assert f"bob/wrong/{name}" in message
        assert "cache" not in message


def test_rows_that_were_changed_after_the_push_are_refused(hub):
    files = dict(hub.head(sharing.parse(sharing.push(trace(), "ada/mine").address)[0]))
    note = json.loads(files["trace.json"]) | {"fingerprint": "0" * 64}
    sha = hub.commit("ada/mine", files | {"trace.json": json.dumps(note).encode()})
    assert "fingerprint" in refused(lambda: pk.load_trace(f"hub:ada/mine@{sha}"))


@pytest.mark.parametrize("state", ["nobody there", "broken", "no Hub"])
def test_a_hub_that_does_not_answer_is_named(hub, state, monkeypatch):
    if state == "nobody there":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hub.broken = {"broken": 503, "no Hub": 200}.get(state)
    for address in ("hub:ada/mine@main", f"hub:ada/mine@{FAR}"):
        assert "hub:ada/mine" in refused(lambda address=address: pk.load_trace(address))
    assert "hub:ada/mine" in refused(lambda: sharing.push(trace(), "ada/mine"))


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (None, "set HF_TOKEN"),
        ("hf_ada_reads", "403"),
        ("hf_nobody", "401|no such dataset"),
    ],
)
def test_a_token_that_may_not_write_is_named(hub, monkeypatch, token, says, tmp_path):
    import re

    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    (
        monkeypatch.delenv("HF_TOKEN")
        if token is None
        else monkeypatch.setenv("HF_TOKEN", token)
    )
    message = refused(lambda: sharing.push(trace(), "ada/mine"))
    assert re.search(says, message)
    assert token is None or token not in message


@pytest.mark.parametrize("name", ["mine", "ada/mine@main", "ada/", "a b/c"])
def test_a_name_that_is_none_is_refused(hub, name):
    assert "owner/name" in refused(lambda: sharing.push(trace(), name))
    assert not hub.calls


# The command line


def run(capsys, *arguments):
    from pickllm.__main__ import main

    code = main(list(map(str, arguments)))
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err.splitlines()


def test_the_command_prints_what_is_disclosed_and_the_address_that_loads(
    hub, tmp_path, capsys
):
    table().to_csv(tmp_path / "mine.csv", index=False)
    sharing._write_prices(tmp_path / "prices.csv", prices().values())
    code, out, err = run(
        capsys,
        "push",
        tmp_path / "mine.csv",
        "ada/mine",
        "--prices",
        tmp_path / "prices.csv",
        "--licence",
        "cc-by-4.0",
    )
    assert (code, err) == (0, [])
    assert out[0] == "Anybody can read:"
    assert any("left out as text: response" in line for line in out)
    assert pk.load_trace(out[-1]).fingerprint() == without_text(trace()).fingerprint()
    assert (
        run(
            capsys, "check", tmp_path / "mine.csv", "--prices", tmp_path / "prices.csv"
        )[0]
        == 0
    )
    code, _, err = run(capsys, "push", tmp_path / "none.csv", "ada/mine")
    assert code == 2
    assert len(err) == 1


@pytest.mark.filterwarnings("always::pickllm.errors.UnpinnedWarning")
def test_the_command_line_warns_of_a_branch_in_one_line_and_refuses_a_study_of_it(
    hub, tmp_path, capsys
):
    address = sharing.push(trace(), "ada/mine").address
    code, _, err = run(
        capsys,
        "summarise",
        "hub:ada/mine@main",
        "--output",
        tmp_path / "s.json",
        "--min-cell",
        2,
    )
    assert code == 0
    assert len(err) == 1
    assert err[0].startswith("pickllm: warning:")
    assert address in err[0]
    code, _, err = run(
        capsys, "run", "study", "--trace", "hub:ada/mine@main", "--size", "smoke"
    )
    assert code == 2
    assert len(err) == 1
    assert address in err[0]


def test_a_shared_study_has_a_folder_of_its_own():
    from pickllm.study.runs import default_folder

    names = [
        f"hub:a/v1.0@{FAR}",
        f"hub:a/v1.1@{FAR}",
        "smoke.csv",
        "mine.csv",
        "bfcl-2024-08-11",
        "verify.parquet",
    ]
    folders = [default_folder(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all("/" not in folder for folder in folders)
    assert not {*folders} & {"smoke", "verify"}
    assert folders[4] == ""
