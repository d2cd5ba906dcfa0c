"""Replay: sessions of queries from a trace, sent through a learner.

Query order and choices have separate streams of randomness, and each session has its
own, derived from (seed, session): every learner meets the same queries and the same
draws, so that comparisons are paired, and a result does not depend on the number of
workers.
"""

# joblib has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownLambdaType=false

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .compiled import play_compiled, runs_compiled
from .locking import LockRule
from .one_session import OverSessions, is_one_session, uniforms_of
from .prepared import Played, Prepared, prepare
from .protocols import Floats, Integers, QueryOrder, is_control, sees_models
from .reward import Reward
from .sessions import Sessions
from .state import rows_of
from .trace import Trace


def replay(  # noqa: PLR0913 a public name whose parameters are fixed
    trace: Trace,
    reward: Reward,
    learner: object,
    *,
    sessions: int = 1000,
    queries: int = 1000,
    seed: int = 0,
    order: str | QueryOrder = "bootstrap",
    lock: bool | LockRule | None = True,
    checkpoints: int | Sequence[int] = 100,
    first: int = 0,
    n_jobs: int = 1,
    engine: str = "auto",
    ties: str = "random",
) -> Sessions:
    """Send sessions of queries from a trace through a learner.

    Parameters
    ----------
    trace : Trace
        A session draws its queries from all of it: select one context first, as the
        paper does.
    reward : Reward
        Its bounds, unless set, are declared by the trace's limits.
    learner : Learner, OneSession or Control
        See `protocols` and `one_session`.
    sessions, queries : int
        Number of sessions, and of queries in each, > 0.
    seed : int
        In [0, 2**63). Query order and choices derive from (seed, session) alone.
    order : {"bootstrap", "shuffle"} or QueryOrder
        Queries drawn with replacement, or each at most once; or an order of one's own
        (see `beyond.scenarios`).
    lock : bool or LockRule
        Whether a session that has converged stays with its LLM; by the learner's own
        rule, or this one.
    checkpoints : int or sequence of int
        How many points of the session to record probabilities at, or which.
    first : int
        Number of the first session, >= 0: sessions 0 to 9, then 10 to 19, are those of
        0 to 19.
    n_jobs : int
        Workers, as in joblib; the result is the same for any.
    engine : {"auto", "numpy", "compiled"}
        NumPy's loop, or the same compiled by numba, to the last bit; by default
        compiled where it pays: for the paper's learners and lock rules, in runs that
        are not small.
    ties : {"random", "first"}
        Each session is shown the pool in an order of its own, drawn from a stream of
        its own, so that the LLM that a learner takes among equal ones is no matter of
        how the pool is listed; or as it is listed, so that ties go to the first LLM.

    Returns
    -------
    Sessions

    Raises
    ------
    InputError

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    >>> automaton = pk.LinearRewardInaction(0.3)
    >>> s = pk.replay(trace, pk.Reward(), automaton, sessions=20, queries=200, seed=1)
    >>> s.choices.shape, int((s.locked_at >= 0).sum()) > 10
    ((20, 200), True)
    """
    prepared = prepare(
        trace,
        reward,
        learner,
        sessions=sessions,
        queries=queries,
        seed=seed,
        order=order,
        lock=lock,
        checkpoints=checkpoints,
        first=first,
        ties=ties,
    )
    if runs_compiled(prepared, engine):
        played = play_compiled(prepared, n_jobs)
    else:
        played = _play_in_threads(prepared, n_jobs)
    return Sessions.of(prepared, played, engine)


