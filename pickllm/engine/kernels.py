"""The loop of `sessions` compiled: the same draws, choices, locks and checkpoints to the last bit.

Sessions run in lockstep, one to a lane. Everything that a lane holds stands in one array laid out
[row][lane], so that each loop over lanes is one over neighbouring numbers, which the compiler turns
into vector instructions; one array, because for all the compiler knows two might overlap. The number
of LLMs is a constant of each compiled loop, so that the loops over LLMs are unrolled. Nothing branches
on a choice: a chain of ``if m == j`` would undo all of this.

Sessions go through their queries in tiles: the queries of a tile are drawn, then answered step by
step, then written out or added up. A locked session learns at rate 0, which leaves its state to the
last bit as it was, and its choices are overwritten when the tile ends.

Bits stay the same because every sum runs in the order of NumPy's loop, and because the compiler may
neither reorder sums (no fast-math) nor round a product and a sum in one.
"""

import functools
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import numba
import numpy as np
from numba.extending import intrinsic

from . import streams

LANES = 32  # sessions in lockstep
TILE = 128  # queries between two writings
UNROLLED = 16  # LLMs; a loop for more of them compiles once for any number, and takes one session at a time
PART = (
    2**20
)  # decisions to a piece of work, which a thread takes whole; fixed, so that sums never depend on threads

NEVER = 2**62  # more queries than any session has

# Rows of a lane after those of the LLMs: the choice, that LLM's value, its reward; the
# learning rate (0 once locked); the probability to lock at; the key of the choices; the
# most probable LLM, and the length of its run.
ARM, VALUE, REWARD, RATE, LIMIT, KEY, GREEDY, RUN, ROWS = range(9)

GAMMA, MIX_1, MIX_2, TO_UNIT = (
    streams.GAMMA,
    streams.MIX_1,
    streams.MIX_2,
    streams.TO_UNIT,
)
S11, S27, S30, S31 = (np.uint64(shift) for shift in (11, 27, 30, 31))

inline = numba.njit(inline="always")


@intrinsic
def _wide(typing_context):
    """Let loops use the widest vectors that the processor has; by default the compiler halves them."""

    def hint(context, builder, signature, arguments):
        with suppress(
            AttributeError, TypeError
        ):  # a hint alone: without it the loop is a fifth slower
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return numba.types.none(), hint


# One step of the sessions in all lanes


@inline
def _uniform(z):
    """Return the draw of a counter: the finaliser of `streams.output`, in [0, 1)."""
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return ((z ^ (z >> S31)) >> S11) * TO_UNIT


@inline
def _pick(w, wi, wu, m, lanes, counter):
    """Return the automaton's choices: the first LLM whose cumulative probability exceeds the draw.

    True if one has probability 0: rounding left the sum short of its draw.
    """
    short = 0
    for i in range(lanes):
        u = _uniform(wu[m + KEY, i] + counter)
        value = w[0, i]
        below = value
        arm = 0
        for j in range(1, m):
            past = below <= u
            other = w[j, i]
            value = other if past else value
            arm += past
            below += other
        wi[m + ARM, i] = arm
        w[m + VALUE, i] = value
        short |= np.int64(value <= 0.0)
    return short


@inline
def _mend(w, wi, m, lanes):
    """In place of an LLM of probability 0, the last one that can be chosen."""
    for i in range(lanes):
        while w[wi[m + ARM, i], i] <= 0.0:
            wi[m + ARM, i] -= 1
        w[m + VALUE, i] = w[wi[m + ARM, i], i]


@inline
def _pick_greedy(w, wi, wu, m, lanes, counter, explore, exploit):
    """Q-learning's choices, by the same rule."""
    for i in range(lanes):
        u = _uniform(wu[m + KEY, i] + counter)
        greedy = wi[m + GREEDY, i]
        value = w[0, i]
        below = exploit if greedy == 0 else explore
        arm = 0
        for j in range(1, m):
            past = below <= u
            other = w[j, i]
            value = other if past else value
            arm += past
            below += exploit if greedy == j else explore
        wi[m + ARM, i] = arm
        w[m + VALUE, i] = value


