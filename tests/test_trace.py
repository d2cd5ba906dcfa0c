"""The trace: what goes in comes out, and every wrong row is named with its place, value
and remedy.
"""

import os
import re

import numpy as np
import pandas as pd
import pytest

import pickllm as pk
from pickllm.core.pool import PRICE_COLUMNS
from pickllm.core.trace_file import COLUMNS, find_problems
from pickllm.files import written

GPT, CMD = (
    "gpt-4o-2024-05-13",
    "command-r-plus",
)  # 5 / 15 and 3 / 15 US dollars per million tokens
OUTCOMES = ("accuracy", "cost_usd", "latency_ms", "input_tokens", "output_tokens")


def table():
    """Three queries in two contexts, answered by two LLMs: six rows, two further
    columns.
    """
    rows = [
        ("q1", "maths", GPT, 1.0, 100, 10, 812.5, "x", 1),
        ("q1", "maths", CMD, 0.0, 110, 0, 512.25, "y", 2),
        ("q2", "law", GPT, 0.25, 200, 20, 1 / 3 * 1e4, "z", 3),
        ("q2", "law", CMD, 0.1 + 0.2, 210, 21, 640.0, "z", 4),
        ("q3", "maths", GPT, 1.0, 0, 1, 100.1, "x", 5),
        ("q3", "maths", CMD, 0.5, 1, 2, 2.0000000000000004, "", 6),
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "note", "attempt"])


def refused(call, kind=pk.InputError):
    """The message of a refusal, which is one line."""
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message


def same(a, b):
    """Whether two traces hold the same rows."""
    arrays = all(
        np.array_equal(getattr(a, f), getattr(b, f))
        for f in (*OUTCOMES, "query_id", "context")
    )
    return (
        arrays
        and a.models == b.models
        and a.extra.keys() == b.extra.keys()
        and all((a.extra[c] == b.extra[c]).all() for c in a.extra)
    )


