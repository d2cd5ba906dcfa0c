"""Sessions: the one loop that sends queries through a learner (`replay`), and what comes of it.

This module owns all randomness. Query order and choices have separate streams, and each session has
its own, derived from (seed, session): every learner meets the same queries and the same uniform
draws, so comparisons are paired, and a result does not depend on the number of workers.
"""

from dataclasses import dataclass, field

import numpy as np

from ..engine import streams
from ..errors import InputError, nearest
from .learners import LinearRewardInaction, QLearning, UniformRandom
from .locking import GreedyUnchanged, MaxProbability

ORDERS = ("bootstrap", "shuffle")
ENGINES = ("auto", "numpy", "compiled")

#: What `kernels` compiles; a subclass may mean anything and stays with NumPy.
KERNELS = (
    (LinearRewardInaction, QLearning, UniformRandom),
    (
        MaxProbability,
        GreedyUnchanged,
    ),
)
#: Decisions above which 'auto' compiles: about what NumPy does while numba is loaded.
WORTHWHILE = 200_000


@dataclass(frozen=True, eq=False)
class Sessions:
    """What a number of sessions chose; everything else is looked up in the trace.

    Attributes
    ----------
    trace : Trace
    reward : Reward
        With the bounds that the learner saw.
    learner : object
        As bound to the trace.
    choices : ndarray of int, (n_sessions, n_queries)
        Position in `trace.models` of the LLM that each query went to.
    queries : ndarray of int, (n_sessions, n_queries)
        Position in the trace of each query.
    checkpoints : ndarray of int, (n_checkpoints,)
        Numbers of answered queries at which probabilities were recorded; the first is
        0.
    probabilities : ndarray, (n_sessions, n_checkpoints, n_models)
        The learner's selection probabilities; after a lock its frozen state's.
    locked_at : ndarray of int, (n_sessions,)
        Queries answered when the session locked; -1 = never (censored at the session's
        end).
    locked_model : ndarray of int, (n_sessions,)
        Position of the LLM it locked on; -1 = never.
    """

    trace: object
    reward: object
    learner: object
    choices: np.ndarray
    queries: np.ndarray
    checkpoints: np.ndarray
    probabilities: np.ndarray
    locked_at: np.ndarray
    locked_model: np.ndarray
    first_session: int = field(default=0, repr=False)
    engine: str = field(default="auto", repr=False)

    def outcome(self, name):
        """Return an outcome of each query as answered: 'accuracy', 'cost_usd', 'latency_ms' or 'reward' (raw).

        Returns
        -------
        ndarray of float, (n_sessions, n_queries)
        """
        return self._table(name)[self.queries, self.choices]

    def _table(self, name):
        t = self.trace
        return (
            self.reward.raw(t.accuracy, t.cost_usd, t.latency_ms)
            if name == "reward"
            else getattr(t, name)
        )

    @property
    def best(self):
        """Position of the LLM with the highest mean raw reward over the trace."""
        return int(self._table("reward").mean(axis=0).argmax())

    def selection(self):
        """Probabilities at the checkpoints with each locked session on its LLM alone, as it then routes."""
        p = self.probabilities.copy()
        locked = (self.locked_at >= 0)[:, None] & (
            self.checkpoints >= np.maximum(self.locked_at, 0)[:, None]
        )
        p[locked] = np.eye(p.shape[-1])[self.locked_model[np.nonzero(locked)[0]]]
        return p

    def table(self):
        """One row per session.

        Returns
        -------
        pandas.DataFrame
            ``session``; ``cost_usd`` (sum), ``latency_ms`` (mean), ``accuracy`` (mean),
            ``reward`` (mean raw), ``regret`` (sum of raw reward lost against always
            asking the best LLM, same queries), ``clipped`` (share of rewards outside
            the bounds), ``locked_at`` (-1 = never), ``locked_model`` (name or NA),
            ``locked_on_best`` (bool or NA), ``top_model`` and ``top_share`` (the LLM
            asked most and its share of queries), ``exploration_usd`` and
            ``exploration_ms`` (sums: what the session paid and waited beyond sending
            the same queries to the LLM it locked on, or to its top LLM; may be
            negative), and the share of each LLM as ``share:<model>``.
        """
        import pandas as pd

        models, locked, n = (
            np.array(self.trace.models, dtype=object),
            self.locked_at >= 0,
            self.choices.shape[1],
        )
        counts, sums, extra = self._tally()
        columns = {
            "session": np.arange(
                self.first_session, self.first_session + len(self.choices)
            ),
            "cost_usd": sums[:, 0],
            "latency_ms": sums[:, 1] / n,
            "accuracy": sums[:, 2] / n,
            "reward": sums[:, 3] / n,
            "regret": sums[:, 4],
            "clipped": sums[:, 5] / n,
            "locked_at": self.locked_at,
            "locked_model": pd.array(
                np.where(locked, models[self.locked_model], None), dtype="string"
            ),
            "locked_on_best": pd.array(
                np.where(locked, self.locked_model == self.best, None), dtype="boolean"
            ),
            "top_model": models[counts.argmax(axis=1)],
            "top_share": counts.max(axis=1) / n,
            "exploration_usd": extra[:, 0],
            "exploration_ms": extra[:, 1],
        }
        return pd.DataFrame(
            columns | {f"share:{m}": counts[:, j] / n for j, m in enumerate(models)}
        )

    def _tally(self):
        """Return counts and sums of each session (see `tally`), by the engine that is quicker; the bits are the same."""
        table = outcome_table(self.trace, self.reward)
        if self.engine == "compiled" or (
            self.engine == "auto" and self.choices.size >= WORTHWHILE
        ):
            from ..engine import kernels

            return kernels.tally(self.queries, self.choices, table, self.locked_model)
        return tally(self.queries, self.choices, table, self.locked_model)


