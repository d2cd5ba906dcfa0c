"""The loop of `core.replay` compiled: the same draws, choices, locks and checkpoints.

Numbers in, numbers out: a learner and its lock rule come as a `Setting`. The number of
LLMs is a constant of each compiled loop, so that the loops over LLMs are unrolled.

Sessions go through their queries in tiles: the queries of a tile are drawn, then
answered step by step, then written out or added up. A locked session learns at rate 0,
which leaves its state to the last bit as it was, and its choices are overwritten when
the tile ends.
"""

# ruff: noqa: PLR0913 - a compiled loop takes what it needs as arrays and numbers
# numba infers the types of what it compiles:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingParameterType=false, reportMissingTypeStubs=false
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import streams
from .general import OneSession, Player
from .keeping import kept
from .lanes import (
    GAMMA,
    GREEDY,
    KEY,
    LANES,
    LIMIT,
    RATE,
    RUN,
    SHOWN,
    TILE,
    add_moments,
    add_up,
    answer,
    count_choices,
    draw,
    follow,
    inline,
    learn,
    learn_value,
    lock_lanes,
    mend,
    pick,
    pick_greedy,
    record_chances,
    settle,
    take,
    to_uniform,
    wide,
    write,
)
from .setting import NEVER, Setting

#: LLMs up to which loops over them are unrolled; a loop for more compiles once for any
#: number, and takes one session at a time.
UNROLLED = 16
#: Decisions to a piece of work, which a thread takes whole; fixed, so that sums never
#: depend on threads.
PART = 2**20
#: Outcomes that are added up; see `core.prepared.OUTCOMES`.
N_OUTCOMES = 6

Array = NDArray[Any]
Function = Callable[..., Any]


@inline
def _start(w, wi, wu, m, numbers, choice_keys, shown, first, count):
    """Put the next sessions into the lanes; those past the last one never learn."""
    rate, start, _, _, limit, _ = numbers
    for i in range(w.shape[1]):
        for j in range(m):
            w[j, i] = start
        w[m + RATE, i] = rate if i < count else 0.0
        w[m + LIMIT, i] = limit if i < count else np.inf
        wu[m + KEY, i] = choice_keys[first + min(i, count - 1)]
        wi[m + GREEDY, i] = 0
        wi[m + RUN, i] = 0 if i < count else -NEVER
        for j in range(m):
            wi[m + SHOWN + j, i] = shown[first + min(i, count - 1), j]


@functools.cache
def loop(
    models: int, values: bool, runs: bool, reduces: bool = False, lanes: int = LANES
) -> Callable[..., None]:
    """Return the loop over sessions and queries, compiled for one kind of setting.

    Parameters
    ----------
    models : int
        Number of LLMs; 0: any, given at the call.
    values, runs : bool
        See `Setting`.
    reduces : bool
        Whether sums are kept in place of choices, queries and probabilities.
    lanes : int
        Sessions in lockstep.
    """

    def sessions(
        n_models, length, numbers, rewards, draws, marks, locks, records, sums
    ):
        wide()  # pyright: ignore[reportCallIssue]
        m = models if models else n_models
        _, _, explore, exploit, limit, patience = numbers
        given, query_keys, choice_keys, shown = draws
        choices, queries, recorded = records
        outcomes, totals, counts, moments = sums
        w = np.zeros((m + SHOWN + m, lanes))
        wi = w.view(np.int64)
        wu = w.view(np.uint64)
        asked = np.zeros((lanes, TILE), np.int32)
        chosen = np.zeros((lanes, TILE), np.int16)
        jumps = np.arange(TILE).astype(np.uint64) * GAMMA
        # a mask: among equal chances the first LLM counts as greedy
        distinct = 0 if values and exploit <= explore else -1
        for first in range(0, len(choice_keys), lanes):
            count = min(lanes, len(choice_keys) - first)
            at = locks[0, first : first + count]
            locked = locks[1, first : first + count]
            at[:] = -1
            locked[:] = -1
            _start(w, wi, wu, m, numbers, choice_keys, shown, first, count)
            learning = count
            mark = 0
            for begin in range(0, length, TILE):
                n = min(TILE, length - begin)
                if len(given):
                    take(asked, given, first, count, begin, n)
                else:
                    rows = len(rewards) // m
                    draw(asked, query_keys, jumps, first, count, begin, n, rows)
                last = begin + n == length  # it has a checkpoint after its last step
                for t in range(n + last):
                    if mark < len(marks) and marks[mark] == begin + t:
                        if reduces:
                            kept = moments[mark]
                            add_moments(
                                w, wi, m, count, values, explore, exploit, locked, kept
                            )
                        else:
                            kept = recorded[first : first + count, mark]
                            record_chances(
                                w, wi, m, count, values, explore, exploit, kept
                            )
                        mark += 1
                    if not learning or t == n:
                        continue
                    counter = np.uint64(begin + t + 1) * GAMMA
                    if values:
                        pick_greedy(w, wi, wu, m, lanes, counter, explore, exploit)
                    elif pick(w, wi, wu, m, lanes, counter):
                        mend(w, wi, m, lanes)
                    answer(w, wi, m, lanes, asked, chosen, rewards, t)
                    hit = 0
                    if values:
                        learn_value(w, wi, m, lanes)
                    else:
                        hit = learn(w, wi, m, lanes)
                    if runs:
                        hit = follow(w, wi, m, lanes, distinct, patience)
                    if hit:
                        rule = (runs, limit, patience, distinct)
                        learning -= lock_lanes(
                            w, wi, m, count, rule, at, locked, begin + t + 1
                        )
                settle(chosen, count, n, begin, at, locked)
                if reduces:
                    for i in range(count):
                        add_up(asked[i], chosen[i], n, m, outcomes, totals[first + i])
                        count_choices(chosen[i], n, m, counts[first + i])
                else:
                    write(choices, chosen, first, count, begin, n)
                    if not len(given):
                        write(queries, asked, first, count, begin, n)

    return kept(sessions, models, values, runs, reduces, lanes)


