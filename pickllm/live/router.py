"""The live router: the same learners, one session, real outcomes as they arrive.

For the same seed, session and outcomes it picks and locks exactly as `replay` does: the
choice of query t uses the uniform draw (seed, session, CHOICE, t), the learner is shown
the pool in the order of (seed, session, POOL), and feedback changes the state only
while the session has not locked. Feedback may arrive late, out of order, or never: the
next pick uses what is known by then.
"""

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..core.learners import Always
from ..core.pool import Limits, default_limits
from ..core.prepared import require_ties
from ..core.protocols import is_control, lock_rule_of
from ..core.reward import Reward
from ..engine import streams
from ..errors import InputError, nearest
from ..files import write_json
from .saved import (
    FORMAT,
    from_json,
    read_state,
    state_from_json,
    state_to_json,
    to_json,
)
from .steps import Fixed, Steps, Watch, steps_of

NUMBERS = (int, float, np.number)


class Router:
    """Routes the queries of one session between LLMs, and learns from feedback.

    Safe under threads.

    Parameters
    ----------
    models : sequence of str
        The pool.
    learner : object
        See `learners`.
    reward : Reward
    seed : int
    session : int
        The session's number: routers of one seed with other numbers draw independently.
    lock : bool or lock rule
        As in `replay`.
    limits : Limits, optional
        Declared for the pool; by default those of the study's main pool.
    ties : {"random", "first"}
        As in `replay`.

    Raises
    ------
    InputError
        An LLM that stands twice, or a learner that needs what is not known live.

    Examples
    --------
    >>> import pickllm as pk
    >>> router = Router(["a", "b"], pk.LinearRewardInaction(0.5), pk.Reward(), seed=0)
    >>> model = router.pick()
    >>> router.update(model, accuracy=1.0, cost_usd=2e-4, latency_ms=640.0)
    >>> router.probabilities[model] > 0.5
    True
    """

    def __init__(  # noqa: PLR0913 - as `replay` has them
        self,
        models: Iterable[str],
        learner: Any,
        reward: Reward,
        *,
        seed: int = 0,
        session: int = 0,
        lock: Any = True,
        limits: Limits | None = None,
        ties: str = "random",
    ):
        self.models = tuple(str(model) for model in models)
        if not self.models or len(set(self.models)) != len(self.models):
            raise InputError(
                f"Router: models must name each LLM once, got {list(self.models)};"
                " leave out the repeats"
            )
        self.learner = _live_learner(learner, self.models, reward)
        declared: Any = limits or reward.limits or default_limits()
        self.limits: Limits = declared
        self.reward = reward.within(self.limits)
        self.seed = int(seed)
        self.session = int(session)
        if lock is True:
            self.rule = lock_rule_of(learner)
        else:
            self.rule = lock or None
        require_ties(ties)
        self.ties = ties
        self._draws = int(streams.keys(self.seed, self.session, streams.CHOICE))
        self._guard = threading.RLock()
        self._picks = 0
        self._updates = 0
        self._locked: str | None = None
        self._withdrawn: set[str] = set()
        self._restart()

    def _restart(self) -> None:
        """Put the learner and the rule where they stand before the first query."""
        n_models = len(self.models)
        shown = streams.listed(1, n_models)
        if self.ties == "random":
            shown = streams.pool_orders(self.seed, self.session, n_models)
        #: the LLM at each place of the pool as the learner is shown it
        self._shown = [self.models[position] for position in shown[0]]
        if isinstance(self.learner, Always):
            place = self._shown.index(self.learner.model)
            self._steps: Steps = Fixed(place, n_models)
        else:
            self._steps = steps_of(self.learner, n_models, self._draws)
        self._watch = Watch(self.rule, self._steps.p)

    def pick(self) -> str:
        """Return the LLM to ask for the next query.

        Raises
        ------
        InputError
            Every LLM has been withdrawn.
        """
        with self._guard:
            step = self._picks
            self._picks += 1
            if self._locked is not None and self._locked not in self._withdrawn:
                return self._locked
            if self._steps.draws:
                self._steps.look(step)
            p = self._steps.p
            if self._withdrawn:
                p = self._without_withdrawn(p)
            return self._shown[_chosen(p, streams.uniform(self._draws, step))]

    def _without_withdrawn(self, p: list[float]) -> list[float]:
        """Return the probabilities shared out over the LLMs that are still there."""
        here = np.array([float(model not in self._withdrawn) for model in self._shown])
        if not here.any():
            raise InputError("Router: every LLM has been withdrawn; add or restore one")
        left = np.array(p) * here
        shared = left / left.sum() if left.sum() > 0 else here / here.sum()
        return shared.tolist()

    def update(
        self, model: str, *, accuracy: float, cost_usd: float, latency_ms: float
    ) -> None:
        """Learn from one answer of a model; after the lock it changes nothing.

        Parameters
        ----------
        model : str
        accuracy : float
            In [0, 1].
        cost_usd : float
            >= 0.
        latency_ms : float
            > 0.

        Raises
        ------
        InputError
        """
        place = self._place(model)
        _check_outcome("accuracy", accuracy, 1.0)
        _check_outcome("cost_usd", cost_usd)
        _check_outcome("latency_ms", latency_ms)
        self._learn(place, float(self.reward.unit(accuracy, cost_usd, latency_ms)))

    def learn(self, model: str, unit_reward: float) -> None:
        """Learn from a unit reward in [0, 1], where no answer is there to be scored.

        A failed call counts 0.
        """
        self._learn(self._place(model), unit_reward)

    def _learn(self, place: int, unit_reward: float) -> None:
        with self._guard:
            self._updates += 1
            if self._locked is not None or isinstance(self.learner, Always):
                return
            self._steps.learn(place, unit_reward, self._picks)
            if self._watch.step(self._steps.p):
                self._locked = self._shown[_first_of_largest(self._steps.p)]

    def _place(self, model: str) -> int:
        """Return where an LLM stands in the pool as the learner is shown it."""
        if model not in self.models:
            raise InputError(
                f"Router: unknown model {model!r}; {nearest(model, self.models)}"
            )
        return self._shown.index(model)

    @property
    def locked(self) -> str | None:
        """The LLM that the session has converged to, or None."""
        return self._locked

    @property
    def probabilities(self) -> dict[str, float]:
        """Selection probability of each LLM by name, frozen once locked."""
        p = dict(zip(self._shown, self._steps.p, strict=True))
        return {model: p[model] for model in self.models}

    @property
    def picks(self) -> int:
        """Queries routed so far."""
        return self._picks

    @property
    def withdrawn(self) -> frozenset[str]:
        """The LLMs that are out of the choice."""
        return frozenset(self._withdrawn)

    def withdraw(self, model: str) -> None:
        """Take an LLM out of the choice; what was learned of it is kept."""
        self._place(model)
        with self._guard:
            self._withdrawn.add(model)

    def restore(self, model: str) -> None:
        """Bring a withdrawn LLM back."""
        self._place(model)
        with self._guard:
            self._withdrawn.discard(model)

    def add(self, model: str) -> None:
        """Add an LLM to the pool; the session is unlocked and learns afresh.

        What a learner knows of a smaller pool has no meaning in a larger one that holds
        for every learner, so nothing is carried over.
        """
        with self._guard:
            if model in self.models:
                raise InputError(
                    f"Router.add: {model!r} is in the pool already; use restore for one"
                    " that was withdrawn"
                )
            self.models = (*self.models, str(model))
            self._locked = None
            self._restart()

    def save(self, path: str | Path) -> None:
        """Write the whole state atomically, as JSON."""
        with self._guard:
            reward = asdict(self.reward)
            del reward["limits"]
            write_json(
                path,
                {
                    "format": FORMAT,
                    "models": list(self.models),
                    "learner": to_json(self.learner),
                    "lock_rule": to_json(self.rule),
                    "reward": reward,
                    "limits": vars(self.limits),
                    "seed": self.seed,
                    "session": self.session,
                    "ties": self.ties,
                    "picks": self._picks,
                    "updates": self._updates,
                    "locked": self._locked,
                    "withdrawn": sorted(self._withdrawn),
                    "state": state_to_json(self._steps.state),
                    "watch": state_to_json(self._watch.state),
                },
            )

    @classmethod
    def load(cls, path: str | Path, models: Iterable[str] | None = None) -> Self:
        """Return the router as it was saved; it goes on with the very next draw.

        Parameters
        ----------
        path : path
        models : sequence of str, optional
            The pool that the caller expects.

        Raises
        ------
        MissingFileError, InputError
            No file; another format or version; another pool; a learner that cannot be
            found.
        """
        saved = read_state(path)
        try:
            if models is not None and list(models) != saved["models"]:
                raise InputError(
                    f"{path}: router state of other LLMs"
                    f" ({', '.join(saved['models'])}); load it without models=, or"
                    " start a new Router"
                )
            router = cls(
                saved["models"],
                from_json(saved["learner"]),
                Reward(**saved["reward"]),
                seed=saved["seed"],
                session=saved["session"],
                lock=from_json(saved["lock_rule"]) or False,
                limits=Limits(**saved["limits"]),
                ties=saved.get("ties", "first"),
            )
            router._go_on_from(saved)
        except InputError:
            raise
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"{path}: not a router state of this version ({type(error).__name__}:"
                f" {error}); start a new Router"
            ) from error
        return router

    def _go_on_from(self, saved: dict[str, Any]) -> None:
        """Take over the session of a saved state."""
        steps = self._steps
        steps.state = state_from_json(saved["state"], like=steps.state)
        self._watch.state = state_from_json(saved["watch"], like=self._watch.state)
        self._picks = saved["picks"]
        steps.look(self._picks)
        self._updates = saved["updates"]
        self._locked = saved["locked"]
        self._withdrawn = set(saved["withdrawn"])


