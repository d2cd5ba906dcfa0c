"""The loop of `core.replay`, compiled for any learner that is written for one session.

The draws, choices, locks, checkpoints and sums are those of every other road; what the
learner does is its own functions, compiled into the loop (see `mirror`). Sessions run
one after the other, a tile of queries at a time: the queries are drawn, then answered,
then written out or added up.
"""

# ruff: noqa: PLR0913 - a compiled loop takes what it needs as arrays and numbers
# numba infers the types of what it compiles:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingParameterType=false, reportMissingTypeStubs=false
# pyright: reportUntypedFunctionDecorator=false, reportCallIssue=false
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import mirror
from .keeping import in_place, kept
from .lanes import GAMMA, TILE, add_up, count_choices, to_uniform
from .mirror import TEXTS, lent

#: What may be wrong with what a learner returns; the loop stops there.
FINE, NO_LLM, NO_CHANCES = range(3)

Array = NDArray[Any]
Function = Callable[..., Any]


class Form(NamedTuple):
    """What a learner's functions take and give, which decides how they are called.

    Attributes
    ----------
    chooses : bool
        Whether it chooses itself, or shows probabilities.
    draws : bool
        Whether it chooses by draws of its own.
    sees : bool
        Whether it looks at queries.
    returns : bool
        Whether `update` returns the next state, or changes the one that it is given.
    """

    chooses: bool
    draws: bool
    sees: bool
    returns: bool


@dataclass(frozen=True, eq=False)
class OneSession:
    """A learner for one session, and when its sessions lock.

    Attributes
    ----------
    learner : object
        Its numbers, and its functions.
    form : Form
    state : array, or (named) tuple of arrays
        Before the first query.
    arrays : tuple of ndarray
        Those of the state, in order.
    uniforms : int
        Draws of its own that each choice takes.
    seen : ndarray, (n_queries, ...)
        What it sees of each query; empty if it looks at none.
    limit : float
        Probability to lock at.
    patience : int
        Queries for which the most probable LLM stays the same, to lock.
    made_from : str
        Hash of the code of its functions.
    """

    learner: object
    form: Form
    state: Any
    arrays: tuple[Array, ...]
    uniforms: int
    seen: Array
    limit: float
    patience: int
    made_from: str


# One session


@kept
def draw_row(row, key, first, n):
    """Fill a row with n uniform draws of a stream, from one of its steps on."""
    for t in range(n):
        row[t] = to_uniform(key + np.uint64(first + t + 1) * GAMMA)


@kept
def fall(p, u):
    """Return the LLM that a draw falls on: `core.replay.choose` for one session."""
    below = 0.0
    for j in range(len(p)):
        below += p[j]
        if below > u:
            return j
    for j in range(len(p) - 1, -1, -1):  # rounding left the sum short of the draw
        if p[j] > 0.0:
            return j
    return -1


@kept
def certainly(p, arm):
    """Make one LLM certain."""
    for j in range(len(p)):
        p[j] = 1.0 if j == arm else 0.0


@kept
def sums_to_one(p):
    """Return whether these are probabilities, but for rounding."""
    total = 0.0
    least = 0.0
    for j in range(len(p)):
        total += p[j]
        least = min(least, p[j])
    return abs(total - 1.0) < 1e-6 and least >= 0.0


@functools.cache
def looking(form: Form, kind: type) -> Function:
    """Return how a learner says what it would ask next, compiled.

    It gives the most probable LLM and that one's probability. A learner that shows
    probabilities fills them in; the choice of one that chooses is certain.
    """
    ask = mirror.method_of(kind, "choose" if form.chooses else "probabilities")

    def show(learner, state, uniforms, p):
        shown = ask(learner, state)
        if len(shown) != len(p):
            return -1, 0.0
        best = 0
        for j in range(len(p)):
            p[j] = shown[j]
            if p[j] > p[best]:
                best = j
        return best, p[best]

    def choose_by_draws(learner, state, uniforms, p):
        return ask(learner, state, uniforms), 1.0

    def choose(learner, state, uniforms, p):
        return ask(learner, state), 1.0

    if not form.chooses:
        return in_place(show)
    return in_place(choose_by_draws if form.draws else choose)


@functools.cache
def learning(form: Form, kind: type) -> Function:
    """Return how a learner's state becomes the next one, compiled."""
    update = mirror.method_of(kind, "update")

    def replace(learner, state, arm, reward):
        return update(learner, state, arm, reward)

    def change(learner, state, arm, reward):
        update(learner, state, arm, reward)
        return state

    return in_place(replace if form.returns else change)


@functools.cache
def observing(form: Form, kind: type) -> Function:
    """Return how a learner is shown a query, compiled; most look at none."""
    if not form.sees:

        def ignore(learner, state, seen, query):
            pass

        return in_place(ignore)
    show = mirror.method_of(kind, "observe")

    def observe(learner, state, seen, query):
        show(learner, state, seen[query])

    return in_place(observe)


# A tile of queries, and checkpoints