def outcome_table(trace, reward):
    """Return what each answer adds to its session's sums, (n_queries, n_models, 6).

    US dollars, milliseconds, accuracy, raw reward, regret (raw reward lost against the
    LLM that is best on average, on the same query), and whether the raw reward lies
    outside the bounds.
    """
    t = trace
    raw = reward.raw(t.accuracy, t.cost_usd, t.latency_ms)
    regret = raw[:, [raw.mean(axis=0).argmax()]] - raw
    return np.stack(
        [
            t.cost_usd,
            t.latency_ms,
            t.accuracy,
            raw,
            regret,
            reward.clipped(t.accuracy, t.cost_usd, t.latency_ms),
        ],
        axis=-1,
    )


def tally(queries, choices, table, locked_model):
    """Return counts and sums of each session, added up query after query so that every engine rounds alike.

    Parameters
    ----------
    queries, choices : ndarray of int, (n_sessions, n_queries)
    table : ndarray, (n_queries, n_models, 6)
        See `outcome_table`.
    locked_model : ndarray of int, (n_sessions,)

    Returns
    -------
    counts : ndarray of int, (n_sessions, n_models)
        Queries sent to each LLM.
    sums : ndarray, (n_sessions, 6)
    extra : ndarray, (n_sessions, 2)
        Cost and latency beyond those of the LLM locked on, or else asked most, on the same queries.
    """
    counts = np.stack(
        [(choices == j).sum(axis=1) for j in range(table.shape[1])], axis=1
    )
    final = np.where(locked_model >= 0, locked_model, counts.argmax(axis=1))
    sums, extra = np.zeros((len(choices), 6)), np.zeros((len(choices), 2))
    for asked, chosen in zip(queries.T, choices.T, strict=True):
        outcome = table[asked, chosen]
        sums += outcome
        extra += outcome[:, :2] - table[asked, final, :2]
    return counts, sums, extra


def replay(
    trace,
    reward,
    learner,
    *,
    sessions=1000,
    queries=1000,
    seed=0,
    order="bootstrap",
    lock=True,
    checkpoints=100,
    first=0,
    n_jobs=1,
    engine="auto",
):
    """Send sessions of queries from a trace through a learner.

    Parameters
    ----------
    trace : Trace
        A session draws its queries from all of it: select one context first, as the
        paper does.
    reward : Reward
        Its bounds, unless set, are declared by the trace's limits.
    learner : object
        See `learners`; controls are learners too.
    sessions, queries : int
        Number of sessions, and of queries in each, > 0.
    seed : int
        In [0, 2**63). Query order and choices derive from (seed, session) alone.
    order : {"bootstrap", "shuffle"} or Schedule
        Queries drawn with replacement, or each at most once; or phase by phase (see
        `scenarios`).
    lock : bool or lock rule
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
        compiled where it pays: for this package's learners and lock rules, in runs that
        are not small.

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
    >>> s = replay(trace, pk.Reward(), pk.LinearRewardInaction(0.3), sessions=20, queries=200, seed=1)
    >>> s.choices.shape, int((s.locked_at >= 0).sum()) > 10
    ((20, 200), True)
    """
    marks = checked(trace, sessions, queries, seed, order, checkpoints, first)
    reward, learner, rule = bound(trace, reward, learner, lock)
    raw = reward.raw(trace.accuracy, trace.cost_usd, trace.latency_ms)
    unit = reward.unit(trace.accuracy, trace.cost_usd, trace.latency_ms)
    block = slice(first, first + sessions)
    if runs_compiled(engine, learner, rule, order, sessions * queries):
        from ..engine import kernels
        from .compiled import setting

        parts = [
            kernels.replay(
                unit,
                setting(learner, rule, unit.shape[1]),
                block,
                queries,
                seed,
                order,
                marks,
                n_jobs,
            )
        ]
    else:
        seen = learner.describe(trace) if hasattr(learner, "describe") else None
        parts = _in_numpy(
            raw, unit, seen, learner, rule, block, queries, seed, order, marks, n_jobs
        )
    choices, order_, probabilities, locked_at, locked_model = (
        np.concatenate(p) if len(p) > 1 else p[0] for p in zip(*parts, strict=True)
    )
    return Sessions(
        trace,
        reward,
        learner,
        choices,
        order_,
        marks,
        probabilities,
        locked_at,
        locked_model,
        first,
        engine,
    )


