"""The loop of `core.replay`, compiled for any learner that is written for one session.

The draws, choices, locks, checkpoints and sums are those of every other road. Sessions
run one after the other, a tile of queries at a time: the queries are drawn, then
answered, then written out or added up. That loop is compiled once, for all learners.
What is compiled for each is how it answers a tile (`answering`): its own functions, as
they are written (see `mirror`). Its state lies in words of memory, so that to the loop
one learner is like any other.
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

import numba
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import mirror
from .keeping import Passed, in_place, kept
from .lanes import GAMMA, TILE, add_up, count_choices, to_uniform
from .mirror import TEXTS
from .setting import NEVER

#: What may be wrong with what a learner returns; the loop stops there. The first is
#: what a function leaves that raised an exception.
RAISED, FINE, NO_LLM, NO_CHANCES = range(4)
#: What a learner is told to do: look at its draws; learn from an answer; answer a tile.
DRAW, LEARN, ANSWER = range(3)
#: Where a session stands: what the learner would ask, what it would have asked before,
#: for how many answers that is the same; the LLM it has locked on, or -1; when; the
#: next checkpoint; and, from the last on, the LLM at each place of the pool as the
#: session is shown it. A learner knows LLMs by their places.
BEST, FOLLOWED, RUN, LOCKED, AT, MARK, SHOWN = range(7)

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
    sees_models : bool
        Whether the last axis of what it sees of a query is the pool.
    returns : bool
        Whether `update` returns the next state, or changes the one that it is given.
    """

    chooses: bool
    draws: bool
    sees: bool
    sees_models: bool
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

        def ignore(learner, state, seen, query, places):
            pass

        return in_place(ignore)
    show = mirror.method_of(kind, "observe")

    def observe(learner, state, seen, query, places):
        show(learner, state, seen[query])

    def observe_models(learner, state, seen, query, places):
        show(learner, state, seen[query][..., places])

    return in_place(observe_models if form.sees_models else observe)


# What is compiled for each learner

# types of what is passed between the loop and a learner
F8, I8, I4, I2, U8 = (
    numba.types.Array(kind, 1, "C")
    for kind in (
        numba.float64,
        numba.int64,
        numba.int32,
        numba.int16,
        numba.uint64,
    )
)
READ = numba.types.Array(numba.float64, 1, "C", readonly=True)
#: The learner's numbers; memory, and its layout; what it sees of queries, alike; its
#: draws; the chances of LLMs; and the session.
SPACE = numba.types.Tuple((F8, F8, I8, F8, I8, F8, F8, I8))
#: Rewards of all queries, (n_queries * n_models,); a tile's queries, draws and choices;
#: the checkpoints, and the chances at those of the tile.
TILED = numba.types.Tuple((READ, I4, F8, I2, I8, F8))
#: The probability to lock at, and the answers to stay the same for.
RULE = numba.types.Tuple((numba.float64, numba.int64))
#: Space, tile, rule, the key of the draws, the tile's first query, what to do, and for
#: how many queries (or the LLM to learn of) -> whether all is well.
ANSWERS = numba.int64(SPACE, TILED, RULE, numba.uint64, *[numba.int64] * 3)


@functools.cache
def answering(
    build: Function,
    carve: Function,
    rebuild: Function,
    carve_seen: Function,
    store: Function,
    kind: type,
    form: Form,
    made_from: str,
) -> Function:
    """Return how a learner answers a tile of a session's queries, compiled.

    Parameters
    ----------
    build, carve, rebuild, carve_seen, store : callable
        See `mirror`: the learner from its numbers; arrays from words of memory; its
        state from them; what it sees of queries; and its state back into arrays.
    kind : type
        The learner's class, whose functions these are.
    form : Form
    made_from : str
        Hash of the learner's code.
    """
    look = looking(form, kind)
    learn = learning(form, kind)
    observe = observing(form, kind)
    chooses, draws, sees, _, _ = form

    def answer(space, tile, rule, key, begin, do, number):
        numbers, memory, layout, seen_memory, seen_layout, uniforms, p, session = space
        rewards, asked, falls, chosen, marks, shown = tile
        limit, patience = rule
        m = len(p)
        learner = build(numbers)
        arrays = carve(memory, layout)
        state = rebuild(arrays)
        best = session[BEST]
        if do == ANSWER:
            seen = carve_seen(seen_memory, seen_layout)[0]
            places = session[SHOWN:]
            followed = session[FOLLOWED]
            run = session[RUN]
            mark = session[MARK]
            place = 0
            for t in range(number):
                if sees:
                    observe(learner, state, seen, asked[t], places)
                    best = look(learner, state, uniforms, p)[0]
                if mark < len(marks) and marks[mark] == begin + t:
                    mark += 1
                    for j in range(m):
                        chance = p[j] if not chooses else np.float64(j == best)
                        shown[place + session[SHOWN + j]] = chance
                    place += m
                arm = best if chooses else fall(p, falls[t])
                if arm < 0 or arm >= m:
                    session[AT] = begin + t
                    return NO_LLM
                model = session[SHOWN + arm]
                chosen[t] = model
                reward = rewards[np.int64(asked[t]) * m + model]
                state = learn(learner, state, arm, reward)
                if draws:
                    answered = begin + t + 1
                    draw_row(uniforms, key, answered * len(uniforms), len(uniforms))
                best, top = look(learner, state, uniforms, p)
                run = run + 1 if best == followed else 0
                followed = best
                if top >= limit or run >= patience:
                    session[AT] = begin + t + 1
                    if best < 0 or best >= m:
                        return NO_LLM
                    session[LOCKED] = session[SHOWN + best]
                    break
            session[FOLLOWED] = followed
            session[RUN] = run
            session[MARK] = mark
        else:
            if do == LEARN:
                state = learn(learner, state, number, rewards[0])
            if draws:
                draw_row(uniforms, key, begin * len(uniforms), len(uniforms))
            best = look(learner, state, uniforms, p)[0]
        session[BEST] = best
        store(arrays, state)
        return FINE

    parts = build, carve, rebuild, carve_seen
    return kept(answer, [TEXTS[part] for part in parts], form, made_from, types=ANSWERS)


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
def record(shown, place, m, locked, recorded, moments, s, mark):
    """Record a session's chances at a checkpoint, or add them to its sums.

    Return whether they are probabilities, but for rounding.
    """
    total = 0.0
    least = 0.0
    for j in range(m):
        p = shown[place + j]
        total += p
        least = min(least, p)
        if len(recorded):
            recorded[s, mark, j] = p
        else:
            moments[mark, 0, j] += p
            moments[mark, 1, j] += p * p
            moments[mark, 2, j] += p if locked < 0 else np.float64(locked == j)
    return abs(total - 1.0) < 1e-6 and least >= 0.0