def wrote(folder, content, name="trace.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# What goes in


def test_a_table_becomes_matrices_of_query_by_model():
    trace = pk.Trace.from_frame(table())
    assert (trace.models, trace.contexts, trace.n_queries) == (
        (GPT, CMD),
        ("maths", "law"),
        3,
    )
    assert trace.context.tolist() == [
        "maths",
        "law",
        "maths",
    ]
    assert trace.query_id.tolist() == ["q1", "q2", "q3"]
    assert trace.latency_ms.tolist() == [
        [812.5, 512.25],
        [1 / 3 * 1e4, 640.0],
        [100.1, 2.0000000000000004],
    ]
    assert trace.accuracy.tolist() == [[1, 0], [0.25, 0.1 + 0.2], [1, 0.5]]
    assert trace.input_tokens.tolist() == [
        [100, 110],
        [200, 210],
        [0, 1],
    ]
    assert trace.output_tokens.tolist() == [[10, 0], [20, 21], [1, 2]]
    assert trace.extra["note"].tolist() == [
        ["x", "y"],
        ["z", "z"],
        ["x", ""],
    ]
    assert trace.extra["attempt"].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_tokens_are_priced_by_the_dated_list():
    usd = [
        [100 * 5 + 10 * 15, 110 * 3 + 0],
        [200 * 5 + 20 * 15, 210 * 3 + 21 * 15],
        [15, 3 + 2 * 15],
    ]  # per million
    assert pk.Trace.from_frame(table()).cost_usd == pytest.approx(
        np.array(usd) / 1e6, rel=1e-12
    )


def test_a_cost_column_stands_over_any_price():
    trace = pk.Trace.from_frame(
        table().assign(cost_usd=[0.1, 0.2, 0.3, 0.4, 0.5, 0.0]).replace(GPT, "mine")
    )
    assert trace.cost_usd.tolist() == [
        [0.1, 0.2],
        [0.3, 0.4],
        [0.5, 0.0],
    ]
    assert trace.models == ("mine", CMD)


def test_repricing_changes_costs_and_nothing_else():
    trace = pk.Trace.from_frame(table())
    free, dear = (
        pk.Price(GPT, "v", 0.0, 0.0, "2025-01-01", "list"),
        pk.Price(CMD, "v", 1e6, 2e6, "2025-01-01", "list"),
    )
    again = trace.reprice({GPT: free, CMD: dear})
    assert again.cost_usd.tolist() == [[0, 110], [0, 210 + 2 * 21], [0, 1 + 2 * 2]]
    assert same(again.reprice(trace.prices), trace)
    assert "no price" in refused(lambda: trace.reprice({GPT: free}))


def test_limits_are_the_token_caps_at_the_dearest_price():
    limits = pk.Trace.from_frame(table()).limits
    assert limits.max_cost_usd == pytest.approx((1000 * 5 + 300 * 15) / 1e6)
    assert (limits.latency_floor_ms, limits.latency_ceiling_ms) == (200.0, 10000.0)


def test_outcomes_are_read_only_and_apart_from_their_source():
    frame = table()
    trace = pk.Trace.from_frame(frame)
    before = {f: getattr(trace, f).copy() for f in (*OUTCOMES, "query_id", "context")}
    frame.loc[:, "accuracy"] = 0.75
    for name, values in before.items():
        assert (getattr(trace, name) == values).all()
        with pytest.raises(ValueError, match="read-only"):
            getattr(trace, name)[0] = getattr(trace, name)[1]
    with pytest.raises(AttributeError):
        trace.accuracy = before["accuracy"]


@pytest.mark.parametrize(
    "index",
    [
        [5, 3, 0, 1, 4, 2],
        [0, 1, 2, 0, 1, 2],
        [0] * 6,
        list("fedcba"),
        pd.MultiIndex.from_product([[1, 2], list("abc")]),
    ],
    ids=["shuffled", "duplicated", "constant", "letters", "two levels"],
)
def test_the_index_of_a_table_means_nothing(index):
    plain, odd = table(), table().set_axis(index)
    assert same(pk.Trace.from_frame(odd), pk.Trace.from_frame(plain))
    for wrong in (
        lambda f: f.iloc[:-1],
        lambda f: f.iloc[[0, 1, 1, 2, 3, 4, 5]],
        lambda f: f.assign(accuracy=[1, 1, 1, 1, 2, 1]),
        lambda f: f.assign(context=list("aabcdd")),
    ):
        assert find_problems(wrong(odd)) == find_problems(wrong(plain)) != []


def test_the_order_of_rows_sets_the_order_of_queries_and_models_alone():
    frame, trace = table().iloc[[3, 5, 0, 4, 2, 1]], pk.Trace.from_frame(table())
    moved = pk.Trace.from_frame(frame)
    assert moved.models == (CMD, GPT)
    assert moved.query_id.tolist() == ["q2", "q3", "q1"]
    assert (moved.latency_ms == trace.latency_ms[[1, 2, 0]][:, [1, 0]]).all()
    assert (
        pk.Trace.from_frame(frame, models=[GPT, CMD]).latency_ms
        == trace.latency_ms[[1, 2, 0]]
    ).all()


def test_ids_are_names_whatever_their_type():
    assert pk.Trace.from_frame(
        table().assign(query_id=[1, 1, 2, 2, 3, 3])
    ).query_id.tolist() == ["1", "2", "3"]
    assert (
        pk.Trace.from_frame(
            table().astype(
                {"query_id": "category", "model": "category", "context": "category"}
            )
        ).n_queries
        == 3
    )
    assert (
        pk.Trace.from_frame(
            table().assign(query_id=pd.Series([1, "1", 2, 2, 3, 3], dtype=object))
        ).n_queries
        == 3
    )


# What comes out


def test_a_table_round_trips():
    trace = pk.Trace.from_frame(table())
    assert same(pk.Trace.from_frame(trace.to_frame()), trace)
    assert trace.to_frame()[[*COLUMNS, "note", "attempt"]].equals(table())


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_round_trips_to_the_last_bit(tmp_path, ending):
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "query_id": np.repeat([f"q{i}" for i in range(n)], 2),
            "context": "maths",
            "model": [GPT, CMD] * n,
            "accuracy": rng.random(2 * n),
            "input_tokens": rng.integers(0, 10**6, 2 * n),
            "output_tokens": rng.integers(0, 10**6, 2 * n),
            "latency_ms": rng.lognormal(7, 2, 2 * n),
            "judge": rng.standard_normal(2 * n),
            "note": ["naïve, quoted", 'say "yes"'] * n,
        }
    )
    trace = pk.Trace.from_frame(frame)
    trace.save(tmp_path / f"t{ending}")
    assert same(pk.load_trace(tmp_path / f"t{ending}"), trace)