def checked(trace, sessions, queries, seed, order, checkpoints, first=0):
    """Return the checkpoints of a replay whose other numbers obey their rules."""
    (
        _whole("sessions", sessions),
        _whole("queries", queries),
        _whole("first", first, least=0),
    )
    streams.keys(seed, first, streams.QUERY)
    if not hasattr(order, "place") and order not in ORDERS:
        raise InputError(f"replay: unknown order {order!r}; {nearest(order, ORDERS)}")
    if order == "shuffle" and queries > trace.n_queries:
        raise InputError(
            "replay: order 'shuffle' uses each query once, so queries must be <="
            f" {trace.n_queries}, got {queries}; shorten the session or use"
            " order='bootstrap'"
        )
    return checkpoint_marks(checkpoints, queries)


def bound(trace, reward, learner, lock=True):
    """Return the reward with the trace's bounds, the learner as the pool makes it, and the lock rule (None = never)."""
    if not (lock is None or isinstance(lock, bool) or hasattr(lock, "step")):
        raise InputError(
            f"replay: lock must be True, False or a lock rule, got {lock!r};"
            " MaxProbability(0.99) for instance"
        )
    reward = reward.within(trace.limits)
    learner = learner.bind(trace, reward) if hasattr(learner, "bind") else learner
    return (
        reward,
        learner,
        (
            getattr(learner, "lock_rule", MaxProbability())
            if lock is True
            else (lock or None)
        ),
    )


def runs_compiled(engine, learner, rule, order, decisions):
    """Whether sessions of so many decisions run compiled."""
    if engine not in ENGINES:
        raise InputError(
            f"replay: unknown engine {engine!r}; {nearest(engine, ENGINES)}"
        )
    learners, rules = KERNELS
    plain = all(
        isinstance(value, (int, float))
        for value in getattr(learner, "__dict__", {}).values()
    )
    known = (
        type(learner) in learners
        and plain
        and (rule is None or type(rule) in rules)
        and not hasattr(order, "place")
    )
    if engine == "compiled" and not known:
        what = type(learner).__name__ + (
            f" with {type(rule).__name__}" if rule is not None else ""
        )
        what += " in phases" if hasattr(order, "place") else ""
        raise InputError(
            f"replay: no compiled loop for {what}, only for"
            f" {', '.join(k.__name__ for k in sum(KERNELS, ()))}; use engine='auto'"
        )
    return known and (
        engine == "compiled" or (engine == "auto" and decisions >= WORTHWHILE)
    )


def _in_numpy(
    raw, unit, seen, learner, rule, block, queries, seed, order, marks, n_jobs
):
    """Return what `_block` returns, for each of some blocks of sessions."""
    numbers = np.arange(block.start, block.stop)
    blocks = np.array_split(numbers, _n_blocks(n_jobs, len(numbers)))
    run = lambda block: _block(
        raw, unit, seen, learner, rule, block, queries, seed, order, marks
    )
    if len(blocks) == 1:
        return [run(blocks[0])]
    import joblib

    return joblib.Parallel(n_jobs=n_jobs, prefer="threads")(
        joblib.delayed(run)(block) for block in blocks
    )


