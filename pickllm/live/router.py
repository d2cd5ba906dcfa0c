"""The live router: the same learners, one session, real outcomes as they arrive.

For the same seed, session and outcomes it picks and locks exactly as `replay` does: the
choice of query t uses the uniform draw (seed, session, CHOICE, t), and feedback changes
the state only while the session has not locked. Feedback may arrive late, out of order,
or never: the next pick uses what is known by then.
"""

import importlib
import json
import math
import pathlib
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from itertools import accumulate

import numpy as np

from ..core.locking import MaxProbability
from ..core.pool import Limits, default_limits
from ..core.reward import Reward
from ..engine import streams
from ..errors import InputError, MissingFileError, nearest
from ..files import write_json

FORMAT = 2
#: Where the classes stand that states of format 1 name.
MOVED = {
    "pickllm.learners": "pickllm.core.learners",
    "pickllm.locking": "pickllm.core.locking",
    "pickllm.automata": "pickllm.beyond.automata",
    "pickllm.bandits": "pickllm.beyond.bandits",
    "pickllm.identification": "pickllm.beyond.identification",
    "pickllm.contextual": "pickllm.beyond.contextual",
    "pickllm.scenarios": "pickllm.beyond.scenarios",
}
_NUMBERS = (int, float, np.number)


class Router:
    """Routes the queries of one session between LLMs, and learns from feedback. Safe under threads.

    Parameters
    ----------
    models : sequence of str
        The pool; its order matters where a learner breaks ties.
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

    Examples
    --------
    >>> import pickllm as pk
    >>> router = Router(["a", "b"], pk.LinearRewardInaction(0.5), pk.Reward(), seed=0)
    >>> model = router.pick()
    >>> router.update(model, accuracy=1.0, cost_usd=2e-4, latency_ms=640.0)
    >>> router.probabilities[model] > 0.5
    True
    """

    def __init__(
        self, models, learner, reward, *, seed=0, session=0, lock=True, limits=None
    ):
        models = tuple(str(m) for m in models)
        if not models or len(set(models)) != len(models):
            raise InputError(
                f"Router: models must name each LLM once, got {list(models)}; leave out"
                " the repeats"
            )
        if hasattr(learner, "describe"):
            raise InputError(
                f"Router: {type(learner).__name__} sees queries, which a live session"
                " does not tell; start one Router per context"
            )
        self.models = models
        self.learner = (
            learner.bind(_Pool(models), reward) if hasattr(learner, "bind") else learner
        )
        self.limits = limits or reward.limits or default_limits()
        self.reward = reward.within(self.limits)
        self.seed, self.session = int(seed), int(session)
        self.rule = (
            getattr(learner, "lock_rule", MaxProbability())
            if lock is True
            else (lock or None)
        )
        self._key = int(streams.keys(self.seed, self.session, streams.CHOICE))
        self._guard = threading.RLock()
        self._picks = self._updates = 0
        self._locked = None
        self._away = set()
        self._restart()

    def _restart(self):
        m = len(self.models)
        if hasattr(self.learner, "choose"):
            fixed = np.bincount(
                self.learner.choose(np.zeros((1, m))), minlength=m
            ).astype(float)
            self._state, self._p = fixed[None], fixed[None]
        else:
            self._state = self.learner.start(1, m)
            self._p = self.learner.probabilities(self._state)
        self._watch = self.rule.start(self._p) if self.rule else None

    def pick(self):
        """Return the LLM to ask for the next query.

        Raises
        ------
        InputError
            Every LLM has been withdrawn.
        """
        with self._guard:
            step, self._picks = self._picks, self._picks + 1
            if self._locked is not None and self._locked not in self._away:
                return self._locked
            p = self._p
            if self._away:
                p = p * np.array([m not in self._away for m in self.models])
                if len(self._away) == len(self.models):
                    raise InputError(
                        "Router: every LLM has been withdrawn; add or restore one"
                    )
                total = p.sum()
                here = np.array([float(m not in self._away) for m in self.models])
                p = p / total if total > 0 else here[None] / here.sum()
            return self.models[_chosen(p[0].tolist(), streams.uniform(self._key, step))]

    def update(self, model, *, accuracy, cost_usd, latency_ms):
        """Feedback on one answer of a model; after the lock it changes nothing.

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
        arm = self._arm(model)
        for name, value, high in (
            ("accuracy", accuracy, 1.0),
            ("cost_usd", cost_usd, math.inf),
            ("latency_ms", latency_ms, math.inf),
        ):
            if (
                not isinstance(value, _NUMBERS)
                or not 0 <= value <= high
                or value == math.inf
            ):
                raise InputError(
                    f"Router.update: {name} must be a number in [0, {high:g}], got"
                    f" {value!r}; leave the feedback out if it is unknown"
                )
        self.learn(model, float(self.reward.unit(accuracy, cost_usd, latency_ms)), arm)

    def learn(self, model, unit_reward, arm=None):
        """Feedback as a unit reward in [0, 1], for outcomes that have no answer to score (a failure counts 0)."""
        arm = self._arm(model) if arm is None else arm
        with self._guard:
            self._updates += 1
            if self._locked is not None or hasattr(self.learner, "choose"):
                return
            self._state = self.learner.update(
                self._state, np.array([arm]), np.array([unit_reward])
            )
            self._p = self.learner.probabilities(self._state)
            if self.rule:
                self._watch, locked = self.rule.step(self._watch, self._p)
                if locked[0]:
                    self._locked = self.models[int(self._p[0].argmax())]

    def _arm(self, model):
        if model not in self.models:
            raise InputError(
                f"Router: unknown model {model!r}; {nearest(model, self.models)}"
            )
        return self.models.index(model)

    @property
    def locked(self):
        """The LLM that the session has converged to, or None."""
        return self._locked

    @property
    def probabilities(self):
        """Selection probability of each LLM, by name (of the frozen state once locked)."""
        return dict(zip(self.models, self._p[0].tolist(), strict=True))

    @property
    def picks(self):
        """Queries routed so far."""
        return self._picks

    def withdraw(self, model):
        """Take an LLM out of the choice (down, or no longer wanted); what was learned of it is kept."""
        self._arm(model)
        with self._guard:
            self._away.add(model)

    def restore(self, model):
        """Bring a withdrawn LLM back."""
        self._arm(model)
        with self._guard:
            self._away.discard(model)

    def add(self, model):
        """Add an LLM to the pool: the session is unlocked and the learner starts afresh, every LLM alike.

        What a learner knows of a smaller pool has no meaning in a larger one that holds for every learner,
        so nothing is carried over.
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

    def save(self, path):
        """Write the whole state atomically, as JSON."""
        with self._guard:
            write_json(
                path,
                {
                    "format": FORMAT,
                    "models": list(self.models),
                    "learner": _described(self.learner),
                    "lock_rule": _described(self.rule),
                    "reward": {
                        k: v for k, v in asdict(self.reward).items() if k != "limits"
                    },
                    "limits": vars(self.limits),
                    "seed": self.seed,
                    "session": self.session,
                    "picks": self._picks,
                    "updates": self._updates,
                    "locked": self._locked,
                    "withdrawn": sorted(self._away),
                    "state": _packed(self._state),
                    "watch": _packed(self._watch),
                },
            )

    @classmethod
    def load(cls, path, models=None):
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
        path = pathlib.Path(path)
        if not path.exists():
            raise MissingFileError(
                f"no router state {path}; save one with Router.save, or start a new"
                " Router"
            )
        try:
            saved = json.loads(path.read_text("utf-8"))
            if saved["format"] not in (1, FORMAT):
                raise InputError(
                    f"{path}: router state of format {saved['format']}, this version"
                    f" reads {FORMAT}; start a new Router"
                )
            if models is not None and list(models) != saved["models"]:
                raise InputError(
                    f"{path}: router state of other LLMs"
                    f" ({', '.join(saved['models'])}); load it without models=, or"
                    " start a new Router"
                )
            router = cls(
                saved["models"],
                _restored(saved["learner"]),
                Reward(**saved["reward"]),
                seed=saved["seed"],
                session=saved["session"],
                lock=_restored(saved["lock_rule"]) or False,
                limits=Limits(**saved["limits"]),
            )
            router._state, router._watch = (
                _unpacked(saved["state"]),
                _unpacked(saved["watch"]),
            )
            router._picks, router._updates, router._locked = (
                saved["picks"],
                saved["updates"],
                saved["locked"],
            )
            router._away = set(saved["withdrawn"])
            router._p = (
                router._state
                if hasattr(router.learner, "choose")
                else router.learner.probabilities(router._state)
            )
            return router
        except (
            json.JSONDecodeError,
            UnicodeDecodeError,
            KeyError,
            TypeError,
            AttributeError,
            ImportError,
        ) as error:
            raise InputError(
                f"{path}: not a router state of this version ({type(error).__name__}:"
                f" {error}); start a new Router"
            ) from error


