"""Sweeps: every combination of contexts, rewards and learners, here or on a cluster.

With a folder, each finished setting is kept (see `store`), and a sweep that was stopped
goes on with what is missing.
"""

import pathlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..core.trace import Trace
from .settings import Chunk, Setting, settings
from .store import Store
from .workers import in_order, results

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
        Passed on to `replay` (``order``, ``lock``, ``engine``, ``checkpoints``).

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
    import pandas as pd

    plan = settings(
        trace, rewards, learners, contexts, sessions, queries, seed, reduce, **options
    )
    tables, _ = execute(plan, folder, scheduler, n_jobs, progress)
    return pd.concat(tables, ignore_index=True)


def execute(
    plan: Sequence[Setting],
    folder: str | pathlib.Path | None = None,
    scheduler: Any = None,
    n_jobs: int = 1,
    progress: bool = False,
    keep: bool = True,
) -> tuple[list["pd.DataFrame"], dict[str, Any]]:
    """Return the settings' tables, computed or, where a folder holds them, reused.

    Parameters
    ----------
    plan : sequence of Setting
    folder, scheduler, n_jobs, progress
        As in `sweep`.
    keep : bool
        Whether to return the tables; without, memory holds one setting at a time.

    Returns
    -------
    list of pandas.DataFrame
        In the plan's order; empty unless `keep`.
    dict
        ``computed`` and ``reused`` settings; and ``set_aside``, a line for each file
        that was there and could not be used.
    """
    store = Store(folder) if folder is not None else None
    tables: dict[int, pd.DataFrame] = {}
    missing = []
    for i, setting in enumerate(plan):
        table = store.read(setting) if store else None
        if table is None:
            missing.append(i)
        elif keep:
            tables[i] = table
    todo = [plan[i] for i in missing]
    computed = _tables(todo, _results(todo, scheduler, n_jobs), progress)
    for i, table in zip(missing, computed, strict=True):
        if store:
            store.write(plan[i], table)
        if keep:
            tables[i] = table
    return [tables[i] for i in sorted(tables)], {
        "computed": len(missing),
        "reused": len(plan) - len(missing),
        "set_aside": store.set_aside if store else [],
    }


def _tables(
    todo: Sequence[Setting], results: Iterator[Any], progress: bool
) -> Iterator["pd.DataFrame"]:
    """Yield each setting's table, as soon as its last chunk's result is there."""
    from tqdm import tqdm

    with tqdm(
        total=sum(setting.decisions for setting in todo),
        unit="dec",
        unit_scale=True,
        desc="sweep",
        disable=not (progress and todo),
        smoothing=0.05,
    ) as bar:
        for setting in todo:
            parts = []
            for _, number in setting.chunks():
                parts.append(next(results))
                bar.update(number * setting.options["queries"])
            yield setting.table(parts)


def _results(todo: Sequence[Setting], scheduler: Any, n_jobs: int) -> Iterator[Any]:
    """Yield the result of every chunk of every setting, in order."""
    tasks = [(setting, chunk) for setting in todo for chunk in setting.chunks()]
    if scheduler is not None and tasks:
        yield from results(tasks, scheduler)
        return
    if n_jobs != 1:
        import joblib

        n_jobs = joblib.effective_n_jobs(n_jobs)
    if n_jobs == 1:
        for setting, chunk in tasks:
            yield setting.run(chunk)
        return
    with ThreadPoolExecutor(n_jobs) as pool:

        def submit(setting: Setting, chunk: Chunk) -> Any:
            return pool.submit(setting.run, chunk)

        yield from in_order(tasks, submit, 2 * n_jobs)