@pytest.mark.parametrize(
    "name", ["007", "1e3", "é", "a,b", 'say "x"', "NA", "None", "null", "nan"]
)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_keeps_names_as_they_are(tmp_path, ending, name):
    trace = pk.Trace.from_frame(table().replace({"q2": name, "law": name}))
    trace.save(tmp_path / f"t{ending}")
    back = pk.load_trace(tmp_path / f"t{ending}")
    assert back.query_id.tolist() == ["q1", name, "q3"]
    assert back.contexts == (
        "maths",
        name,
    )


def test_a_saved_trace_has_the_limits_and_so_the_rewards_of_the_one_in_memory(tmp_path):
    trace = pk.Trace.from_frame(table())
    trace.save(tmp_path / "t.csv")
    assert pk.load_trace(tmp_path / "t.csv").limits == trace.limits


def test_a_csv_saved_by_a_spreadsheet_with_a_byte_order_mark_is_read(tmp_path):
    path = wrote(tmp_path, table().to_csv(index=False).encode("utf-8-sig"))
    trace = pk.load_trace(path)
    assert trace.query_id.tolist() == ["q1", "q2", "q3"]
    assert list(trace.extra) == [
        "note",
        "attempt",
    ]


def test_a_selection_is_the_rows_and_columns_asked_for():
    trace = pk.Trace.from_frame(table())
    part = trace.select(context="maths", models=[CMD])
    assert part.query_id.tolist() == ["q1", "q3"]
    assert part.models == (CMD,)
    assert part.contexts == ("maths",)
    for f in OUTCOMES:
        assert (getattr(part, f) == getattr(trace, f)[[0, 2]][:, [1]]).all()
    assert part.extra["note"].tolist() == [["y"], [""]]
    assert part.limits == trace.limits
    swapped = trace.select(models=[CMD, GPT])
    assert swapped.models == (CMD, GPT)
    assert (swapped.cost_usd == trace.cost_usd[:, ::-1]).all()
    assert same(trace.select(context=["law", "maths"]), trace)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"context": "math"}, "unknown context 'math' in frame; did you mean 'maths'"),
        ({"context": ["law", "x"]}, "unknown context 'x' in frame; known: maths, law"),
        (
            {"models": ["command-r"]},
            f"unknown model 'command-r' in frame; did you mean '{CMD}'",
        ),
        ({"models": [GPT, GPT]}, "must name each LLM once"),
        ({"models": []}, "must name each LLM once, got []"),
    ],
)
def test_a_selection_of_what_is_not_there_is_refused(wrong, message):
    assert message in refused(lambda: pk.Trace.from_frame(table()).select(**wrong))


