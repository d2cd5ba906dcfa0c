"""Counter-based random streams: a draw is a function of its place alone.

The place is (seed, session, purpose, step).

The generator is splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom
number generators"): the n-th output of a stream with key k is mix(k + n * GAMMA), so
that no state is kept and any draw can be made alone, in any order, on any machine. A
key is made the same way: the seed's stream gives each session a key, and a session's
key gives one to each purpose.
"""

# users run unchecked code:
# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

Words = NDArray[np.uint64]

GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
TO_UNIT = 2.0**-53
WORD = 2**64 - 1

#: The causes of randomness; each has a stream of its own.
QUERY, CHOICE, POOL = range(3)


def output(key: ArrayLike, n: ArrayLike) -> Words:
    """Return the n-th output, n >= 1, of a splitmix64 stream (arrays broadcast).

    Examples
    --------
    >>> int(output(np.uint64(1234567), np.uint64(1)))
    6457827717110365317
    """
    with np.errstate(over="ignore"):
        z = np.asarray(key, np.uint64) + np.asarray(n, np.uint64) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * MIX_1
        z = (z ^ (z >> np.uint64(27))) * MIX_2
    return z ^ (z >> np.uint64(31))


def keys(seed: int, sessions: ArrayLike, purpose: int) -> Words:
    """Return the stream keys of some sessions for one purpose.

    Parameters
    ----------
    seed : int
        0 <= seed < 2**63.
    sessions : int or ndarray of int, (n_sessions,)
        Session numbers, >= 0.
    purpose : int
        `QUERY`, `CHOICE` or `POOL`.

    Returns
    -------
    ndarray of uint64, (n_sessions,)
    """
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**63:
        raise InputError(
            f"seed must be a whole number in [0, 2**63), got {seed!r}; choose one, 0"
            " for instance"
        )
    number = np.asarray(sessions, np.uint64) + np.uint64(1)
    session = output(output(np.uint64(seed), 1), number)
    return output(session, purpose + 1)


def uniforms(key: ArrayLike, steps: ArrayLike) -> NDArray[np.float64]:
    """Return uniform draws in [0, 1) with 53 bits, for each key and step.

    Parameters
    ----------
    key : ndarray of uint64, (n_sessions,)
    steps : ndarray of int, (n_steps,)
        Step numbers, >= 0.

    Returns
    -------
    ndarray of float, (n_sessions, n_steps)
    """
    draws = output(
        np.asarray(key)[..., None], np.asarray(steps, np.uint64) + np.uint64(1)
    )
    return np.asarray((draws >> np.uint64(11)) * TO_UNIT, np.float64)


def pool_orders(seed: int, sessions: ArrayLike, n_models: int) -> NDArray[np.int64]:
    """Return the order in which each session is shown the pool, all equally likely.

    Fisher and Yates, swap by swap.

    Returns
    -------
    ndarray of int, (n_sessions, n_models)
        Positions in the pool.

    Examples
    --------
    >>> sorted(pool_orders(seed=0, sessions=[5], n_models=4)[0].tolist())
    [0, 1, 2, 3]
    """
    numbers = np.atleast_1d(np.asarray(sessions))
    draws = uniforms(keys(seed, numbers, POOL), np.arange(n_models))
    orders = listed(len(numbers), n_models)
    rows = np.arange(len(numbers))
    for place in range(n_models - 1):
        other = place + (draws[:, place] * (n_models - place)).astype(np.int64)
        drawn = orders[rows, other]
        orders[rows, other] = orders[:, place]
        orders[:, place] = drawn
    return orders


def listed(n_sessions: int, n_models: int) -> NDArray[np.int64]:
    """Return the pool's own order for every session, (n_sessions, n_models)."""
    return np.tile(np.arange(n_models), (n_sessions, 1))


def uniform(key: int, step: int) -> float:
    """Return one draw of `uniforms`, in Python's own whole numbers.

    Ten times as quick where a single one is wanted.

    Parameters
    ----------
    key, step : int

    Examples
    --------
    >>> key = keys(0, 0, CHOICE)
    >>> uniform(int(key), 5) == float(uniforms(key, np.array([5]))[0])
    True
    """
    z = (key + (step + 1) * 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return ((z ^ (z >> 31)) >> 11) * TO_UNIT