def _block(raw, unit, seen, learner, rule, block, queries, seed, order, marks):
    """Return some sessions, all at once: the loop itself."""
    n, m = len(block), unit.shape[1]
    drawn = query_order(len(unit), block, queries, seed, order)
    if hasattr(learner, "choose"):  # a control whose choice depends on the query alone
        never, chosen = np.full(n, -1), learner.choose(raw)
        shown = np.tile(
            np.bincount(chosen, minlength=m) / len(chosen), (n, len(marks), 1)
        )
        return chosen[drawn].astype(np.int16), drawn, shown, never, never
    uniform = streams.uniforms(
        streams.keys(seed, block, streams.CHOICE), np.arange(queries)
    )
    choices = np.empty((n, queries), dtype=np.int16)
    recorded = np.empty((n, len(marks), m))
    locked_at, locked_model = np.full(n, -1), np.full(n, -1)

    active = np.arange(
        n
    )  # the sessions that still learn; a locked one is frozen and leaves
    state = learner.start(n, m)
    p = _checked(learner.probabilities(state), n, m, learner)
    watch = rule.start(p) if rule else None
    last = p.copy()
    mark = dict(zip(marks.tolist(), range(len(marks)), strict=True))
    for t in range(queries):
        if seen is not None and len(
            active
        ):  # a learner that looks at the query before it chooses
            state = learner.observe(state, seen[drawn[active, t]])
            p = learner.probabilities(state)
        if t in mark:
            last[active] = p
            recorded[:, mark[t]] = last
        if not len(active):
            continue
        arm = choose(p, uniform[active, t])
        choices[active, t] = arm
        state = learner.update(state, arm, unit[drawn[active, t], arm])
        p = learner.probabilities(state)
        if rule is None:
            continue
        watch, locked = rule.step(watch, p)
        if locked.any():
            done = active[locked]
            locked_at[done], locked_model[done] = t + 1, p[locked].argmax(axis=1)
            choices[done, t + 1 :] = locked_model[done, None]
            last[done] = p[locked]
            stay = ~locked
            active, state, p, watch = (
                active[stay],
                _rows(state, stay),
                p[stay],
                watch[stay],
            )
    if queries in mark:
        last[active] = p
        recorded[:, mark[queries]] = last
    return choices, drawn, recorded, locked_at, locked_model


def choose(p, u):
    """Return the LLM that a uniform draw falls on: the first whose cumulative probability exceeds it.

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
    below = (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)
    past = (
        below == p.shape[1]
    )  # rounding left the sum short of u: the last LLM that can be chosen
    if past.any():
        below[past] = p.shape[1] - 1 - (p[past, ::-1] > 0).argmax(axis=1)
    return below


def query_order(n, block, queries, seed, order):
    """Positions of each session's queries among n, (n_sessions, queries), from their own stream."""
    u = streams.uniforms(streams.keys(seed, block, streams.QUERY), np.arange(queries))
    if hasattr(order, "place"):
        return order.place(u)
    if order == "bootstrap":
        return (u * n).astype(np.int32)
    deck = np.tile(
        np.arange(n, dtype=np.int32), (len(block), 1)
    )  # Fisher and Yates, one swap a query
    rows = np.arange(len(block))
    for t in range(queries):
        other = t + (u[:, t] * (n - t)).astype(np.int64)
        deck[rows, t], deck[rows, other] = deck[rows, other], deck[rows, t]
    return deck[:, :queries].copy()


def _rows(state, keep):
    """Return the rows of a state, which is an array or a (named) tuple of them."""
    if isinstance(state, tuple):
        parts = [_rows(part, keep) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state[keep]


def _checked(p, n, m, learner):
    p = np.asarray(p)
    if p.shape != (n, m):
        raise InputError(
            f"{type(learner).__name__}: probabilities must have shape ({n}, {m}), got"
            f" {p.shape}; one row a session"
        )
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(axis=1), 1)):
        raise InputError(
            f"{type(learner).__name__}: probabilities must be >= 0 and sum to 1, got"
            f" {p[0]}; normalise them"
        )
    return p


def _whole(name, value, least=1):
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or value < least
    ):
        raise InputError(
            f"replay: {name} must be a whole number >= {least}, got {value!r};"
            " choose one"
        )
    return int(value)


def checkpoint_marks(checkpoints, queries):
    """Numbers of answered queries to record probabilities at, from how many or which."""
    if np.ndim(checkpoints) == 0:
        count = min(_whole("checkpoints", checkpoints), queries + 1)
        return np.unique(np.linspace(0, queries, count).round().astype(np.int64))
    marks = np.unique(np.asarray(checkpoints, dtype=np.int64))
    if not len(marks) or marks[0] < 0 or marks[-1] > queries:
        raise InputError(
            f"replay: checkpoints must lie in [0, {queries}], got"
            f" {list(checkpoints)[:5]}; count answered queries"
        )
    return marks


def _n_blocks(n_jobs, sessions):
    if n_jobs == 1:
        return 1
    import joblib

    return min(sessions, joblib.effective_n_jobs(n_jobs))