@kept
def ask(asked, places, given, key, s, begin, n, rows):
    """Put the queries of a tile in place: those given, or drawn from a stream."""
    if len(given):
        for t in range(n):
            asked[t] = given[s, begin + t]
        return
    draw_row(places, key, begin, n)
    for t in range(n):
        asked[t] = np.int32(places[t] * rows)


@kept
def write(choices, queries, chosen, asked, s, begin, n):
    """Copy a tile to where its session's results stand."""
    for t in range(n):
        choices[s, begin + t] = chosen[t]
    if len(queries):
        for t in range(n):
            queries[s, begin + t] = asked[t]


@kept
def tally(totals, counts, outcomes, chosen, asked, s, n):
    """Add a tile to its session's sums and counts."""
    m = counts.shape[1]
    add_up(asked, chosen, n, m, outcomes, totals[s])
    count_choices(chosen, n, m, counts[s])


@kept
def record(recorded, p, s, mark):
    """Record a session's probabilities at a checkpoint."""
    for j in range(len(p)):
        recorded[s, mark, j] = p[j]


@kept
def add_chances(p, locked, moments):
    """Add a session to the sums of a checkpoint; see `lanes.add_moments`."""
    for j in range(len(p)):
        moments[0, j] += p[j]
        moments[1, j] += p[j] * p[j]
        moments[2, j] += p[j] if locked < 0 else np.float64(locked == j)


# All sessions


@functools.cache
def loop(
    build: Function,
    rebuild: Function,
    copy: Function,
    kind: type,
    form: Form,
    reduces: bool,
    made_from: str,
) -> Function:
    """Return the loop over sessions and queries for one kind of learner, compiled.

    Parameters
    ----------
    build, rebuild, copy : callable
        See `mirror`: the learner from its numbers, its state from arrays, and the
        state's arrays from those at the start.
    kind : type
        The learner's class, whose functions these are.
    form : Form
    reduces : bool
        Whether sums are kept in place of choices, queries and probabilities.
    made_from : str
        Hash of the learner's code.
    """
    look = looking(form, kind)
    learn = learning(form, kind)
    observe = observing(form, kind)
    chooses, draws, sees, _ = form

    def sessions(
        size, rewards, streams, marks, locks, records, sums, numbers, arrays, scratch
    ):
        m, length, per_choice, limit, patience = size
        given, query_keys, choice_keys = streams
        choices, queries, recorded = records
        outcomes, totals, counts, moments = sums
        initial, at_work, work, seen = arrays
        p = lent(scratch[0])
        asked = lent(scratch[1])
        chosen = lent(scratch[2])
        places = lent(scratch[3])
        falls = lent(scratch[4])
        uniforms = lent(scratch[5])
        learner = build(numbers)
        for s in range(len(choice_keys)):
            copy(at_work, initial)
            state = rebuild(work)
            if draws:
                draw_row(uniforms, choice_keys[s], 0, per_choice)
            best, top = look(learner, state, uniforms, p)
            followed = best
            run = 0
            locks[0, s] = -1
            locked = -1
            mark = 0
            for begin in range(0, length, TILE):
                n = min(TILE, length - begin)
                rows = len(rewards) // m
                ask(asked, places, given, query_keys[s], s, begin, n, rows)
                if not chooses:
                    draw_row(falls, choice_keys[s], begin, n)
                last = begin + n == length  # it has a checkpoint after its last step
                for t in range(n + last):
                    answered = begin + t
                    if sees and locked < 0 and t < n:
                        observe(learner, state, seen, asked[t])
                        best, top = look(learner, state, uniforms, p)
                    if mark < len(marks) and marks[mark] == answered:
                        if chooses:
                            certainly(p, best)
                        if not sums_to_one(p):
                            return NO_LLM if chooses else NO_CHANCES, s, answered
                        if reduces:
                            add_chances(p, locked, moments[mark])
                        else:
                            record(recorded, p, s, mark)
                        mark += 1
                    if t == n:
                        break
                    if locked >= 0:
                        chosen[t] = locked
                        continue
                    arm = best if chooses else fall(p, falls[t])
                    if arm < 0 or arm >= m:
                        return NO_LLM, s, answered
                    chosen[t] = arm
                    reward = rewards[np.int64(asked[t]) * m + arm]
                    state = learn(learner, state, arm, reward)
                    if draws:
                        first = (answered + 1) * per_choice
                        draw_row(uniforms, choice_keys[s], first, per_choice)
                    best, top = look(learner, state, uniforms, p)
                    run = run + 1 if best == followed else 0
                    followed = best
                    if top >= limit or run >= patience:
                        if best < 0 or best >= m:
                            return NO_LLM, s, answered + 1
                        locked = best
                        locks[0, s] = answered + 1
                if reduces:
                    tally(totals, counts, outcomes, chosen, asked, s, n)
                else:
                    write(choices, queries, chosen, asked, s, begin, n)
            locks[1, s] = locked
        return FINE, 0, 0

    return kept(sessions, TEXTS[build], TEXTS[rebuild], form, reduces, made_from)