@kept
def _shuffle(keys, n, order):
    """Draw each session's queries, each at most once: Fisher and Yates."""
    deck = np.empty(n, np.int32)
    for s in range(len(keys)):
        for i in range(n):
            deck[i] = i
        for t in range(order.shape[1]):
            u = to_uniform(keys[s] + np.uint64(t + 1) * GAMMA)
            other = t + np.int64(u * (n - t))
            order[s, t] = deck[other]
            deck[other] = deck[t]


@kept
def _tally(queries, choices, outcomes, locked_model, results):
    """Add up sessions as `core.sessions.tally` does."""
    counts, sums, extra = results
    m = counts.shape[1]
    for s in range(len(queries)):
        asked = queries[s]
        chosen = choices[s]
        n = len(asked)
        count_choices(chosen, n, m, counts[s])
        add_up(asked, chosen, n, m, outcomes, sums[s])
        final = locked_model[s] if locked_model[s] >= 0 else counts[s].argmax()
        cost = 0.0
        latency = 0.0
        for t in range(n):
            row = np.int64(asked[t]) * m + chosen[t]
            other = np.int64(asked[t]) * m + final
            cost += outcomes[row, 0] - outcomes[other, 0]
            latency += outcomes[row, 1] - outcomes[other, 1]
        extra[s, 0] = cost
        extra[s, 1] = latency


# What is called from outside


def replay(
    unit: Array,
    plan: Setting | OneSession,
    sessions: range,
    queries: int,
    *,
    seed: int,
    order: str,
    ties: str,
    marks: Array,
    asked: Array | None = None,
    n_jobs: int = 1,
) -> tuple[Array, ...]:
    """Return what sessions chose; see `core.prepared.Played`, whose bits these are.

    Parameters
    ----------
    unit : ndarray, (n_queries, n_models)
        Unit rewards.
    plan : Setting or OneSession
        The learner, and when its sessions lock.
    sessions : range
        Their numbers.
    queries : int
        In each session.
    seed, order, ties, marks, n_jobs
        As in `core.replay.replay`; `marks` are its checkpoints.
    asked : ndarray of int32, (n_sessions, queries), optional
        The queries, where they come in an order of their own.
    """
    n_sessions = len(sessions)
    m = unit.shape[1]
    choices = np.empty((n_sessions, queries), np.int16)
    drawn = np.empty((n_sessions, queries), np.int32) if asked is None else asked
    recorded = np.empty((n_sessions, len(marks), m))
    locks = np.empty((2, n_sessions), np.int64)
    run = _loop(plan, m, queries, reduces=False)
    nothing = _no_sums(m)
    flat = unit.ravel()

    def play(part: slice) -> None:
        given = None if asked is None else asked[part]
        shown = _shown(sessions[part], seed, ties, m)
        draws = _draws(sessions[part], seed, order, len(unit), drawn[part], given)
        written = drawn[part] if not len(draws[0]) else drawn[:0]
        records = choices[part], written, recorded[part]
        run(flat, (*draws, shown), marks, locks[:, part], records, nothing)

    spread(play, parts(n_sessions, queries), n_jobs)
    return choices, drawn, recorded, *locks