def _play_in_threads(prepared: Prepared, n_jobs: int) -> Played:
    """Return what the sessions chose, each thread taking a block of them."""
    if n_jobs == 1:
        return play(prepared)
    import joblib

    workers = min(len(prepared.sessions), joblib.effective_n_jobs(n_jobs))
    parts = joblib.Parallel(n_jobs=n_jobs, prefer="threads")(
        joblib.delayed(play)(part) for part in prepared.parts(workers)
    )
    return Played(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def play(prepared: Prepared) -> Played:
    """Return what every session chose: the paper's algorithm, sessions side by side.

    A query goes to the learner; the learner asks one LLM of the pool and sees only that
    one's reward, which teaches it, until the session is locked to one LLM.
    """
    if is_control(prepared.learner):
        return _play_control(prepared, prepared.learner)
    running = _Running(prepared)
    for answered in range(prepared.queries):
        query = running.next_query(answered)
        running.record(answered)
        place, model = running.choose(answered)
        running.learn(place, prepared.unit[query, model], answered + 1)
        running.lock_converged(answered + 1)
        if not len(running.active):
            break
    running.record_rest()
    return running.played


class _Running:
    """Sessions on their way: `active` ones still learn, a locked one leaves.

    The learner knows LLMs by their places in the pool as each session is shown it.
    """

    def __init__(self, prepared: Prepared) -> None:
        n_sessions = len(prepared.sessions)
        shape = n_sessions, prepared.n_models
        learner: Any = prepared.learner
        self.prepared = prepared
        self.chooses = is_one_session(learner) and hasattr(learner, "choose")
        self.uniforms = uniforms_of(learner, prepared.n_models)
        self.learner = OverSessions(learner) if is_one_session(learner) else learner
        self.rule = prepared.rule
        self.draws = prepared.draws()
        self.active = np.arange(n_sessions)
        self.state = self.learner.start(*shape)
        self.p = _checked(self.chances(0), shape, learner)
        self.watch = self.rule.start(self.p) if self.rule else None
        self.last = self.p.copy()
        self.marks = prepared.checkpoints.tolist()
        self.recorded = 0
        self.played = Played.empty(prepared)

    def chances(self, answered: int) -> Floats:
        """Return each LLM's chance to be asked next by each active session."""
        if not self.chooses:
            return self.learner.probabilities(self.state)
        draws = self.prepared.own_draws(self.active, answered, self.uniforms)
        return certain(self.learner.choose(self.state, draws), self.prepared.n_models)

    def next_query(self, answered: int) -> Integers:
        """Return each active session's next query, shown to a learner that looks."""
        query = self.played.queries[self.active, answered]
        if self.prepared.seen is not None:
            self.state = self.learner.observe(self.state, self.seen(query))
            self.p = self.chances(answered)
        return query

    def seen(self, query: Integers) -> Any:
        """Return what the learner sees of the queries of active sessions."""
        assert self.prepared.seen is not None
        seen = self.prepared.seen[query]
        if not sees_models(self.prepared.learner):
            return seen
        places = self.prepared.shown[self.active]
        axes = tuple(range(1, seen.ndim - 1))
        return np.take_along_axis(seen, np.expand_dims(places, axes), axis=-1)

    def record(self, answered: int) -> None:
        """Record the probabilities if this is a checkpoint."""
        if self.recorded < len(self.marks) and self.marks[self.recorded] == answered:
            self.last[self.active] = self.p
            self.played.probabilities[:, self.recorded] = self.of_models(self.last)
            self.recorded += 1

    def record_rest(self) -> None:
        """Record the checkpoints that are left, which no answer can change any more."""
        self.last[self.active] = self.p
        self.played.probabilities[:, self.recorded :] = self.of_models(self.last)[
            :, None
        ]

    def of_models(self, places: Floats) -> Floats:
        """Return what stands at each session's places by the LLMs of the pool."""
        models = np.empty_like(places)
        np.put_along_axis(models, self.prepared.shown, places, axis=1)
        return models

    def choose(self, answered: int) -> tuple[Integers, Integers]:
        """Return the place that each active session asks, and the LLM there."""
        place = choose(self.p, self.draws[self.active, answered])
        model = self.prepared.shown[self.active, place]
        self.played.choices[self.active, answered] = model
        return place, model

    def learn(self, place: Integers, reward: Floats, answered: int) -> None:
        """Teach each active session the reward of the one answer that it saw."""
        self.state = self.learner.update(self.state, place, reward)
        self.p = self.chances(answered)

    def lock_converged(self, answered: int) -> None:
        """Send all further queries of sessions that have converged to their LLM."""
        if self.rule is None:
            return
        self.watch, locked = self.rule.step(self.watch, self.p)
        if not locked.any():
            return
        done = self.active[locked]
        model = self.prepared.shown[done, self.p[locked].argmax(axis=1)]
        self.played.locked_at[done] = answered
        self.played.locked_model[done] = model
        self.played.choices[done, answered:] = model[:, None]
        self.last[done] = self.p[locked]
        self._keep(~locked)

    def _keep(self, rows: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> None:
        self.active = self.active[rows]
        self.p = self.p[rows]
        self.state = rows_of(self.state, rows)
        self.watch = rows_of(self.watch, rows)


def _play_control(prepared: Prepared, control: Any) -> Played:
    """Return what a control chose, which depends on the query alone."""
    played = Played.empty(prepared)
    chosen = control.choose(prepared.raw)
    played.choices[:] = chosen[played.queries]
    shares = np.bincount(chosen, minlength=prepared.n_models) / len(chosen)
    played.probabilities[:] = shares
    return played


def choose(p: Floats, u: Floats) -> Integers:
    """Return the LLM that a draw falls on.

    It is the first whose cumulative chance exceeds the draw.

    Parameters
    ----------
    p : ndarray, (n_sessions, n_models)
    u : ndarray, (n_sessions,)
        In [0, 1).

    Examples
    --------
    >>> choose(np.array([[0.25, 0.75], [0.25, 0.75]]), np.array([0.2, 0.25]))
    array([0, 1])
    """
    n_models = p.shape[1]
    model = (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)
    past = model == n_models  # rounding left the sum short of u
    if past.any():  # then the last LLM that can be chosen
        model[past] = n_models - 1 - (p[past, ::-1] > 0).argmax(axis=1)
    return model


def certain(arm: Integers, n_models: int) -> Floats:
    """Return probability 1 for one LLM a session, (n_sessions, n_models).

    Raises
    ------
    InputError
        It is none of the pool.
    """
    wrong = (arm < 0) | (arm >= n_models)
    if wrong.any():
        raise InputError(
            f"replay: choose must give an LLM in [0, {n_models - 1}], got"
            f" {arm[wrong][0]}; pickllm.testing.check_learner says when"
        )
    return np.eye(n_models)[arm]


def _checked(p: object, shape: tuple[int, int], learner: object) -> Floats:
    """Return a learner's first probabilities, if they are some."""
    p = np.asarray(p)
    name = type(learner).__name__
    if p.shape != shape:
        raise InputError(
            f"{name}: probabilities must have shape {shape}, got {p.shape}; one row a"
            " session"
        )
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(axis=1), 1)):
        raise InputError(
            f"{name}: probabilities must be >= 0 and sum to 1, got {p[0]}; normalise"
            " them"
        )
    return p