def _chosen(p, u):
    """Return what `sessions.choose` gives for one session."""
    for arm, below in enumerate(accumulate(p)):
        if below > u:
            return arm
    return max(arm for arm, chance in enumerate(p) if chance > 0)


@dataclass(frozen=True)
class _Pool:
    """What a control needs to know to bind to a live pool."""

    models: tuple


def _described(thing):
    if thing is None:
        return None
    kind = type(thing)
    return {
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "parameters": asdict(thing),
    }


def _restored(description):
    if description is None:
        return None
    return _class(description["class"])(**description["parameters"])


def _class(text):
    """Return a class named in a state file: the kit's own, or one that the running program has defined itself."""
    module, _, name = text.partition(":")
    module = MOVED.get(module, module)
    if module.startswith("pickllm."):
        with suppress(ImportError):
            importlib.import_module(module)
    kind = getattr(sys.modules.get(module), name, None)
    if not (
        isinstance(kind, type) and (is_dataclass(kind) or hasattr(kind, "_fields"))
    ):
        raise InputError(
            f"router state names the class {text!r}, which this program does not know;"
            " import its module first"
        )
    return kind


def _packed(state):
    if state is None:
        return None
    if isinstance(state, tuple):
        kind = type(state)
        return {
            "tuple": [_packed(s) for s in state],
            "class": (
                f"{kind.__module__}:{kind.__qualname__}"
                if hasattr(state, "_fields")
                else None
            ),
        }
    state = np.asarray(state)
    return {
        "array": state.tolist(),
        "dtype": state.dtype.str,
        "shape": list(state.shape),
    }


