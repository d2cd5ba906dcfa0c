"""Settings: each a combination of context, reward and learner.

A setting's sessions are replayed in chunks that depend on its size alone, so that the
same bytes come out of one process, of threads, and of a cluster that loses a worker.
"""

import functools
import itertools
import json
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple

from ..core.prepared import Tables, prepare, require_order
from ..core.reward import Reward
from ..core.trace import Trace
from ..errors import InputError, nearest
from ..files import digest
from ..identity import identity, places, unknowable
from ..modules import code_hash
from .totals import LANE

#: Decisions to a chunk, where sums alone are kept and where every session's row is.
REDUCED, TABULATED = 2**25, 2**22
#: Sessions to a chunk at most, however short they are.
MANY = 2**18
#: What a setting passes on to `replay`, besides sessions, queries and seed.
OPTIONS = ("order", "ties", "lock", "engine", "checkpoints")

#: Sessions of a setting, as (first, number).
Chunk = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Setting:
    """One combination: what to replay, and the columns that tell it apart."""

    labels: dict[str, Any]
    trace: Trace = field(repr=False)
    reward: Reward
    learner: Any
    options: dict[str, Any]
    reduce: bool = False

    @property
    def decisions(self) -> int:
        """Routing decisions of all its sessions."""
        return self.options["sessions"] * self.options["queries"]

    def chunks(self) -> list[Chunk]:
        """Return its sessions in chunks, as (first, number)."""
        sessions = self.options["sessions"]
        decisions = REDUCED if self.reduce else TABULATED
        size = min(MANY, max(1, decisions // self.options["queries"]))
        if size >= LANE:
            size -= size % LANE
        starts = range(0, sessions, size)
        return [(first, min(size, sessions - first)) for first in starts]

    @property
    def identity(self) -> dict[str, Any]:
        """What the setting is, as plain data, whatever the package's own code."""
        return self._identity(identity(self.reward))

    def _identity(self, reward: Any) -> dict[str, Any]:
        return {
            "labels": self.labels,
            "trace": self.fingerprint,
            "reward": reward,
            "learner": identity(self.learner),
            "options": identity(self.options),
            "reduce": self.reduce,
        }

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of everything in the trace."""
        return self.trace.fingerprint()

    @functools.cached_property
    def known(self) -> "Known":
        """What is read from its identity, once."""
        return Known.of(self.identity)

    @property
    def unknowable(self) -> tuple[str, ...]:
        """What it holds that cannot be told from another of its kind."""
        return self.known.unknowable

    @property
    def name(self) -> str:
        """Hash of its identity."""
        return self.known.name

    @property
    def inputs(self) -> str:
        """Hash of what the result depends on: its identity, and the package's code."""
        return self.known.inputs


class Known(NamedTuple):
    """What a setting's identity says.

    Attributes
    ----------
    text : str
        The identity itself, as JSON.
    name : str
        Its hash.
    inputs : str
        Hash of it and of the package's code that the result depends on.
    unknowable : tuple of str
        What it holds that cannot be told from another of its kind.
    """

    text: str
    name: str
    inputs: str
    unknowable: tuple[str, ...]

    @classmethod
    def of(
        cls, data: dict[str, Any], codes: dict[tuple[str, ...], str] | None = None
    ) -> "Known":
        """Return what an identity says.

        Parameters
        ----------
        data : dict
        codes : dict, optional
            Hashes of the package's code, by the modules that an identity names; one
            that is missing is added.
        """
        codes = {} if codes is None else codes
        own = [place for place in places(data) if place.startswith("pickllm.")]
        modules = tuple(sorted({place.split(".<")[0] for place in own}))
        if modules not in codes:
            codes[modules] = code(*(f"import {module}" for module in modules))
        text = json.dumps(data, sort_keys=True, default=str)
        lost = tuple(unknowable(data))
        return cls(text, digest(text), digest(text, codes[modules]), lost)


def identify(plan: Sequence[Setting]) -> None:
    """Work out what settings are, reading once what several share."""
    prints: dict[int, str] = {}
    rewards: dict[int, Any] = {}
    codes: dict[tuple[str, ...], str] = {}
    for setting in plan:
        values = vars(setting)
        if "known" in values:
            continue
        trace, reward = id(setting.trace), id(setting.reward)
        if trace not in prints:
            prints[trace] = setting.fingerprint
        if reward not in rewards:
            rewards[reward] = identity(setting.reward)
        values["fingerprint"] = prints[trace]
        values["known"] = Known.of(setting._identity(rewards[reward]), codes)


def code(*imports: str) -> str:
    """Return a hash of the modules that a session's result depends on.

    Parameters
    ----------
    *imports : str
        Code that imports what is used beyond this module, such as a learner's.
    """
    work = pathlib.Path(__file__).resolve().with_name("work.py")
    return code_hash(work, *imports)


def name_each(things: Any, what: str) -> dict[str, Any]:
    """Return ``{name: thing}`` from a mapping, or from a sequence (or a single one).

    Parameters
    ----------
    things : object, sequence or dict of str to object
        Without a mapping, a thing is named by its ``label`` or how Python shows it.
    what : str
        What they are, for a message.

    Raises
    ------
    InputError
        There is none, or two that differ have one name.

    Examples
    --------
    >>> import pickllm as pk
    >>> list(name_each([pk.QLearning(0.1, epsilon=0.2)], "learners"))
    ['QLearning(learning_rate=0.1, epsilon=0.2, initial_value=0.0)']
    """
    if isinstance(things, dict):
        named = things
    else:
        named = {}
        for thing in things if isinstance(things, list | tuple) else [things]:
            name = getattr(thing, "label", None) or _shown(thing)
            other = named.setdefault(name, thing)
            if identity(other) != identity(thing):
                raise InputError(
                    f"sweep: two of the {what} are called {name!r} and differ; give"
                    f" {what} as a dict, with a name for each"
                )
    if not named:
        raise InputError(f"sweep: {what} is empty; give at least one")
    return named


def _shown(thing: Any) -> str:
    """Return how Python shows a thing, without where it is in memory."""
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(thing))


def settings(  # noqa: PLR0913 - the parameters are those of `sweep`
    trace: Trace,
    rewards: Any,
    learners: Any,
    contexts: str | Sequence[str] | None = None,
    sessions: int = 1000,
    queries: int = 1000,
    seed: int = 0,
    reduce: bool = False,
    **options: Any,
) -> list[Setting]:
    """Return every combination as a `Setting`, in order; parameters as in `sweep`."""
    unknown = set(options) - set(OPTIONS)
    if unknown:
        first = min(unknown)
        raise InputError(f"sweep: unknown option {first!r}; {nearest(first, OPTIONS)}")
    options = {"sessions": sessions, "queries": queries, "seed": seed} | options
    rewards = name_each(rewards, "rewards")
    learners = name_each(learners, "learners")
    parts = _by_context(trace, contexts)
    _try_each(parts, rewards, learners, options)
    parameters = {name: scalars(learner) for name, learner in learners.items()}
    plan = []
    for context, form, name in itertools.product(parts, rewards, learners):
        labels = {"context": context, "reward_form": form, "learner": name}
        labels |= parameters[name]
        part, learner = parts[context], learners[name]
        plan.append(Setting(labels, part, rewards[form], learner, options, reduce))
    return plan


def _try_each(
    parts: dict[str, Trace],
    rewards: dict[str, Any],
    learners: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """Prepare each reward and each learner once, so that mistakes show before a run."""
    numbers = {name: value for name, value in options.items() if name != "engine"}
    first = next(iter(parts.values())).fleeting()
    one_learner, *others = learners.values()
    for reward in rewards.values():
        prepare(first, reward, one_learner, **numbers)
    one_reward = next(iter(rewards.values()))
    tables = Tables.of(first, one_reward)
    for learner in others:
        prepare(first, one_reward, learner, tables=tables, **numbers)
    order = options.get("order", "bootstrap")
    for part in parts.values():
        require_order(order, options["queries"], part.n_queries)


def _by_context(trace: Trace, contexts: str | Sequence[str] | None) -> dict[str, Trace]:
    """Return the trace's parts, by context."""
    if contexts is None:
        contexts = trace.contexts
    elif isinstance(contexts, str):
        contexts = [contexts]
    if not len(contexts):
        raise InputError(
            "sweep: contexts is empty; give at least one of"
            f" {', '.join(trace.contexts)}"
        )
    return {context: trace.select(context=context) for context in contexts}


def scalars(learner: Any) -> dict[str, int | float | str | bool]:
    """Return a learner's parameters that fit a table's cell, by name."""
    if not is_dataclass(learner):
        return {}
    names = [f.name for f in fields(learner) if f.name != "index"]
    values = {name: getattr(learner, name) for name in names}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float | str | bool)
    }
