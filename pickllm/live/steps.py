"""One session of a learner, answer by answer: what a live router stands on.

A learner for one session is compiled, or runs in Python; one over a session axis runs
with a single row. States are saved over a session axis, whichever it is.
"""

# a state may be any array, or tuple of them:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from typing import Any

import numpy as np

from ..core.compiled import RULES, alone, has_own_loop, limits_of, what_stops
from ..core.locking import GreedyUnchanged, LockRule
from ..core.one_session import as_one_session, is_one_session, uniforms_of
from ..core.state import State, map_state
from ..engine import streams


class Rows:
    """A learner over a session axis, with one row.

    Attributes
    ----------
    p : list of float
        Each LLM's chance at the next query.
    draws : bool
        Whether the learner draws for each choice itself.
    """

    draws = False

    def __init__(self, learner: Any, n_models: int) -> None:
        self._learner = learner
        self.state: State = learner.start(1, n_models)
        self.look(0)

    def look(self, answered: int) -> None:
        """Work out `p` for the choice of that place in the stream of draws."""
        self.p: list[float] = self._learner.probabilities(self.state)[0].tolist()

    def learn(self, arm: int, reward: float, answered: int) -> None:
        """Learn from one answer, and look."""
        arms, rewards = np.array([arm]), np.array([reward])
        self.state = self._learner.update(self.state, arms, rewards)
        self.look(answered)


class InPython:
    """A learner for one session, as it is written; attributes as of `Rows`."""

    def __init__(self, learner: Any, n_models: int, key: int) -> None:
        self._learner = learner
        self._chooses = hasattr(learner, "choose")
        self._uniforms = uniforms_of(learner, n_models)
        self.draws = self._uniforms > 0
        self._key = key
        self._own: State = learner.start(n_models)
        self._nobody = [0.0] * n_models
        self.look(0)

    def look(self, answered: int) -> None:
        """Work out `p` for the choice of that place in the stream of draws."""
        if not self._chooses:
            self.p = self._learner.probabilities(self._own).tolist()
            return
        draws: tuple[Any, ...] = ()
        if self._uniforms:
            first = answered * self._uniforms
            steps = range(first, first + self._uniforms)
            draws = (np.array([streams.uniform(self._key, step) for step in steps]),)
        self.p = self._nobody.copy()
        self.p[self._learner.choose(self._own, *draws)] = 1.0

    def learn(self, arm: int, reward: float, answered: int) -> None:
        """Learn from one answer, and look."""
        returned = self._learner.update(self._own, arm, reward)
        if returned is not None:
            self._own = returned
        self.look(answered)

    @property
    def state(self) -> State:
        """Its state over a session axis."""
        return map_state(lambda array: array[None].copy(), self._own)

    @state.setter
    def state(self, rows: State) -> None:
        self._own = map_state(lambda array: array[0].copy(), rows)


class PapersInPython(InPython):
    """One of the paper's learners, whose state over a session axis is an array."""

    @property
    def state(self) -> State:
        """Its state over a session axis."""
        return self._first()[None].copy()

    @state.setter
    def state(self, rows: State) -> None:
        self._first()[:] = rows[0]

    def _first(self) -> Any:
        return self._own[0] if isinstance(self._own, tuple) else self._own


class Compiled:
    """A learner for one session, compiled; attributes as of `Rows`."""

    def __init__(self, learner: Any, n_models: int, key: int) -> None:
        from ..engine.general import Live

        plan = alone(learner, None, n_models)
        self._form = plan.state
        self.draws = plan.form.draws
        self._live = Live(plan, n_models, key)
        self.p = self._live.p.tolist()

    def look(self, answered: int) -> None:
        """Work out `p` for the choice of that place in the stream of draws."""
        self._live.look(answered)
        self.p = self._live.p.tolist()

    def learn(self, arm: int, reward: float, answered: int) -> None:
        """Learn from one answer, and look."""
        self._live.learn(arm, reward, answered)
        self.p = self._live.p.tolist()

    @property
    def state(self) -> State:
        """Its state over a session axis."""
        arrays = iter(self._live.arrays)
        return map_state(lambda _: next(arrays)[None].copy(), self._form)

    @state.setter
    def state(self, rows: State) -> None:
        arrays = iter(self._live.arrays)

        def put(row: Any) -> None:
            next(arrays)[...] = row[0]

        map_state(put, rows)


class Fixed:
    """A fixed choice: nothing is learned; attributes as of `Rows`."""

    draws = False

    def __init__(self, index: int, n_models: int) -> None:
        self.state: State = np.eye(n_models)[[index]]
        self.p = self.state[0].tolist()

    def look(self, answered: int) -> None:
        """Change nothing."""

    def learn(self, arm: int, reward: float, answered: int) -> None:
        """Change nothing."""


Steps = Rows | InPython | Compiled | Fixed


def steps_of(learner: Any, n_models: int, key: int) -> Steps:
    """Return a session of a learner, by the quickest road that it has.

    Parameters
    ----------
    learner : Learner or OneSession
    n_models : int
    key : int
        Of the stream of its choices.
    """
    if has_own_loop(learner):
        return PapersInPython(as_one_session(learner), n_models, key)
    if not is_one_session(learner):
        return Rows(learner, n_models)
    if what_stops(learner, n_models):
        return InPython(learner, n_models, key)
    return Compiled(learner, n_models, key)


class Watch:
    """A lock rule over one session."""

    def __init__(self, rule: LockRule | None, p: list[float]) -> None:
        self._rule = rule
        self._known = rule is None or type(rule) in RULES
        self._limit, self._patience = limits_of(rule)
        self._run = 0
        self._best = p.index(max(p))
        self._state: State = None if rule is None else rule.start(np.array([p]))

    def step(self, p: list[float]) -> bool:
        """Follow one more answer; return whether the session has converged."""
        if self._rule is None:
            return False
        if not self._known:
            self._state, locked = self._rule.step(self._state, np.array([p]))
            return bool(locked[0])
        top = max(p)
        best = p.index(top)
        self._run = self._run + 1 if best == self._best else 0
        self._best = best
        return top >= self._limit or self._run >= self._patience

    @property
    def state(self) -> State:
        """The rule's state over a session axis."""
        if isinstance(self._rule, GreedyUnchanged):
            return np.array([[self._best, self._run]])
        return self._state

    @state.setter
    def state(self, rows: State) -> None:
        self._state = rows
        if isinstance(self._rule, GreedyUnchanged):
            self._best, self._run = rows[0].tolist()