def _unpacked(packed):
    if packed is None:
        return None
    if "tuple" in packed:
        parts = [_unpacked(p) for p in packed["tuple"]]
        if not packed["class"]:
            return tuple(parts)
        return _class(packed["class"])(*parts)
    return np.array(packed["array"], dtype=packed["dtype"]).reshape(packed["shape"])


@dataclass(frozen=True)
class Answer:
    """What one query of a live session came to.

    Attributes
    ----------
    text : str
    model : str
        The LLM that answered.
    accuracy : float or None
        As scored; None where the scorer had nothing to say.
    cost_usd, latency_ms : float
    failed : tuple of str
        LLMs that were asked before and failed.
    locked : str or None
        The LLM that the session has converged to, after this query.
    router_us : float
        Microseconds that the router itself took for this query: picking and learning,
        neither calls nor scores.
    """

    text: str
    model: str
    accuracy: float
    cost_usd: float
    latency_ms: float
    failed: tuple = field(default_factory=tuple)
    locked: str = None
    router_us: float = 0.0


class LiveSession:
    """The paper's loop on real endpoints: pick, call, score, update, for one query after another.

    Parameters
    ----------
    router : Router
    clients : dict of str to callable
        LLM -> ``client(prompt) -> (text, cost_usd)``; it raises where the call fails.
    scorer : callable
        ``scorer(text, reference) -> accuracy in [0, 1]``, or None where nothing can be said.
    failure_reward : float
        Unit reward of a failed call, in [0, 1]; 0 by default.
    state : path, optional
        The router's state is saved there after every query.
    """

    def __init__(self, router, clients, scorer, *, failure_reward=0.0, state=None):
        missing = [m for m in router.models if m not in clients]
        if missing:
            raise InputError(
                f"LiveSession: no client for {missing[0]!r}; give one for each LLM of"
                f" the router: {', '.join(router.models)}"
            )
        if not 0 <= failure_reward <= 1:
            raise InputError(
                "LiveSession: failure_reward must be in [0, 1], got"
                f" {failure_reward!r}; 0 is the worst reward"
            )
        self.router, self.clients, self.scorer = router, clients, scorer
        self.failure_reward, self.state = float(failure_reward), state
        self._sees_prompt = getattr(
            scorer, "sees_prompt", False
        )  # as a judge does, which grades the answer to a question

    def ask(self, prompt, reference=None):
        """Route one query; a failed LLM counts as declared and the query goes to the next most probable one.

        Returns
        -------
        Answer

        Raises
        ------
        InputError
            Every LLM failed; the last one's error is named.
        """
        import time

        own = -time.perf_counter()
        first, failed, last = self.router.pick(), [], None
        own += time.perf_counter()
        ranked = sorted(
            self.router.models, key=self.router.probabilities.get, reverse=True
        )
        for model in [
            first,
            *(m for m in ranked if m != first and m not in self.router._away),
        ]:
            start = time.perf_counter()
            try:
                text, cost = self.clients[model](prompt)
            except Exception as error:  # whatever a client raises, the query must go on to the next LLM
                last = error
                failed.append(model)
                own -= time.perf_counter()
                self.router.learn(model, self.failure_reward)
                own += time.perf_counter()
                continue
            latency = 1000 * (time.perf_counter() - start)
            accuracy = (
                self.scorer(text, reference, prompt)
                if self._sees_prompt
                else self.scorer(text, reference)
            )
            own -= time.perf_counter()
            if accuracy is not None:
                floor = (
                    self.router.limits.latency_floor_ms
                )  # faster answers are not told apart (and 1 ms divides by zero)
                self.router.update(
                    model,
                    accuracy=accuracy,
                    cost_usd=cost,
                    latency_ms=max(latency, floor),
                )
            own += time.perf_counter()
            if self.state:
                self.router.save(self.state)
            return Answer(
                text,
                model,
                accuracy,
                cost,
                latency,
                tuple(failed),
                self.router.locked,
                1e6 * own,
            )
        raise InputError(
            f"LiveSession: every LLM failed, the last one with {type(last).__name__}:"
            f" {last}; look at the endpoints"
        ) from last

    async def ask_async(self, prompt, reference=None):
        """`ask` without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.ask, prompt, reference)