def test_the_fingerprint_moves_with_anything_a_result_depends_on():
    from dataclasses import replace

    trace = pk.Trace.from_frame(table())
    others = [replace(trace, **{f: getattr(trace, f) + 1e-9}) for f in OUTCOMES]
    others += [
        replace(trace, limits=pk.Limits(1, 200, 10000)),
        replace(trace, context=list("aba")),
    ]
    others += [trace.select(models=[CMD, GPT]), trace.select(context="law")]
    prints = [t.fingerprint() for t in (trace, *others)]
    assert len(set(prints)) == len(prints)
    assert pk.Trace.from_frame(table()).fingerprint() == prints[0]


# What is refused


CELLS = [
    ("accuracy", 1.5, "1.5", "scale or correct"),
    ("accuracy", -0.1, "-0.1", "scale or correct"),
    ("accuracy", np.nan, "nan", "scale or correct"),
    ("accuracy", "good", "'good'", "scale or correct"),
    ("input_tokens", -1, "-1", "correct it"),
    ("input_tokens", 2.5, "2.5", "correct it"),
    ("input_tokens", "many", "'many'", "correct it"),
    ("output_tokens", -7, "-7", "correct it"),
    ("output_tokens", np.inf, "inf", "correct it"),
    ("latency_ms", 0, "0", "measure it again"),
    ("latency_ms", -3.5, "-3.5", "measure it again"),
    ("latency_ms", np.nan, "nan", "measure it again"),
    ("latency_ms", np.inf, "inf", "measure it again"),
    ("latency_ms", "fast", "'fast'", "measure it again"),
    ("cost_usd", -0.5, "-0.5", "drop the column"),
    ("cost_usd", np.nan, "nan", "drop the column"),
    ("cost_usd", "cheap", "'cheap'", "drop the column"),
    ("query_id", np.nan, "nan", "fill it in"),
    ("context", np.nan, "nan", "fill it in"),
    ("context", "  ", "'  '", "fill it in"),
    ("model", np.nan, "nan", "fill it in"),
]


def with_cell(column, value, row=4):
    """The table with one value in the given row (the first is 1)."""
    frame = table().assign(cost_usd=0.001) if column == "cost_usd" else table()
    cells = frame[column].astype(object)
    cells.iloc[row - 1] = value
    return frame.assign(**{column: cells.infer_objects()})


@pytest.mark.parametrize(("column", "value", "shown", "remedy"), CELLS)
def test_a_wrong_cell_is_named_with_row_column_value_and_remedy(
    tmp_path, column, value, shown, remedy
):
    frame = with_cell(column, value)
    path = wrote(tmp_path, frame.to_csv(index=False))
    for message, row in (
        (refused(lambda: pk.Trace.from_frame(frame)), 4),
        (refused(lambda: pk.load_trace(path)), 5),
    ):
        assert re.search(
            rf"(^|: )row {row}, column '{column}': must be [^,]+.*, got"
            rf" {re.escape(shown)}(\.0)?; .*{remedy}",
            message,
        )
    assert message.startswith(f"{path}: ")


STRUCTURE = {
    "second row for a pair": (
        lambda f: f.iloc[[0, 1, 2, 3, 3, 4, 5]],
        5,
        ["query 'q2'", f"model '{CMD}'", "second row", "keep one row"],
    ),
    "missing pair": (
        lambda f: f.drop(index=3),
        3,
        ["query 'q2'", f"model '{CMD}'", "no row", "add the row or drop the query"],
    ),
    "two contexts": (
        lambda f: f.assign(context=["maths", "maths", "law", "art", "maths", "maths"]),
        4,
        ["column 'context'", "query 'q2'", "'law'", "got 'art'", "one context"],
    ),
    "no price": (
        lambda f: f.replace(CMD, "command-r-pluss"),
        2,
        [
            "column 'model'",
            "'command-r-pluss' has no price",
            "price file",
            f"did you mean '{CMD}'",
        ],
    ),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_a_table_that_is_no_full_matrix_is_refused_at_the_row(tmp_path, case):
    change, row, parts = STRUCTURE[case]
    frame = change(table())
    path = wrote(tmp_path, frame.to_csv(index=False))
    for message, place in (
        (refused(lambda: pk.Trace.from_frame(frame)), row),
        (refused(lambda: pk.load_trace(path)), row + 1),
    ):
        assert re.search(rf"(^|: )row {place}[:,]", message)
        assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("model", np.nan), ("model", "command-r-pluss"), ("query_id", np.nan)],
)
def test_a_single_wrong_name_is_laid_at_its_row_not_at_those_left_incomplete(
    column, value
):
    assert refused(
        lambda: pk.Trace.from_frame(with_cell(column, value, row=6))
    ).startswith(f"row 6, column '{column}'")