@inline
def _answer(w, wi, m, lanes, asked, chosen, rewards, t):
    """The reward of each choice: a gather, which is no faster in vectors."""
    for i in range(lanes):
        arm = wi[m + ARM, i]
        chosen[i, t] = arm
        w[m + REWARD, i] = rewards[
            np.uint64(asked[i, t]) * np.uint64(m) + np.uint64(arm)
        ]


@inline
def _learn(w, wi, m, lanes):
    """L_R-I; True if a session may have reached its threshold: no probability but the chosen LLM's grows."""
    hit = 0
    for i in range(lanes):
        step = w[m + RATE, i] * w[m + REWARD, i]
        value = w[m + VALUE, i]
        more = value + step * (1.0 - value)
        hit |= np.int64(more >= w[m + LIMIT, i])
        keep = 1.0 - step
        arm = wi[m + ARM, i]
        for j in range(m):
            less = w[j, i] * keep
            w[j, i] = more if arm == j else less
    return hit


@inline
def _learn_value(w, wi, m, lanes):
    """Q-learning."""
    for i in range(lanes):
        value = w[m + VALUE, i]
        new = value + w[m + RATE, i] * (w[m + REWARD, i] - value)
        arm = wi[m + ARM, i]
        for j in range(m):
            old = w[j, i]
            w[j, i] = new if arm == j else old


@inline
def _follow(w, wi, m, lanes, distinct, patience):
    """Return the most probable LLM, and how long it has been that; True if a run is long enough to lock."""
    hit = 0
    for i in range(lanes):
        best = w[0, i]
        greedy = 0
        for j in range(1, m):
            other = w[j, i]
            more = other > best
            best = other if more else best
            greedy = j if more else greedy
        greedy &= distinct
        run = wi[m + RUN, i] + 1
        run = run if greedy == wi[m + GREEDY, i] else 0
        wi[m + GREEDY, i] = greedy
        wi[m + RUN, i] = run
        hit |= np.int64(run >= patience)
    return hit


@inline
def _lock(w, wi, m, count, runs, limit, patience, distinct, at, locked, answered):
    """Freeze the sessions that have just converged; how many."""
    done = 0
    for i in range(count):
        best = 0
        for j in range(1, m):
            best = j if w[j, i] > w[best, i] else best
        if at[i] < 0 and (wi[m + RUN, i] >= patience if runs else w[best, i] >= limit):
            at[i] = answered
            locked[i] = best & distinct
            w[m + RATE, i] = 0.0
            w[m + LIMIT, i] = np.inf
            wi[m + RUN, i] = -NEVER
            done += 1
    return done


# A tile of steps


@inline
def _draw(asked, keys, jumps, first, count, begin, n, rows):
    """The queries of a tile, [lane][step], from each session's stream."""
    for i in range(asked.shape[0]):
        key = keys[first + min(i, count - 1)] + np.uint64(begin + 1) * GAMMA
        row = asked[i]
        for t in range(n):
            row[t] = np.int32(_uniform(key + jumps[t]) * rows)


@inline
def _settle(chosen, count, n, begin, at, locked):
    """Send what a session asks after its lock to the LLM it locked on."""
    for i in range(count):
        if at[i] >= 0:
            row = chosen[i]
            for t in range(min(max(at[i] - begin, 0), n), n):
                row[t] = locked[i]


@inline
def _take(asked, given, first, count, begin, n):
    for i in range(count):
        row, part = asked[i], given[first + i, begin:]
        for t in range(n):
            row[t] = part[t]


@inline
def _write(target, tile, first, count, begin, n):
    for i in range(count):
        row, part = target[first + i, begin:], tile[i]
        for t in range(n):
            row[t] = part[t]


@inline
def _add_up(asked, chosen, n, m, outcomes, sums):
    """Add a session's outcomes to its sums, in the order of its queries."""
    a, b, c, d, e, f = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    for t in range(n):
        row = outcomes[np.int64(asked[t]) * m + chosen[t]]
        a += row[0]
        b += row[1]
        c += row[2]
        d += row[3]
        e += row[4]
        f += row[5]
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = a, b, c, d, e, f


