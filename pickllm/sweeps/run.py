"""Sweeps: every combination of contexts, rewards and learners, here or on a cluster.

With a folder, each finished setting is kept (see `store`), and a sweep that was stopped
goes on with what is missing.
"""

import pathlib
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..core.trace import Trace
from .results import Results, table
from .rows import Row
from .settings import Setting, settings
from .store import Store
from .work import batches, outcome
from .workers import Done, here, there

if TYPE_CHECKING:
    import pandas as pd


def sweep(  # noqa: PLR0913 - the names are fixed
    trace: Trace,
    rewards: Any,
    learners: Any,
    contexts: str | Sequence[str] | None = None,
    sessions: int = 1000,
    queries: int = 1000,
    seed: int = 0,
    scheduler: Any = None,
    *,
    folder: str | pathlib.Path | None = None,
    reduce: bool = False,
    progress: bool = False,
    n_jobs: int = 1,
    **options: Any,
) -> "pd.DataFrame":
    """Replay every combination of context, reward and learner.

    Parameters
    ----------
    trace : Trace
    rewards : Reward, sequence or dict of str to Reward
    learners : learner, sequence or dict of str to learner
        Controls are learners too.
    contexts : sequence of str, optional
        By default all of the trace's.
    sessions, queries, seed
        As in `replay`; every setting meets the same draws.
    scheduler : None, str or distributed.Client
        Where to run: None is this process; else a Dask cluster, by the address of its
        scheduler (``"tcp://host:port"``) or a client of it (needs
        ``pickllm[cluster]``).
    folder : path, optional
        Where each finished setting is kept as Parquet; those already there, with the
        same inputs, are reused.
    reduce : bool
        Whether to keep one row a setting (means, deviations, when and on what sessions
        locked, mean trajectories; see `totals.Totals.row`) in place of one a session.
        Memory then depends on neither the number of sessions nor that of decisions.
    progress : bool
        Whether to show decisions done, their rate, and the time left.
    n_jobs : int
        Threads of this process, as in joblib; the bytes are the same for any.
    **options
        Passed on to `replay` (``order``, ``ties``, ``lock``, ``engine``,
        ``checkpoints``).

    Returns
    -------
    pandas.DataFrame
        One row per setting and session: ``context``, ``reward_form`` and ``learner``
        (names), the learner's parameters, then the columns of `Sessions.table`; if
        `reduce`, one row per setting.

    Raises
    ------
    InputError

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11")
    >>> few = {"contexts": ["rest"], "sessions": 3, "queries": 20}
    >>> table = sweep(trace, pk.Reward(), pk.QLearning(), **few)
    >>> len(table), table.context.unique().tolist(), table.epsilon.unique().tolist()
    (3, ['rest'], [0.1])
    """
    plan = settings(
        trace, rewards, learners, contexts, sessions, queries, seed, reduce, **options
    )
    results, _ = execute(plan, folder, scheduler, n_jobs, progress)
    return results.frame()


def execute(
    plan: Sequence[Setting],
    folder: str | pathlib.Path | None = None,
    scheduler: Any = None,
    n_jobs: int = 1,
    progress: bool = False,
    keep: bool = True,
) -> tuple[Results, dict[str, Any]]:
    """Return the settings' tables, computed or, where a folder holds them, reused.

    Parameters
    ----------
    plan : sequence of Setting
    folder, scheduler, n_jobs, progress
        As in `sweep`.
    keep : bool
        Whether to return the tables; without, memory holds few settings at a time.

    Returns
    -------
    Results
        A sequence of tables in the plan's order, and all of them as one
        (`Results.frame`); empty unless `keep`.
    dict
        ``computed`` and ``reused`` settings; and ``set_aside``, a line for each file
        that was there and could not be used.
    """
    store = Store(folder, plan) if folder is not None else None
    held: dict[int, Any] = {}
    missing = _missing(plan, store, held, keep)
    done = _outcomes(plan, missing, scheduler, n_jobs, progress)
    try:
        for place, result in done:
            if store and isinstance(result, Row):
                store.add(place, result)
            elif store:
                store.write(plan[place], table(plan[place], result))
            if keep:
                held[place] = result
    finally:
        done.close()
        if store:
            store.flush()
    counts = {
        "computed": len(missing),
        "reused": len(plan) - len(missing),
        "set_aside": store.set_aside if store else [],
    }
    kept = sorted(held) if keep else []
    return Results([plan[i] for i in kept], [held[i] for i in kept]), counts


def _missing(
    plan: Sequence[Setting], store: Store | None, held: dict[int, Any], keep: bool
) -> list[int]:
    """Return where settings stand that are to be computed; hold what is there."""
    if store is None:
        return list(range(len(plan)))
    there: set[int] = set()
    waiting: dict[int, Row] = {}
    for place, row in store.rows():
        there.add(place)
        if place not in store.settled:
            waiting[place] = row
        if keep:
            held[place] = row
    for place in store.order:
        own = None if plan[place].reduce else store.read(plan[place])
        if own is not None:
            there.add(place)
            if keep:
                held[place] = own
    reduced = [place for place in store.order if plan[place].reduce]
    store.expect([place for place in reduced if place not in store.settled])
    for place in sorted(waiting.keys() - store.settled):
        store.add(place, waiting[place], computed=False)
    return [place for place in store.order if place not in there]


def _outcomes(
    plan: Sequence[Setting],
    missing: Sequence[int],
    scheduler: Any,
    n_jobs: int,
    progress: bool,
) -> Generator[tuple[int, Any], None, None]:
    """Yield each setting's place and what came of it, once its last chunk is there."""
    from tqdm import tqdm

    parts: dict[int, dict[int, Any]] = {}
    with tqdm(
        total=sum(plan[place].decisions for place in missing),
        unit="dec",
        unit_scale=True,
        desc="sweep",
        disable=not (progress and missing),
        smoothing=0.05,
    ) as bar:
        for batch, results in _done(plan, missing, scheduler, n_jobs):
            for (place, chunk), result in zip(batch.places, results, strict=True):
                found = parts.setdefault(place, {})
                found[chunk] = result
                if len(found) == len(plan[place].chunks()):
                    del parts[place]
                    yield place, outcome([found[i] for i in sorted(found)])
            bar.update(sum(work.decisions for work in batch.works))


def _done(
    plan: Sequence[Setting], missing: Sequence[int], scheduler: Any, n_jobs: int
) -> Iterator[Done]:
    """Return batches with their results, from this process or a cluster."""
    todo = batches(plan, missing)
    if scheduler is None or not missing:
        return here(todo, n_jobs)
    return there(todo, plan, scheduler)
