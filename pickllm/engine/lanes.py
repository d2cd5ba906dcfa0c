"""Steps of sessions that run in lockstep, one to a lane, as compiled code.

Everything that a lane holds stands in one array laid out [row][lane], so that each loop
over lanes is one over neighbouring numbers, which the compiler turns into vector
instructions; one array, because for all the compiler knows two might overlap. Nothing
branches on a choice: a chain of ``if m == j`` would undo all of this.

Bits stay those of NumPy's loop because every sum runs in its order, and because the
compiler may neither reorder sums (no fast-math) nor round a product and a sum in one.

These functions take many arguments: each is inlined into its caller, and what a
compiled loop holds are arrays and numbers.
"""

# ruff: noqa: PLR0913 - see above
# numba infers the types of what it compiles:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingParameterType=false
from contextlib import suppress
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

from . import streams
from .setting import NEVER

#: Sessions in lockstep.
LANES = 32
#: Queries between two writings.
TILE = 128

#: Rows of a lane after those of the LLMs: the place chosen, that one's value, its
#: reward; the learning rate (0 once locked); the probability to lock at; the key of the
#: choices; the most probable place, and the length of its run; and, from the last on,
#: the LLM at each place of the pool as the session is shown it.
ARM, VALUE, REWARD, RATE, LIMIT, KEY, GREEDY, RUN, SHOWN = range(9)

GAMMA = streams.GAMMA
MIX_1 = streams.MIX_1
MIX_2 = streams.MIX_2
TO_UNIT = streams.TO_UNIT
S11, S27, S30, S31 = (np.uint64(shift) for shift in (11, 27, 30, 31))

inline = numba.njit(inline="always")