@inline
def _count(chosen, n, m, counts):
    """How often a session chose each LLM; comparisons run in vectors, a histogram does not."""
    for j in range(m):
        total = 0
        for t in range(n):
            total += np.int64(chosen[t] == j)
        counts[j] += total


# Checkpoints


@inline
def _chance(w, wi, m, j, i, values, explore, exploit):
    """Probability of LLM j in lane i."""
    if values:
        return exploit if wi[m + GREEDY, i] == j else explore
    return w[j, i]


@inline
def _record(w, wi, m, count, values, explore, exploit, recorded, first, mark):
    for i in range(count):
        row = recorded[first + i, mark]
        for j in range(m):
            row[j] = _chance(w, wi, m, j, i, values, explore, exploit)


@inline
def _moments(w, wi, m, count, values, explore, exploit, locked, moments):
    """Sums over sessions: of the probabilities, their squares, and what a locked session routes by."""
    for j in range(m):
        total, square, routed = 0.0, 0.0, 0.0
        for i in range(count):
            p = _chance(w, wi, m, j, i, values, explore, exploit)
            total += p
            square += p * p
            routed += p if locked[i] < 0 else np.float64(locked[i] == j)
        moments[0, j] += total
        moments[1, j] += square
        moments[2, j] += routed


# Loops


def _compiled(function):
    """Compiled on its first call, and kept on disk where there is a folder for it."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


@functools.cache
def loop(models, values, runs, reduces=False, lanes=LANES):
    """Return the loop over sessions and queries, compiled for one number of LLMs and one kind of learner.

    Parameters
    ----------
    models : int
        Number of LLMs; 0: any, given at the call.
    values : bool
        Q-learning; otherwise L_R-I, whose state is its probabilities.
    runs : bool
        Whether the most probable LLM is followed at every step, as Q-learning and `GreedyUnchanged` need.
    reduces : bool
        Whether sums are kept in place of choices, queries and probabilities.
    lanes : int
        Sessions in lockstep.
    """

    def sessions(
        n_models,
        length,
        rewards,
        given,
        query_keys,
        choice_keys,
        rate,
        start,
        explore,
        exploit,
        limit,
        patience,
        marks,
        locked_at,
        locked_model,
        queries,
        choices,
        recorded,
        outcomes,
        sums,
        counts,
        moments,
    ):
        _wide()
        m = models if models else n_models
        rows = len(rewards) // m
        w = np.zeros((m + ROWS, lanes))
        wi, wu = w.view(np.int64), w.view(np.uint64)
        asked, chosen = (
            np.zeros((lanes, TILE), np.int32),
            np.zeros((lanes, TILE), np.int16),
        )
        jumps = np.zeros(TILE, np.uint64)
        for t in range(1, TILE):
            jumps[t] = jumps[t - 1] + GAMMA
        distinct = (
            0 if values and exploit <= explore else -1
        )  # a mask: among equal chances the first LLM counts as greedy
        for first in range(0, len(choice_keys), lanes):
            count = min(lanes, len(choice_keys) - first)
            at, locked = (
                locked_at[first : first + count],
                locked_model[first : first + count],
            )
            for i in range(count):
                at[i] = locked[i] = -1
            for i in range(
                lanes
            ):  # those beyond the last session learn nothing and never lock
                for j in range(m):
                    w[j, i] = start
                w[m + RATE, i] = rate if i < count else 0.0
                w[m + LIMIT, i] = limit if i < count else np.inf
                wu[m + KEY, i] = choice_keys[first + min(i, count - 1)]
                wi[m + GREEDY, i] = 0
                wi[m + RUN, i] = 0 if i < count else -NEVER
            learning, mark = count, 0
            for begin in range(0, length, TILE):
                n = min(TILE, length - begin)
                if len(given):
                    _take(asked, given, first, count, begin, n)
                else:
                    _draw(asked, query_keys, jumps, first, count, begin, n, rows)
                for t in range(
                    n + (begin + n == length)
                ):  # the last tile has a checkpoint after its last step
                    if mark < len(marks) and marks[mark] == begin + t:
                        if reduces:
                            _moments(
                                w,
                                wi,
                                m,
                                count,
                                values,
                                explore,
                                exploit,
                                locked,
                                moments[mark],
                            )
                        else:
                            _record(
                                w,
                                wi,
                                m,
                                count,
                                values,
                                explore,
                                exploit,
                                recorded,
                                first,
                                mark,
                            )
                        mark += 1
                    if not learning or t == n:
                        continue
                    counter = np.uint64(begin + t + 1) * GAMMA
                    if values:
                        _pick_greedy(w, wi, wu, m, lanes, counter, explore, exploit)
                    elif _pick(w, wi, wu, m, lanes, counter):
                        _mend(w, wi, m, lanes)
                    _answer(w, wi, m, lanes, asked, chosen, rewards, t)
                    hit = 0
                    if values:
                        _learn_value(w, wi, m, lanes)
                    else:
                        hit = _learn(w, wi, m, lanes)
                    if runs:
                        hit = _follow(w, wi, m, lanes, distinct, patience)
                    if hit:
                        learning -= _lock(
                            w,
                            wi,
                            m,
                            count,
                            runs,
                            limit,
                            patience,
                            distinct,
                            at,
                            locked,
                            begin + t + 1,
                        )
                _settle(chosen, count, n, begin, at, locked)
                if reduces:
                    for i in range(count):
                        _add_up(asked[i], chosen[i], n, m, outcomes, sums[first + i])
                        _count(chosen[i], n, m, counts[first + i])
                else:
                    _write(choices, chosen, first, count, begin, n)
                    if not len(given):
                        _write(queries, asked, first, count, begin, n)

    return _compiled(sessions)


@_compiled
def _shuffled(keys, n, order):
    """Each session's queries, each at most once: Fisher and Yates, one swap a query."""
    deck = np.empty(n, np.int32)
    for s in range(len(keys)):
        for i in range(n):
            deck[i] = i
        for t in range(order.shape[1]):
            other = t + np.int64(_uniform(keys[s] + np.uint64(t + 1) * GAMMA) * (n - t))
            order[s, t] = deck[other]
            deck[other] = deck[t]