def test_a_model_outside_the_pool_given_is_refused():
    message = refused(lambda: pk.Trace.from_frame(table(), models=[GPT]))
    assert message.startswith(f"row 2, column 'model': unknown model '{CMD}'")
    assert f"known: {GPT}" in message
    assert "and 2 more" in message


def test_a_pool_larger_than_the_table_is_refused():
    message = refused(
        lambda: pk.Trace.from_frame(table(), models=[GPT, CMD, "gpt-3.5-turbo-0125"])
    )
    assert message.startswith(
        "row 1: query 'q1' has no row for model 'gpt-3.5-turbo-0125'"
    )
    assert "and 2 more" in message


def test_a_pool_that_names_an_llm_twice_is_refused():
    assert CMD in refused(lambda: pk.Trace.from_frame(table(), models=[GPT, CMD, CMD]))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named_with_all_that_are_needed(tmp_path, column):
    frame = table().drop(columns=column)
    path = wrote(tmp_path, frame.to_csv(index=False))
    for message in (
        refused(lambda: pk.Trace.from_frame(frame)),
        refused(lambda: pk.load_trace(path)),
    ):
        assert f"column '{column}' is missing" in message
        assert ", ".join(COLUMNS) in message


def test_a_column_that_stands_twice_is_refused():
    assert "accuracy" in refused(
        lambda: pk.Trace.from_frame(pd.concat([table(), table()[["accuracy"]]], axis=1))
    )


def test_of_several_wrong_rows_the_first_is_named_and_the_rest_counted():
    frame = table().assign(
        accuracy=[1, 1, 7, 1, 8, 1],
        latency_ms=[1, 1, 1, 1, -1, 0],
        output_tokens=[1, -1, 1, 1, 1, 1],
    )
    message = refused(lambda: pk.Trace.from_frame(frame))
    assert message.startswith("row 2, column 'output_tokens'")
    assert "(and 4 more" in message
    lines = find_problems(frame)
    assert [int(re.match(r"row (\d+),", line)[1]) for line in lines] == [2, 3, 5, 5, 6]


def test_a_single_wrong_row_has_no_count():
    assert "more" not in refused(lambda: pk.Trace.from_frame(with_cell("accuracy", 7)))


def test_a_right_table_has_no_problems():
    assert (
        find_problems(table())
        == []
        == find_problems(table().assign(cost_usd=0.0).replace(GPT, "mine"))
    )


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "t.csv", "not a CSV table"),
        (",".join(COLUMNS) + "\n", "t.csv", "no rows"),
        (",".join(COLUMNS), "t.csv", "no rows"),
        (b"\x00\xff\xfe\x00", "t.csv", "UTF-8"),
        (b"not parquet", "t.parquet", "cannot be read as parquet"),
        (b"", "t.parquet", "cannot be read as parquet"),
        (
            table().to_csv(index=False) + "q4,maths,m,1,2,3,4,5,6,7,8\n",
            "t.csv",
            "line 8",
        ),
        (table().to_csv(index=False), "t.txt", "ends in .csv or .parquet"),
        (table().to_csv(index=False), "t.CSVX", "ends in .csv or .parquet"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path, content, name, message):
    path = wrote(tmp_path, content, name)
    said = refused(lambda: pk.load_trace(path))
    assert message in said
    assert str(path) in said