@intrinsic  # which gives the first argument itself
def wide(typing_context: Any) -> Any:
    """Let loops use the widest vectors of the processor; the compiler halves them."""

    def hint(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        with suppress(AttributeError, TypeError):  # without it the loop is 1/5 slower
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return numba.types.none(), hint


# One step of the sessions in all lanes


@inline
def to_uniform(z):
    """Return the draw of a counter: the finaliser of `streams.output`, in [0, 1)."""
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return ((z ^ (z >> S31)) >> S11) * TO_UNIT


@inline
def pick(w, wi, wu, m, lanes, counter):
    """Choose as the automaton does: the first LLM whose summed chance exceeds a draw.

    Return whether one has probability 0: rounding left the sum short of its draw.
    """
    short = 0
    for i in range(lanes):
        u = to_uniform(wu[m + KEY, i] + counter)
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
def mend(w, wi, m, lanes):
    """Choose, in place of an LLM of probability 0, the last one that can be chosen."""
    for i in range(lanes):
        while w[wi[m + ARM, i], i] <= 0.0:
            wi[m + ARM, i] -= 1
        w[m + VALUE, i] = w[wi[m + ARM, i], i]


@inline
def pick_greedy(w, wi, wu, m, lanes, counter, explore, exploit):
    """Choose as Q-learning does, by the same rule."""
    for i in range(lanes):
        u = to_uniform(wu[m + KEY, i] + counter)
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
def answer(w, wi, m, lanes, asked, chosen, rewards, t):
    """Look up the reward of each choice: a gather, no faster in vectors."""
    for i in range(lanes):
        model = wi[m + SHOWN + wi[m + ARM, i], i]
        chosen[i, t] = model
        w[m + REWARD, i] = rewards[
            np.uint64(asked[i, t]) * np.uint64(m) + np.uint64(model)
        ]


@inline
def learn(w, wi, m, lanes):
    """Learn as L_R-I does; return whether a session may have reached its threshold.

    No probability but the chosen LLM's grows.
    """
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
def learn_value(w, wi, m, lanes):
    """Learn as Q-learning does."""
    for i in range(lanes):
        value = w[m + VALUE, i]
        new = value + w[m + RATE, i] * (w[m + REWARD, i] - value)
        arm = wi[m + ARM, i]
        for j in range(m):
            old = w[j, i]
            w[j, i] = new if arm == j else old


@inline
def follow(w, wi, m, lanes, distinct, patience):
    """Follow the most probable LLM, and how long it has been that.

    Return whether a run is long enough to lock.
    """
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
def lock_lanes(w, wi, m, count, rule, at, locked, answered):
    """Freeze the sessions that have just converged; return how many."""
    runs, limit, patience, distinct = rule
    done = 0
    for i in range(count):
        best = 0
        for j in range(1, m):
            best = j if w[j, i] > w[best, i] else best
        if at[i] < 0 and (wi[m + RUN, i] >= patience if runs else w[best, i] >= limit):
            at[i] = answered
            locked[i] = wi[m + SHOWN + (best & distinct), i]
            w[m + RATE, i] = 0.0
            w[m + LIMIT, i] = np.inf
            wi[m + RUN, i] = -NEVER
            done += 1
    return done


# A tile of steps


@inline
def draw(asked, keys, jumps, first, count, begin, n, rows):
    """Draw the queries of a tile, [lane][step], from each session's stream."""
    for i in range(asked.shape[0]):
        key = keys[first + min(i, count - 1)] + np.uint64(begin + 1) * GAMMA
        row = asked[i]
        for t in range(n):
            row[t] = np.int32(to_uniform(key + jumps[t]) * rows)


@inline
def settle(chosen, count, n, begin, at, locked):
    """Send what a session asks after its lock to the LLM it locked on."""
    for i in range(count):
        if at[i] >= 0:
            row = chosen[i]
            for t in range(min(max(at[i] - begin, 0), n), n):
                row[t] = locked[i]


@inline
def take(asked, given, first, count, begin, n):
    """Copy the queries of a tile from those that are given."""
    for i in range(count):
        row = asked[i]
        part = given[first + i, begin:]
        for t in range(n):
            row[t] = part[t]


@inline
def write(target, tile, first, count, begin, n):
    """Copy a tile to where its sessions' results stand."""
    for i in range(count):
        row = target[first + i, begin:]
        part = tile[i]
        for t in range(n):
            row[t] = part[t]


@inline
def add_up(asked, chosen, n, m, outcomes, sums):
    """Add a session's outcomes to its sums, in the order of its queries."""
    a = sums[0]
    b = sums[1]
    c = sums[2]
    d = sums[3]
    e = sums[4]
    f = sums[5]
    for t in range(n):
        row = outcomes[np.int64(asked[t]) * m + chosen[t]]
        a += row[0]
        b += row[1]
        c += row[2]
        d += row[3]
        e += row[4]
        f += row[5]
    sums[0] = a
    sums[1] = b
    sums[2] = c
    sums[3] = d
    sums[4] = e
    sums[5] = f


@inline
def count_choices(chosen, n, m, counts):
    """Count how often a session chose each LLM; comparisons run in vectors."""
    for j in range(m):
        total = 0
        for t in range(n):
            total += np.int64(chosen[t] == j)
        counts[j] += total


# Checkpoints


@inline
def chance(w, wi, m, j, i, values, explore, exploit):
    """Return the probability of the LLM at place j in lane i."""
    if values:
        return exploit if wi[m + GREEDY, i] == j else explore
    return w[j, i]


@inline
def record_chances(w, wi, m, count, values, explore, exploit, recorded):
    """Record every lane's probabilities at a checkpoint."""
    for i in range(count):
        row = recorded[i]
        for j in range(m):
            model = wi[m + SHOWN + j, i]
            row[model] = chance(w, wi, m, j, i, values, explore, exploit)


@inline
def add_moments(w, wi, m, count, values, explore, exploit, locked, moments):
    """Add up over sessions the probabilities, their squares, and the chances routed by.

    A locked session routes to its LLM alone.
    """
    for i in range(count):
        for j in range(m):
            model = wi[m + SHOWN + j, i]
            p = chance(w, wi, m, j, i, values, explore, exploit)
            moments[0, model] += p
            moments[1, model] += p * p
            moments[2, model] += p if locked[i] < 0 else np.float64(locked[i] == model)
