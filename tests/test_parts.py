"""Parts of a trace: what was selected, read from the whole when it is asked for."""

import copy
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

import pickllm as pk
from pickllm.core.trace import OUTCOMES, Trace


@pytest.fixture(scope="module")
def whole():
    """Contexts that are mixed, further columns, and numbers that tell places apart."""
    n, m = 12, 5
    place = np.arange(n * m, dtype=float).reshape(n, m)
    return pk.Trace(
        models=tuple("abcde"),
        query_id=np.array([f"q{i}" for i in range(n)]),
        context=np.array(["one", "two", "two", "three"] * 3),
        accuracy=place / (n * m),
        cost_usd=place,
        latency_ms=place + 10,
        input_tokens=place + 20,
        output_tokens=place + 30,
        extra={"note": place.astype(str).astype(object), "flag": place % 2},
    )


SELECTIONS = {
    "a context": ({"context": "two"}, [1, 2, 5, 6, 9, 10], range(5)),
    "contexts, in the trace's order": (
        {"context": ["three", "one"]},
        [0, 3, 4, 7, 8, 11],
        range(5),
    ),
    "LLMs, in the order given": ({"models": ["d", "a"]}, range(12), [3, 0]),
    "one LLM": ({"context": "one", "models": "c"}, [0, 4, 8], [2]),
    "everything": ({}, range(12), range(5)),
}


def by_hand(whole, rows, columns):
    """The same part as a trace of its own, every array a copy."""
    block = np.ix_(list(rows), list(columns))
    return Trace(
        models=[whole.models[j] for j in columns],
        query_id=whole.query_id[list(rows)],
        context=whole.context[list(rows)],
        limits=whole.limits,
        extra={name: values[block] for name, values in whole.extra.items()},
        **{name: getattr(whole, name)[block] for name in OUTCOMES},
    )


def assert_same(found, expected):
    for field in fields(Trace):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if field.name == "extra":
            assert one.keys() == other.keys()
            assert all((one[name] == other[name]).all() for name in one)
        elif isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other, strict=True)
        else:
            assert one == other


@pytest.mark.parametrize("case", SELECTIONS)
def test_a_part_is_what_a_copy_by_hand_would_be(whole, case):
    names, rows, columns = SELECTIONS[case]
    part, expected = whole.select(**names), by_hand(whole, rows, columns)
    assert part.fingerprint() == expected.fingerprint()
    assert "accuracy" not in vars(part)  # a hash keeps nothing
    assert_same(part, expected)
    for name in OUTCOMES:
        array = getattr(part, name)
        assert array.flags.c_contiguous  # so that sums round as those of a copy
        assert not array.flags.writeable
    assert not part.query_id.flags.writeable
    changed = part.extra["flag"]
    assert changed.flags.writeable
    assert not np.shares_memory(changed, whole.extra["flag"])


@pytest.mark.parametrize("case", SELECTIONS)
def test_a_part_that_travels_or_is_changed_stands_alone(whole, case):
    names, rows, columns = SELECTIONS[case]
    part, expected = whole.select(**names), by_hand(whole, rows, columns)
    for other in (
        pickle.loads(pickle.dumps(part)),
        copy.copy(part),
        replace(part, name="trace"),
    ):
        assert_same(other, expected)
        assert "_origin" not in vars(other)


def test_a_part_of_a_part_is_a_part(whole):
    part = whole.select(context=["one", "two"]).select(context="two", models=["e", "b"])
    assert_same(part, by_hand(whole, [1, 2, 5, 6, 9, 10], [4, 1]))


def test_the_same_names_give_the_same_part_as_long_as_it_is_held(whole):
    part = whole.select(context="two", models=["a", "b"])
    assert whole.select(context=["two"], models=("a", "b")) is part
    assert whole.select(context="two", models=["b", "a"]) is not part
    before = len(whole._parts)
    del part
    assert len(whole._parts) < before


def test_a_context_that_stands_together_is_a_view():
    trace = pk.load_trace("bfcl-2024-08-11")
    part = trace.select(context="rest")
    assert np.shares_memory(part.latency_ms, trace.latency_ms)
    assert np.shares_memory(part.query_id, trace.query_id)


def test_a_fleeting_part_leaves_nothing_in_its_part(whole):
    part = whole.select(context="one", models=["a", "e"])
    fleeting = part.fleeting()
    np.testing.assert_array_equal(fleeting.cost_usd, [[0, 4], [20, 24], [40, 44]])
    assert "cost_usd" in vars(fleeting)
    assert "cost_usd" not in vars(part)
    assert whole.fleeting() is whole


def test_a_trace_has_no_other_attributes(whole):
    for trace in (whole, whole.select(context="one")):
        with pytest.raises(AttributeError, match="a Trace has no 'acuracy'"):
            _ = trace.acuracy