def test_a_wrong_encoding_is_refused_with_the_place_of_the_byte(tmp_path):
    content = table().replace("z", "é").to_csv(index=False).encode("latin-1")
    said = refused(lambda: pk.load_trace(wrote(tmp_path, content)))
    assert "UTF-8" in said
    assert f"byte {content.index(0xE9)}" in said


def test_the_line_named_is_the_line_of_the_file_even_after_a_blank_one(tmp_path):
    lines = with_cell("accuracy", 7.5).to_csv(index=False).splitlines()
    lines.insert(2, "")
    said = refused(lambda: pk.load_trace(wrote(tmp_path, "\n".join(lines) + "\n")))
    named = lines[int(re.search(r"row (\d+)", said)[1]) - 1]
    assert named == "" or "7.5" in named


def test_a_missing_file_is_named_with_the_next_move(tmp_path):
    said = refused(lambda: pk.load_trace(tmp_path / "none.csv"), FileNotFoundError)
    assert str(tmp_path / "none.csv") in said
    assert "check the path" in said
    assert str(tmp_path / "p.csv") in refused(
        lambda: pk.Trace.from_frame(table(), prices=tmp_path / "p.csv"),
        FileNotFoundError,
    )


def test_an_unknown_name_is_refused_with_the_likeliest():
    assert "did you mean 'bfcl-2024-08-11'" in refused(
        lambda: pk.load_trace("bfcl-2024-08")
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "a,v,-1,2,2024-01-01,list",
            (
                "row 3, column 'usd_per_million_input_tokens': a price is a number >="
                " 0, got -1"
            ),
        ),
        (
            "a,v,1,,2024-01-01,list",
            (
                "row 3, column 'usd_per_million_output_tokens': a price is a number >="
                " 0, got nan"
            ),
        ),
        ("m,v,1,2,2024-01-01,list", "row 3: model 'm' has a second price"),
    ],
)
def test_a_wrong_price_is_refused_at_its_line(tmp_path, row, message):
    head = ",".join(PRICE_COLUMNS) + "\nm,v,1,2,2024-01-01,list\n"
    path = wrote(tmp_path, head + row + "\n", "prices.csv")
    assert message in refused(lambda: pk.read_prices(path))
    assert pk.read_prices(wrote(tmp_path, head, "right.csv"))["m"].cost_usd(
        3, 4
    ) == pytest.approx((3 * 1 + 4 * 2) / 1e6)


# Writing


def test_a_file_gets_its_name_only_when_it_is_whole(tmp_path):
    path = wrote(tmp_path, "old", "a.txt")
    with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117
        with written(path) as file:
            file.write("half")
            file.flush()
            assert path.read_text() == "old"
            raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]
    with written(path) as file:
        file.write("new\n")
    assert path.read_bytes() == b"new\n"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, ending):
    resource = pytest.importorskip("resource")
    trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    path = wrote(tmp_path, "old", f"t{ending}")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (20_000, hard)
    )  # no file may grow past it: the system refuses, as a full disk does
    try:
        said = refused(lambda: trace.save(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"cannot write {path}" in said
    assert "free some space" in said
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("place", ["file/t.csv", "folder.csv"])
def test_a_target_that_cannot_be_written_is_one_line_and_leaves_nothing(
    tmp_path, place
):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.csv").mkdir()
    assert f"cannot write {tmp_path / place}" in refused(
        lambda: pk.Trace.from_frame(table()).save(tmp_path / place)
    )
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.csv"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="the superuser may write anywhere: run as another user",
)
def test_a_folder_without_permission_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot write" in refused(
        lambda: pk.Trace.from_frame(table()).save(tmp_path / "t.csv")
    )
    tmp_path.chmod(0o700)


