"""What comes from a file is read as it stands, or refused in a line that says where."""

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm.core.pool import PRICE_COLUMNS, read_prices
from pickllm.core.trace_file import COLUMNS, read_frame
from pickllm.errors import InputError, MissingFileError
from pickllm.readers import read_json, read_table, read_text, read_yaml

REMEDY = "write one"
ROW = {
    "query_id": "1",
    "context": "sums",
    "model": "a",
    "accuracy": "1.0",
    "input_tokens": "9",
    "output_tokens": "3",
    "latency_ms": "700.0",
}
PRICE = dict.fromkeys(PRICE_COLUMNS, "1") | {"model": "a", "vendor": "v"}


def written(path, header, *rows):
    path.write_text("\n".join(",".join(cells) for cells in (header, *rows)) + "\n")
    return path


@pytest.mark.parametrize(
    ("read", "row"), [(read_frame, ROW), (read_prices, PRICE)], ids=["trace", "prices"]
)
def test_one_comma_too_many_in_each_row_is_refused_by_its_line(tmp_path, read, row):
    """Left to itself, pandas takes the first field for an index and shifts the rest."""
    cells = list(row.values())
    good = written(tmp_path / "good.csv", row, cells)
    read(good)
    shifted = written(tmp_path / "shifted.csv", row, [*cells, ""], [*cells, ""])
    assert pd.read_csv(shifted).iloc[0, 0] != cells[0]
    with pytest.raises(InputError, match=r"shifted\.csv, line 2: \d fields under \d"):
        read(shifted)


def test_one_row_that_is_too_wide_is_named(tmp_path):
    path = written(tmp_path / "t.csv", "ab", "12", "345", "67")
    with pytest.raises(InputError, match="line 3: 3 fields under 2 columns; take the"):
        read_table(path, "table", REMEDY)


text = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1)


@given(rows=st.lists(st.tuples(text, text), min_size=1))
def test_texts_come_back_as_they_were_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    pd.DataFrame(rows, columns=["a", "b"]).to_csv(path, index=False)
    frame = read_table(path, "table", REMEDY, texts=["a", "b"])
    assert list(frame.itertuples(index=False, name=None)) == rows


def test_names_that_look_like_numbers_or_nothing_stay_texts(tmp_path):
    path = written(tmp_path / "t.csv", ["id", "n"], ["007", "7"], ["NA", "8"])
    frame = read_table(path, "table", REMEDY, texts=["id"])
    assert frame.id.tolist() == ["007", "NA"]
    assert frame.n.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "not a CSV table, it is empty"),
        ("t.csv", b"a,b\n\xff,1\n", r"not UTF-8 \(byte 4\)"),
        ("t.parquet", b"PAR1", "cannot be read as parquet"),
        ("t.xlsx", b"", r"a table ends in \.csv or \.parquet, got '\.xlsx'"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_table(tmp_path / name, "table", REMEDY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_text, read_json, read_yaml, read_table])
def test_what_is_not_there_says_what_to_do(tmp_path, read):
    with pytest.raises(MissingFileError, match=r"no thing .*x\.csv; write one"):
        read(tmp_path / "x.csv", "thing", REMEDY)


@pytest.mark.parametrize("read", [read_text, read_json, read_yaml])
def test_a_folder_is_no_file(tmp_path, read):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path, "thing", REMEDY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{a: 1, b: 2, a: 3}", "'a' stands twice, in line 1 again"),
        ("x:\n - {k: 1,\n   k: 2}", "'k' stands twice, in line 3 again"),
        ("a: [1, 2", "is not YAML"),
        ("a: !!python/object:os.system x", "is not YAML"),
    ],
)
def test_yaml_is_plain_and_says_each_thing_once(tmp_path, content, message):
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_yaml(path, "grid", REMEDY)


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_json_that_is_none_is_one_line(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match="not a state, as JSON"):
        read_json(path, "state", REMEDY)


def test_json_comes_back_as_it_was_written(tmp_path):
    value = {"a": [1, 2.5, None, "ü"]}
    (tmp_path / "x.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "x.json", "state", REMEDY) == value


def test_a_trace_has_the_columns_that_its_reader_keeps_as_text():
    assert set(ROW) == set(COLUMNS)