@kept
def keep(records, sums, chosen, asked, s, begin, n):
    """Copy a tile to where its session's results stand, or add it up."""
    choices, queries, _ = records
    outcomes, totals, counts, _ = sums
    if len(totals):
        m = counts.shape[1]
        add_up(asked, chosen, n, m, outcomes, totals[s])
        count_choices(chosen, n, m, counts[s])
        return
    for t in range(n):
        choices[s, begin + t] = chosen[t]
    if len(queries):
        for t in range(n):
            queries[s, begin + t] = asked[t]


# All sessions


def _array(kind: Any, axes: int, readonly: bool = False) -> Any:
    return numba.types.Array(kind, axes, "C", readonly=readonly)


_STREAMS = numba.types.Tuple(
    (_array(numba.int32, 2), U8, U8, _array(numba.int64, 2), I8)
)
_RECORDS = numba.types.Tuple(
    (_array(numba.int16, 2), _array(numba.int32, 2), _array(numba.float64, 3))
)
_SUMS = numba.types.Tuple(
    (
        _array(numba.float64, 2, readonly=True),
        _array(numba.float64, 2),
        _array(numba.int64, 2),
        _array(numba.float64, 3),
    )
)
_PLAYED = numba.types.UniTuple(numba.int64, 3)(
    numba.types.FunctionType(ANSWERS),
    numba.boolean,
    numba.types.Tuple((numba.int64, RULE)),
    SPACE,
    F8,
    numba.types.Tuple((READ, F8, I4, F8, I2, F8)),
    _STREAMS,
    _array(numba.int64, 2),
    _RECORDS,
    _SUMS,
)


@functools.cache
def loop() -> Function:
    """Return the loop over sessions and queries, compiled for all learners."""

    def sessions(
        answer,
        chooses,
        size,
        space,
        initial,
        scratch,
        streams,
        locks,
        records,
        sums,
    ):
        length, rule = size
        rewards, places, asked, falls, chosen, shown = scratch
        given, query_keys, choice_keys, pools, marks = streams
        memory = space[1]
        p = space[6]
        session = space[7]
        m = len(p)
        tile = (rewards, asked, falls, chosen, marks, shown)
        for s in range(len(choice_keys)):
            key = choice_keys[s]
            memory[:] = initial
            session[RUN] = 0
            session[LOCKED] = -1
            session[AT] = -1
            session[MARK] = 0
            session[SHOWN:] = pools[s]
            code = answer(space, tile, rule, key, 0, DRAW, 0)
            session[FOLLOWED] = session[BEST]
            for begin in range(0, length, TILE):
                n = min(TILE, length - begin)
                rows = len(rewards) // m
                ask(asked, places, given, query_keys[s], s, begin, n, rows)
                if not chooses:
                    draw_row(falls, key, begin, n)
                mark = session[MARK]
                open_until = 0
                if code == FINE and session[LOCKED] < 0:
                    code = answer(space, tile, rule, key, begin, ANSWER, n)
                    open_until = session[MARK]
                if code != FINE:
                    return code, s, session[AT]
                if session[LOCKED] >= 0:
                    for t in range(max(0, session[AT] - begin), n):
                        chosen[t] = session[LOCKED]
                place = 0
                # a checkpoint at the end of a tile belongs to the next one, if any
                end = begin + n + (begin + n == length)
                while mark < len(marks) and marks[mark] < end:
                    locked = -1
                    if mark >= open_until:
                        place = 0
                        locked = session[LOCKED]
                        for j in range(m):
                            certain = np.float64(j == session[BEST])
                            chance = certain if chooses else p[j]
                            shown[session[SHOWN + j]] = chance
                    if not record(
                        shown, place, m, locked, records[2], sums[3], s, mark
                    ):
                        return NO_LLM if chooses else NO_CHANCES, s, marks[mark]
                    place += m
                    mark += 1
                session[MARK] = mark
                keep(records, sums, chosen, asked, s, begin, n)
            locks[0, s] = session[AT]
            locks[1, s] = session[LOCKED]
        return FINE, 0, 0

    return kept(sessions, types=_PLAYED)