def reduce(
    unit: Array,
    outcomes: Array,
    plan: Setting | OneSession,
    sessions: range,
    queries: int,
    *,
    seed: int,
    order: str,
    ties: str,
    marks: Array,
    asked: Array | None = None,
) -> tuple[Array, ...]:
    """Return sums of some sessions, without their choices.

    Parameters
    ----------
    outcomes : ndarray, (n_queries, n_models, 6)
    unit, plan, sessions, queries, seed, order, ties, marks, asked
        As in `replay`.

    Returns
    -------
    sums : ndarray, (n_sessions, 6)
        Of each outcome over the session's queries.
    counts : ndarray of int, (n_sessions, n_models)
        Queries sent to each LLM.
    moments : ndarray, (n_checkpoints, 3, n_models)
        Sums over sessions of the probabilities, of their squares, and of the chances to
        be routed to.
    locked_at, locked_model : ndarray of int, (n_sessions,)
    """
    n_sessions = len(sessions)
    m = unit.shape[1]
    drawn = np.empty((n_sessions if order == "shuffle" else 0, queries), np.int32)
    sums = np.zeros((n_sessions, N_OUTCOMES))
    counts = np.zeros((n_sessions, m), np.int64)
    moments = np.zeros((len(marks), 3, m))
    locks = np.empty((2, n_sessions), np.int64)
    run = _loop(plan, m, queries, reduces=True)
    shown = _shown(sessions, seed, ties, m)
    draws = _draws(sessions, seed, order, len(unit), drawn, asked)
    results = outcomes.reshape(-1, N_OUTCOMES), sums, counts, moments
    run(unit.ravel(), (*draws, shown), marks, locks, _no_records(m), results)
    return sums, counts, moments, *locks


def tally(
    queries: Array,
    choices: Array,
    outcomes: Array,
    locked_model: Array,
    n_jobs: int = 1,
) -> tuple[Array, Array, Array]:
    """Return sums of recorded sessions, to the bit as `core.sessions.tally` does."""
    n_sessions = len(choices)
    n_models = outcomes.shape[1]
    counts = np.zeros((n_sessions, n_models), np.int64)
    sums = np.zeros((n_sessions, N_OUTCOMES))
    extra = np.zeros((n_sessions, 2))
    flat = np.ascontiguousarray(outcomes).reshape(-1, N_OUTCOMES)

    def add(part: slice) -> None:
        results = counts[part], sums[part], extra[part]
        _tally(queries[part], choices[part], flat, locked_model[part], results)

    spread(add, parts(n_sessions, queries.shape[1]), n_jobs)
    return counts, sums, extra


def parts(sessions: int, queries: int) -> list[slice]:
    """Return pieces of work as slices of whole lanes; they depend on the size alone."""
    size = LANES * max(1, round(PART / (LANES * queries)))
    edges = range(0, sessions, size)
    return [slice(first, min(first + size, sessions)) for first in edges]


def spread(run: Callable[[slice], None], pieces: list[slice], n_jobs: int) -> None:
    """Run each piece, by threads; each writes into its own part of the results."""
    if n_jobs == 1 or len(pieces) == 1:
        for piece in pieces:
            run(piece)
        return
    import joblib

    # joblib's own threads cost more to start than such a piece takes
    with ThreadPoolExecutor(joblib.effective_n_jobs(n_jobs)) as pool:
        list(pool.map(run, pieces))


def _loop(
    plan: Setting | OneSession, m: int, queries: int, reduces: bool
) -> Callable[..., None]:
    """Return what plays sessions: (rewards, streams, marks, locks, records, sums)."""
    if isinstance(plan, OneSession):
        return functools.partial(Player(plan, m).play, queries)
    models, lanes = (m, LANES) if m <= UNROLLED else (0, 1)
    floats = tuple(float(number) for number in plan[2:7])
    play = loop(models, plan.values, plan.runs, reduces, lanes)
    return functools.partial(play, m, queries, (*floats, plan.patience))


def _draws(
    sessions: range, seed: int, order: str, n: int, drawn: Array, asked: Array | None
) -> tuple[Array, Array, Array]:
    """Return the queries, unless they are drawn in the loop, and both streams' keys."""
    numbers = np.array(sessions)
    query_keys = streams.keys(seed, numbers, streams.QUERY)
    choice_keys = streams.keys(seed, numbers, streams.CHOICE)
    if asked is not None:
        return asked, query_keys, choice_keys
    if order == "shuffle":
        _shuffle(query_keys, n, drawn)
        return drawn, query_keys, choice_keys
    return drawn[:0], query_keys, choice_keys


def _shown(sessions: range, seed: int, ties: str, m: int) -> Array:
    """Return the LLM at each place of the pool as each session is shown it."""
    if ties == "first":
        return streams.listed(len(sessions), m)
    return streams.pool_orders(seed, np.array(sessions), m)


def _no_sums(m: int) -> tuple[Array, ...]:
    empty = np.empty((0, N_OUTCOMES))
    return empty, empty, np.empty((0, m), np.int64), np.empty((0, 3, m))


def _no_records(m: int) -> tuple[Array, ...]:
    return np.empty((0, 0), np.int16), np.empty((0, 0), np.int32), np.empty((0, 0, m))
