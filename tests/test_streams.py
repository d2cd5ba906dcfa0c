"""The random streams: published values, whole-number arithmetic, uniformity,
independence.
"""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pickllm import InputError
from pickllm.engine import streams

PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def test_outputs_are_the_published_ones_for_seed_1234567():
    assert streams.output(np.uint64(1234567), np.arange(1, 6)).tolist() == PUBLISHED
    assert [reference.splitmix64(1234567, n) for n in range(1, 6)] == PUBLISHED


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1))
def test_output_agrees_with_whole_numbers_of_any_size(key, n):
    assert int(streams.output(np.uint64(key), np.uint64(n))) == reference.splitmix64(
        key, n
    )


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**40),
    st.sampled_from([streams.QUERY, streams.CHOICE]),
    st.integers(0, 2**40),
)
def test_a_draw_is_a_function_of_seed_session_purpose_and_step(
    seed, session, purpose, step
):
    draw = streams.uniforms(streams.keys(seed, session, purpose), np.array([step]))
    assert draw.tolist() == [reference.uniform(seed, session, purpose, step)]


def test_draws_do_not_depend_on_the_company_they_are_made_in():
    table = streams.uniforms(
        streams.keys(5, np.arange(7), streams.QUERY), np.arange(11)
    )
    backwards = streams.uniforms(
        streams.keys(5, np.arange(7)[::-1], streams.QUERY), np.arange(11)[::-1]
    )
    assert (table == backwards[::-1, ::-1]).all()
    assert (
        table[3:5, 4:6]
        == streams.uniforms(
            streams.keys(5, np.array([3, 4]), streams.QUERY), np.array([4, 5])
        )
    ).all()


def _draws(purpose=streams.QUERY, seed=0, sessions=range(300), steps=range(300)):
    return streams.uniforms(
        streams.keys(seed, np.array(sessions), purpose), np.array(steps)
    )


@pytest.mark.parametrize("purpose", [streams.QUERY, streams.CHOICE])
def test_draws_are_uniform_over_sessions_and_over_steps(purpose):
    u = _draws(purpose)
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    one_step = [stats.kstest(column, "uniform").pvalue for column in u.T]
    one_session = [stats.kstest(row, "uniform").pvalue for row in u]
    assert min(one_step + one_session) > 1e-3 / 600
    assert stats.kstest(one_step, "uniform").pvalue > 1e-3
    assert stats.kstest(one_session, "uniform").pvalue > 1e-3


PAIRS = {
    "neighbouring sessions": lambda: (_draws(), _draws(sessions=range(1, 301))),
    "distant sessions": lambda: (_draws(), _draws(sessions=range(2**32, 2**32 + 300))),
    "query and choice of a step": lambda: (_draws(), _draws(streams.CHOICE)),
    "next query and choice": lambda: (
        _draws(steps=range(1, 301)),
        _draws(streams.CHOICE),
    ),
    "query and next choice": lambda: (
        _draws(),
        _draws(streams.CHOICE, steps=range(1, 301)),
    ),
    "choice and next session's query": lambda: (
        _draws(streams.CHOICE),
        _draws(sessions=range(1, 301)),
    ),
    "neighbouring steps": lambda: (_draws(), _draws(steps=range(1, 301))),
    "session and step exchanged": lambda: (
        _draws(steps=range(300, 600)),
        _draws(sessions=range(300, 600)).T,
    ),
    "neighbouring seeds": lambda: (_draws(), _draws(seed=1)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_streams_are_independent(pair):
    a, b = (u.ravel() for u in PAIRS[pair]())
    counts = np.histogram2d(a, b, bins=20, range=[[0, 1], [0, 1]])[0]
    assert (
        stats.chisquare(counts.ravel()).pvalue > 1e-3
    )  # the joint law is uniform on the square
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(a.size)


def test_no_two_streams_overlap():
    draws = np.concatenate(
        [
            _draws(purpose, seed).ravel()
            for purpose in (streams.QUERY, streams.CHOICE)
            for seed in (0, 1)
        ]
    )
    assert (
        len(np.unique(draws)) == draws.size
    )  # 360,000 of 2**53: chance of one repeat 1e-5


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, "0", None])
def test_a_seed_that_is_no_whole_number_in_range_is_refused(seed):
    with pytest.raises(
        InputError, match=r"seed must be a whole number in \[0, 2\*\*63\), got "
    ) as error:
        streams.keys(seed, 0, streams.QUERY)
    assert repr(seed) in str(error.value)
    assert "\n" not in str(error.value)


@given(
    seed=st.integers(0, 2**63 - 1),
    session=st.integers(0, 2**40),
    step=st.integers(0, 2**40),
)
def test_one_draw_alone_is_the_draw_among_many(seed, session, step):
    key = streams.keys(seed, session, streams.CHOICE)
    assert streams.uniform(int(key), step) == streams.uniforms(key, np.array([step]))[0]