@functools.cache
def stepping(
    build: Function,
    rebuild: Function,
    store: Function,
    kind: type,
    form: Form,
    made_from: str,
) -> Function:
    """Return one step of a session that lives, compiled: learn, then look ahead.

    Parameters
    ----------
    build, rebuild, store : callable
        See `mirror`.
    kind, form, made_from
        See `loop`.
    """
    look = looking(form, kind)
    learn = learning(form, kind)
    observe = observing(form, kind)
    draws = form.draws

    def step(numbers, arrays, seen, arm, reward, key, first, uniforms, p):
        learner = build(numbers)
        state = rebuild(arrays)
        if len(seen):
            observe(learner, state, seen, 0)
        if arm >= 0:
            state = learn(learner, state, arm, reward)
            store(arrays, state)
        if draws:
            draw_row(uniforms, key, first, len(uniforms))
        return look(learner, state, uniforms, p)[0]

    return kept(step, TEXTS[build], TEXTS[rebuild], form, made_from)


class Live:
    """One session of a learner, answer by answer.

    Parameters
    ----------
    plan : OneSession
    m : int
        Number of LLMs.
    key : int
        Of its stream of draws.

    Attributes
    ----------
    p : ndarray, (m,)
        The chance of each LLM at the next query.
    best : int
        The most probable LLM.
    """

    def __init__(self, plan: OneSession, m: int, key: int = 0) -> None:
        build, self._numbers = mirror.mirror(plan.learner)
        rebuild = mirror.rebuilder(plan.state)
        store = mirror.storer(plan.state, plan.form.returns)
        kind = type(plan.learner)
        self._step = stepping(build, rebuild, store, kind, plan.form, plan.made_from)
        self._plan = plan
        self._key = np.uint64(key)
        self._uniforms = np.zeros(plan.uniforms)
        self.arrays = tuple(array.copy() for array in plan.arrays)
        self.p = np.zeros(m)
        self.best = self.step(-1, 0.0, 0)

    def step(self, arm: int, reward: float, answered: int) -> int:
        """Learn from an answer, unless `arm` is -1; return the most probable LLM.

        `answered` is the place of the choice that comes next in the stream of draws.
        """
        first = answered * self._plan.uniforms
        self.best = self._step(
            self._numbers,
            self.arrays,
            self._plan.seen[:0],
            arm,
            reward,
            self._key,
            first,
            self._uniforms,
            self.p,
        )
        if self._plan.form.chooses:
            self.p[:] = 0.0
            self.p[self.best] = 1.0
        return self.best


def runner(plan: OneSession, m: int, length: int, reduces: bool) -> Function:
    """Return what plays sessions of a learner, given where results go.

    Parameters
    ----------
    plan : OneSession
    m, length : int
        Numbers of LLMs, and of queries in a session.
    reduces : bool
        See `loop`.

    Returns
    -------
    callable
        (rewards, streams, marks, locks, records, sums) -> None, safe under threads.
    """
    build, numbers = mirror.mirror(plan.learner)
    rebuild = mirror.rebuilder(plan.state)
    copy = mirror.copier(len(plan.arrays))
    kind = type(plan.learner)
    play = loop(build, rebuild, copy, kind, plan.form, reduces, plan.made_from)
    size = m, length, plan.uniforms, plan.limit, plan.patience
    initial = tuple(array.ravel() for array in plan.arrays)

    def run(
        rewards: Array,
        streams: tuple[Array, ...],
        marks: Array,
        locks: Array,
        records: tuple[Array, ...],
        sums: tuple[Array, ...],
    ) -> None:
        work = tuple(array.copy() for array in plan.arrays)
        at_work = tuple(array.ravel() for array in work)
        arrays = initial, at_work, work, plan.seen
        scratch = _scratch(m, plan.uniforms)
        problem, session, answered = play(
            size,
            rewards,
            streams,
            marks,
            locks,
            records,
            sums,
            numbers,
            arrays,
            scratch,
        )
        if problem != FINE:
            raise InputError(_problem(plan, problem, session, answered))

    return run


def _scratch(m: int, uniforms: int) -> tuple[Array, ...]:
    """Return memory for one session: probabilities, a tile of queries, and draws."""
    asked = np.zeros(TILE, np.int32)
    chosen = np.zeros(TILE, np.int16)
    return (
        np.zeros(m),
        asked,
        chosen,
        np.zeros(TILE),
        np.zeros(TILE),
        np.zeros(uniforms),
    )


def _problem(plan: OneSession, problem: int, session: int, answered: int) -> str:
    name = type(plan.learner).__name__
    function = "choose" if plan.form.chooses else "probabilities"
    what = "gave no LLM of the pool"
    if problem == NO_CHANCES:
        what = "gave numbers that are negative or do not sum to 1"
    return (
        f"{name}: {function} {what} in session {session} after {answered} answers;"
        " pickllm.testing.check_learner says when"
    )
