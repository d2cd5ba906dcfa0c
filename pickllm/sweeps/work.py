"""Work: a plan's settings in batches, each a share for one thread or worker.

Settings of one trace and reward stand together and share their tables. A small setting
is a part of a batch; a large one is cut into chunks of sessions, a batch each. What is
cut depends on sizes alone, so that no result depends on who did it.
"""

import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import pays, play_compiled, runs_compiled
from ..core.prepared import Prepared, Tables, prepare
from ..core.replay import play
from ..core.reward import Reward
from ..core.sessions import Sessions
from ..core.trace import Trace
from .rows import Row
from .settings import Chunk, Setting
from .totals import LANE, Totals, merged, totals

#: Decisions to a batch of small settings, and their largest number.
BATCH, SETTINGS = 2**21, 64
#: Decisions that are recorded at a time where every session's row is kept: few enough
#: for their arrays to stay in the cache and be used again.
RECORDED = 2**18

#: Columns of a number of sessions, as `Sessions.columns` gives them.
Columns = dict[str, NDArray[Any]]
#: What is left of a chunk, and of a whole setting.
Part = Totals | Columns
Outcome = Row | Columns


class Shared:
    """A trace and a reward, and their tables while they are of use.

    Parameters
    ----------
    trace : Trace
    reward : Reward
    uses : int
        Batches that need them.
    """

    def __init__(self, trace: Trace, reward: Reward, uses: int) -> None:
        self.trace = trace
        self.reward = reward
        self.uses = uses
        self._tables: Tables | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without tables: they are made again there."""
        return Shared, (self.trace, self.reward, self.uses)

    @property
    def tables(self) -> Tables:
        """The tables, made once."""
        with self._lock:
            if self._tables is None:
                self._tables = Tables.of(self.trace.fleeting(), self.reward)
            return self._tables

    def used(self) -> None:
        """Say that a batch is done; after the last one the tables go."""
        with self._lock:
            self.uses -= 1
            if not self.uses:
                self._tables = None


class Work(NamedTuple):
    """A chunk of a setting, without what it shares.

    Attributes
    ----------
    learner : object
    options : dict
    reduce : bool
        As those of the `Setting`.
    worthwhile : bool
        Whether compiling pays, however small the setting is.
    chunk : (int, int)
        Sessions, as first and number.
    """

    learner: Any
    options: Mapping[str, Any]
    reduce: bool
    worthwhile: bool
    chunk: Chunk

    @property
    def decisions(self) -> int:
        """Routing decisions of its sessions."""
        return self.chunk[1] * self.options["queries"]

    def run(self, shared: Shared) -> Part:
        """Return what is left of the chunk: totals, or a row a session as columns."""
        first, number = self.chunk
        options: dict[str, Any] = {**self.options, "sessions": number, "first": first}
        options["worthwhile"] = self.worthwhile
        run = totals if self.reduce else columns
        tables = shared.tables
        return run(tables.trace, tables.reward, self.learner, tables=tables, **options)


#: A work, and where it belongs: its setting's place in the plan, and its chunk in that.
Task = tuple[tuple[int, int], Work]


@dataclass(frozen=True, eq=False)
class Batch:
    """Works that one thread or worker does, one after the other.

    Attributes
    ----------
    shared : Shared
    works : tuple of Work
    places : tuple of (int, int)
        Of each work: where its setting stands in the plan, and its chunk in that.
    """

    shared: Shared
    works: tuple[Work, ...]
    places: tuple[tuple[int, int], ...]

    def run(self) -> list[Part]:
        """Return the result of each work."""
        results = run(self.shared, self.works)
        self.shared.used()
        return results


def run(shared: Shared, works: Sequence[Work]) -> list[Part]:
    """Return the result of each work."""
    return [work.run(shared) for work in works]


def columns(
    trace: Trace,
    reward: Reward,
    learner: object,
    *,
    engine: str = "auto",
    worthwhile: bool = False,
    tables: Tables | None = None,
    **options: Any,
) -> Columns:
    """Return a row a session as columns.

    They are recorded a few sessions at a time, so that the memory for choices is small
    and used again.

    Parameters
    ----------
    trace, reward, learner, engine, worthwhile, tables, **options
        As in `totals`.

    Returns
    -------
    dict of str to ndarray
        As `Sessions.columns`.
    """
    options["checkpoints"] = 2  # the fewest: the table holds none
    whole = prepare(trace, reward, learner, tables=tables, **options)
    # sums over what NumPy chose pay as well
    adding = "compiled" if worthwhile and engine == "auto" else engine
    if not runs_compiled(whole, engine, worthwhile):
        return Sessions.of(whole, play(whole), adding).columns()
    size = max(LANE, RECORDED // whole.queries // LANE * LANE)
    return joined(
        [
            Sessions.of(piece, play_compiled(piece), adding).columns()
            for piece in _pieces(whole, size)
        ]
    )


def _pieces(whole: Prepared, size: int) -> Iterator[Prepared]:
    """Yield the same replay in pieces of so many sessions."""
    for first in range(0, len(whole.sessions), size):
        yield replace(whole, sessions=whole.sessions[first : first + size])


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the columns of sessions one after the other."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def outcome(parts: Sequence[Part]) -> Outcome:
    """Return what is left of a setting, from its chunks in their order."""
    if isinstance(parts[0], Totals):
        return Row.of(functools.reduce(merged, parts))  # pyright: ignore
    return joined(parts)  # pyright: ignore


def batches(plan: Sequence[Setting], places: Sequence[int]) -> Iterator[Batch]:
    """Yield some settings of a plan in batches, those that share tables together.

    Parameters
    ----------
    plan : sequence of Setting
    places : sequence of int
        Where the settings to run stand in the plan.
    """
    decisions = sum(plan[place].decisions for place in places)
    worthwhile = pays(decisions, "auto")
    groups: dict[Any, list[int]] = {}
    for place in places:
        groups.setdefault(_tables_key(plan[place]), []).append(place)
    for group in groups.values():
        first = plan[group[0]]
        tasks = [
            ((place, number), _work(plan[place], worthwhile, chunk))
            for place in group
            for number, chunk in enumerate(plan[place].chunks())
        ]
        shares = list(_shares(tasks))
        shared = Shared(first.trace, first.reward, uses=len(shares))
        for some in shares:
            found, works = zip(*some, strict=True)
            yield Batch(shared, works, found)


def _tables_key(setting: Setting) -> Any:
    """Return what settings have in common whose tables are the same.

    A reward of another class than the paper's may be more than what it equals.
    """
    plain = type(setting.reward) is Reward
    return id(setting.trace), setting.reward if plain else id(setting.reward)


def _work(setting: Setting, worthwhile: bool, chunk: Chunk) -> Work:
    return Work(setting.learner, setting.options, setting.reduce, worthwhile, chunk)


def _shares(tasks: list[Task]) -> Iterator[list[Task]]:
    """Yield tasks in shares of about `BATCH` decisions."""
    share: list[Task] = []
    total = 0
    for task in tasks:
        decisions = task[1].decisions
        if share and (total + decisions > BATCH or len(share) == SETTINGS):
            yield share
            share, total = [], 0
        share.append(task)
        total += decisions
    yield share