def test_a_trace_is_written_as_csv_or_parquet_only(tmp_path):
    assert "written as .csv or .parquet, got '.xlsx'" in refused(
        lambda: pk.Trace.from_frame(table()).save(tmp_path / "t.xlsx")
    )
    assert os.listdir(tmp_path) == []


# What a spreadsheet or a log may hand over


def test_a_column_that_stands_twice_in_a_file_is_refused(tmp_path):
    path = wrote(
        tmp_path, f"{','.join(COLUMNS)},accuracy\nq1,law,{GPT},1,10,10,500,0\n"
    )
    assert "column 'accuracy' stands twice" in refused(lambda: pk.load_trace(path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"input_tokens": pd.array([1, 2, 3, None, 5, 6], dtype="Int64")},
            "row 4, column 'input_tokens'.*got <NA>",
        ),
        (
            {"latency_ms": pd.to_timedelta([500] * 6, unit="ms")},
            "row 1, column 'latency_ms'.*got Timedelta",
        ),
        (
            {"latency_ms": pd.to_datetime(["2025-01-01"] * 6)},
            "row 1, column 'latency_ms'",
        ),
        (
            {"input_tokens": [1, 2, 1e23, 4, 5, 6]},
            "row 3, column 'input_tokens'.*got 1e\\+23",
        ),
        (
            {"output_tokens": [1, 2, 3, 4, 5, np.inf]},
            "row 6, column 'output_tokens'.*got inf",
        ),
        (
            {"accuracy": ["x" * 500, 1, 1, 1, 1, 1]},
            r"row 1, column 'accuracy'.{0,140}$",
        ),
        ({"query_id": ["a\nb", "a\nb", "c", "c", "a\nb", "a\nb"]}, "has a second row"),
    ],
    ids=[
        "nullable",
        "time span",
        "date",
        "beyond counting",
        "infinite",
        "a page of text",
        "two lines",
    ],
)
def test_awkward_values_are_named_on_one_line(change, says):
    message = refused(lambda: pk.Trace.from_frame(table().assign(**change)))
    assert re.search(says, message)
    assert len(message) < 400


@pytest.mark.parametrize("kind", ["float32", "float16", "Float64", "Int64", "string"])
def test_any_type_of_number_is_read_as_the_number_it_is(kind, tmp_path):
    plain = table()[list(COLUMNS)].assign(accuracy=[1, 0, 1, 0, 1, 1])
    plain.astype({"accuracy": kind, "input_tokens": kind}).to_parquet(
        tmp_path / "t.parquet"
    )
    assert same(pk.load_trace(tmp_path / "t.parquet"), pk.Trace.from_frame(plain))


def test_a_pool_that_costs_nothing_has_bounds_and_a_reward():
    free = {
        m: pk.Price(m, "here", 0.0, 0.0, "2025-01-01", "own machine")
        for m in (GPT, CMD)
    }
    trace = pk.Trace.from_frame(table(), prices=free)
    assert (trace.cost_usd == 0).all()
    assert trace.limits.max_cost_usd > 0
    unit = (
        pk.Reward(w_cost=0.5)
        .within(trace.limits)
        .unit(trace.accuracy, trace.cost_usd, trace.latency_ms)
    )
    assert unit == pytest.approx(
        pk.Reward(w_cost=0.0)
        .within(trace.limits)
        .unit(trace.accuracy, trace.cost_usd, trace.latency_ms),
        abs=1e-6,
    )


def test_check_wonders_about_seconds(tmp_path, capsys):
    from pickllm.__main__ import main

    table().assign(latency_ms=0.8).to_csv(tmp_path / "t.csv", index=False)
    assert main(["check", str(tmp_path / "t.csv")]) == 0
    assert "are these seconds?" in capsys.readouterr().out
    table().to_csv(tmp_path / "t.csv", index=False)
    assert main(["check", str(tmp_path / "t.csv")]) == 0
    assert "seconds" not in capsys.readouterr().out