def _check_outcome(name: str, value: Any, high: float = math.inf) -> None:
    number = isinstance(value, NUMBERS) and 0 <= value <= high and value < math.inf
    if not number:
        raise InputError(
            f"Router.update: {name} must be a number in [0, {high:g}], got {value!r};"
            " leave the feedback out if it is unknown"
        )


def _first_of_largest(p: Sequence[float]) -> int:
    return p.index(max(p))


def _chosen(p: Sequence[float], u: float) -> int:
    """Return what `sessions.choose` gives for one session."""
    for arm, below in enumerate(accumulate(p)):
        if below > u:
            return arm
    return max(arm for arm, chance in enumerate(p) if chance > 0)


class _NotKnownLiveError(AttributeError):
    """What a trace holds and a live pool does not."""


class _LivePool:
    """What a learner may know of a live pool when it binds to it: the LLMs' names."""

    def __init__(self, models: tuple[str, ...]):
        self.models = models

    def __getattr__(self, name: str) -> Any:
        raise _NotKnownLiveError(name)


def _live_learner(learner: Any, models: tuple[str, ...], reward: Reward) -> Any:
    """Return a learner as the pool makes it, or refuse one that needs a trace."""
    name = type(learner).__name__
    if hasattr(learner, "describe"):
        raise InputError(
            f"Router: {name} sees queries, which a live session does not tell; start"
            " one Router per context"
        )
    remedy = f"name the LLM yourself, like Always({models[0]!r}), or give a learner"
    if hasattr(learner, "bind"):
        try:
            learner = learner.bind(_LivePool(models), reward)
        except _NotKnownLiveError as error:
            raise InputError(
                f"Router: {name} needs {error} of every answer, which only a trace"
                f" holds; {remedy}"
            ) from None
    if is_control(learner) and not isinstance(learner, Always):
        raise InputError(
            f"Router: {name} chooses by the rewards of all LLMs on each query, which"
            f" only a trace holds; {remedy}"
        )
    return learner