@_compiled
def _tallied(queries, choices, outcomes, locked_model, counts, sums, extra):
    """The sums of sessions as `sessions` defines them."""
    m = counts.shape[1]
    for s in range(len(queries)):
        asked, chosen = queries[s], choices[s]
        n = len(asked)
        _count(chosen, n, m, counts[s])
        _add_up(asked, chosen, n, m, outcomes, sums[s])
        final = locked_model[s] if locked_model[s] >= 0 else counts[s].argmax()
        cost, latency = 0.0, 0.0
        for t in range(n):
            row, other = (
                np.int64(asked[t]) * m + chosen[t],
                np.int64(asked[t]) * m + final,
            )
            cost += outcomes[row, 0] - outcomes[other, 0]
            latency += outcomes[row, 1] - outcomes[other, 1]
        extra[s, 0], extra[s, 1] = cost, latency


# What is called from outside


class Setting(NamedTuple):
    """A learner and a lock rule as numbers."""

    values: bool
    runs: bool
    rate: float
    start: float
    explore: float
    exploit: float
    limit: float
    patience: int


def replay(unit, setting, block, queries, seed, order, marks, n_jobs=1):
    """Return what `sessions._block` returns for a slice of sessions, to the last bit.

    Returns
    -------
    tuple of ndarray
        Choices, queries, probabilities, `locked_at`, `locked_model`.
    """
    m, sessions = unit.shape[1], block.stop - block.start
    choices, drawn = (
        np.empty((sessions, queries), np.int16),
        np.empty((sessions, queries), np.int32),
    )
    recorded = np.empty((sessions, len(marks), m))
    locks = np.empty((2, sessions), np.int64)
    run, numbers = _loop(setting, m, reduces=False)
    unused = (
        np.empty((0, 6)),
        np.empty((0, 6)),
        np.empty((0, m), np.int64),
        np.empty((0, 3, m)),
    )

    def part(some):
        given, keys, choice_keys = _draws(
            range(block.start + some.start, block.start + some.stop),
            seed,
            order,
            len(unit),
            drawn[some],
        )
        run(
            m,
            queries,
            unit.ravel(),
            given,
            keys,
            choice_keys,
            *numbers,
            marks,
            *locks[:, some],
            drawn[some],
            choices[some],
            recorded[some],
            *unused,
        )

    spread(part, parts(sessions, queries), n_jobs)
    return choices, drawn, recorded, *locks