class Player:
    """A learner as the engine plays it.

    Parameters
    ----------
    plan : OneSession
    m : int
        Number of LLMs.
    """

    def __init__(self, plan: OneSession, m: int) -> None:
        self.plan = plan
        self.m = m
        build, self._numbers = mirror.mirror(plan.learner)
        self._initial, self._layout = mirror.laid_out(plan.arrays)
        self._seen = mirror.laid_out([plan.seen])
        self.answer = answering(
            build,
            mirror.carver(plan.arrays),
            mirror.rebuilder(plan.state),
            mirror.carver([plan.seen]),
            mirror.storer(plan.state, plan.form.returns),
            type(plan.learner),
            plan.form,
            plan.made_from,
        )

    def space(self) -> tuple[Array, ...]:
        """Return memory for one session, shown the pool as it is; see `SPACE`."""
        session = np.zeros(SHOWN + self.m, np.int64)
        session[SHOWN:] = np.arange(self.m)
        return (
            self._numbers,
            self._initial.copy(),
            self._layout,
            *self._seen,
            np.zeros(self.plan.uniforms),
            np.zeros(self.m),
            session,
        )

    def play(
        self,
        length: int,
        rewards: Array,
        streams: tuple[Array, ...],
        marks: Array,
        locks: Array,
        records: tuple[Array, ...],
        sums: tuple[Array, ...],
    ) -> None:
        """Play sessions, given where results go; safe under threads.

        Raises
        ------
        InputError
            The learner chose no LLM, showed no probabilities, or raised an exception.
        """
        plan = self.plan
        outcomes, *others = sums
        found = np.empty(locks.shape, np.int64)
        problem, session, answered = loop()(
            Passed(self.answer, ANSWERS),
            plan.form.chooses,
            (length, (float(plan.limit), plan.patience)),
            self.space(),
            self._initial,
            (_read_only(rewards), *_tile(self.m)),
            (*streams, marks),
            found,
            records,
            (_read_only(outcomes), *others),
        )
        locks[:] = found
        if problem != FINE:
            raise InputError(_problem(plan, problem, session, answered))


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _tile(m: int) -> tuple[Array, ...]:
    """Return memory for a tile.

    Places of queries, queries, draws, choices, and chances at checkpoints.
    """
    asked = np.zeros(TILE, np.int32)
    chosen = np.zeros(TILE, np.int16)
    shown = np.zeros((TILE + 1) * m)
    return np.zeros(TILE), asked, np.zeros(TILE), chosen, shown


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
    arrays : tuple of ndarray
        Those of its state.
    """

    def __init__(self, plan: OneSession, m: int, key: int = 0) -> None:
        player = Player(plan, m)
        self._chooses = plan.form.chooses
        self._answer = player.answer
        self._space = player.space()
        self._key = np.uint64(key)
        self.arrays = mirror.carved(self._space[1], plan.arrays)
        self.p = self._space[6]
        self._reward = np.zeros(1)
        _, asked, falls, chosen, shown = _tile(m)
        marks = np.zeros(0, np.int64)
        self._tile = _read_only(self._reward), asked, falls, chosen, marks, shown
        self.look(0)

    def look(self, answered: int) -> None:
        """Say what it would ask by the draws of the choice of that place."""
        self._do(answered, DRAW, 0)

    def learn(self, arm: int, reward: float, answered: int) -> None:
        """Learn from an answer, and look."""
        self._reward[0] = reward
        self._do(answered, LEARN, arm)

    def _do(self, answered: int, do: int, arm: int) -> None:
        rule = np.inf, NEVER
        self._answer(self._space, self._tile, rule, self._key, answered, do, arm)
        if self._chooses:
            self.p[:] = 0.0
            self.p[self._space[7][BEST]] = 1.0


def _problem(plan: OneSession, problem: int, session: int, answered: int) -> str:
    name = type(plan.learner).__name__
    if problem == RAISED:
        return (
            f"{name}: a function raised an exception, printed above, in session"
            f" {session}; replay with engine='numpy' shows where"
        )
    function = "choose" if plan.form.chooses else "probabilities"
    what = "gave no LLM of the pool"
    if problem == NO_CHANCES:
        what = "gave numbers that are negative or do not sum to 1"
    return (
        f"{name}: {function} {what} in session {session} after {answered} answers;"
        " pickllm.testing.check_learner says when"
    )