def reduce(unit, outcomes, setting, block, queries, seed, order, marks):
    """Return sums of some sessions, without their choices.

    Parameters
    ----------
    outcomes : ndarray, (n_queries, n_models, 6)
    block : slice
        Which sessions.

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
    m, n = unit.shape[1], block.stop - block.start
    drawn = np.empty((n if order == "shuffle" else 0, queries), np.int32)
    sums, counts, moments, locks = (
        np.zeros((n, 6)),
        np.zeros((n, m), np.int64),
        np.zeros((len(marks), 3, m)),
        np.empty((2, n), np.int64),
    )
    run, numbers = _loop(setting, m, reduces=True)
    given, keys, choice_keys = _draws(
        range(block.start, block.stop), seed, order, len(unit), drawn
    )
    unused = np.empty((0, 0), np.int32), np.empty((0, 0), np.int16), np.empty((0, 0, m))
    run(
        m,
        queries,
        unit.ravel(),
        given,
        keys,
        choice_keys,
        *numbers,
        marks,
        *locks,
        *unused,
        outcomes.reshape(-1, 6),
        sums,
        counts,
        moments,
    )
    return sums, counts, moments, *locks


def tally(queries, choices, outcomes, locked_model, n_jobs=1):
    """Return sums of sessions that were recorded; see `sessions.tally`, whose bits these are."""
    n, m = len(choices), outcomes.shape[1]
    counts, sums, extra = np.zeros((n, m), np.int64), np.zeros((n, 6)), np.zeros((n, 2))
    flat = np.ascontiguousarray(outcomes).reshape(-1, 6)
    run = lambda b: _tallied(
        queries[b], choices[b], flat, locked_model[b], counts[b], sums[b], extra[b]
    )
    spread(run, parts(n, queries.shape[1]), n_jobs)
    return counts, sums, extra


def parts(sessions, queries):
    """Pieces of work, as slices of whole lanes; they depend on the size alone."""
    size = LANES * max(1, round(PART / (LANES * queries)))
    return [
        slice(first, min(first + size, sessions)) for first in range(0, sessions, size)
    ]


def spread(run, pieces, n_jobs):
    """``run(piece)`` for each, by threads; each writes into its own part of the results."""
    if n_jobs == 1 or len(pieces) == 1:
        for piece in pieces:
            run(piece)
        return
    import joblib

    with ThreadPoolExecutor(
        joblib.effective_n_jobs(n_jobs)
    ) as pool:  # joblib's own threads cost more to start than such a piece takes
        list(pool.map(run, pieces))


def _loop(numbers, m, reduces):
    """Return the compiled loop for a setting and a number of LLMs, and what is left of the setting to pass on."""
    models, lanes = (m, LANES) if m <= UNROLLED else (0, 1)
    return loop(models, numbers.values, numbers.runs, reduces, lanes), (
        *tuple(float(x) for x in numbers[2:7]),
        numbers.patience,
    )


def _draws(sessions, seed, order, n, drawn):
    """Query order (if it is a shuffle), keys of the queries and of the choices, for sessions of those numbers."""
    numbers = np.array(sessions)
    keys, choice_keys = (
        streams.keys(seed, numbers, streams.QUERY),
        streams.keys(seed, numbers, streams.CHOICE),
    )
    if order == "shuffle":
        _shuffled(keys, n, drawn)
        return drawn, keys, choice_keys
    return drawn[:0], keys, choice_keys
