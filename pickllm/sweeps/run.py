"""Sweeps: every combination of contexts, rewards and learners, here or on a cluster, kept on disk if wished.

A setting is one combination. Its sessions are replayed in chunks that depend on its size alone, so that
the same bytes come out of one process, of threads, and of a cluster that loses a worker. With a folder,
each finished setting is a Parquet file that carries the hash of everything it depends on, and a sweep
that was stopped goes on with what is missing.
"""

import inspect
import itertools
import pathlib
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields

from ..core.prepared import checkpoint_marks, prepare, require_order
from ..core.replay import replay
from ..errors import InputError, nearest
from ..files import digest
from ..modules import code_hash
from .totals import merged, totals

#: Decisions to a chunk, where sums alone are kept and where every session's row is.
REDUCED, TABULATED = 2**25, 2**22


@dataclass(frozen=True, eq=False)
class Setting:
    """One combination: what to replay, and the columns that tell it apart."""

    labels: dict
    trace: object = field(repr=False)
    reward: object
    learner: object
    options: dict
    reduce: bool = False

    @property
    def decisions(self):
        """Routing decisions of all its sessions."""
        return self.options["sessions"] * self.options["queries"]

    def chunks(self):
        """Its sessions in chunks, as (first, number); they depend on the size alone."""
        sessions, queries = self.options["sessions"], self.options["queries"]
        size = max(1, (REDUCED if self.reduce else TABULATED) // queries)
        size = size // 32 * 32 or size  # whole lanes
        return [
            (first, min(size, sessions - first)) for first in range(0, sessions, size)
        ]

    def run(self, chunk):
        """Return the result of one chunk: `Totals`, or the table of its sessions."""
        first, number = chunk
        options = self.options | {"sessions": number, "first": first}
        if self.reduce:
            return totals(self.trace, self.reward, self.learner, **options)
        return replay(
            self.trace, self.reward, self.learner, **options | {"checkpoints": 2}
        ).table()

    def table(self, results):
        """Return the setting's rows from its chunks' results, in their order."""
        import pandas as pd

        if not self.reduce:
            rows = pd.concat(results, ignore_index=True)
            return pd.concat(
                [pd.DataFrame(self.labels, index=rows.index), rows], axis=1
            )
        total = results[0]
        for result in results[1:]:
            total = merged(total, result)
        t = self.trace
        best = int(
            self.reward.raw(t.accuracy, t.cost_usd, t.latency_ms).mean(axis=0).argmax()
        )
        marks = checkpoint_marks(
            self.options.get("checkpoints", 100), self.options["queries"]
        )
        return pd.DataFrame(
            [
                self.labels
                | {"queries": self.options["queries"]}
                | total.row(t.models, best, marks)
            ]
        )

    def identity(self):
        """Return what the setting is, as plain data, whatever the version of the code."""
        return {
            "labels": self.labels,
            "trace": self.trace.fingerprint(),
            "reward": repr(self.reward),
            "learner": repr(self.learner),
            "options": {name: repr(value) for name, value in self.options.items()},
            "reduce": self.reduce,
        }

    def inputs(self):
        """Hash of everything that the result depends on: identity, this package's code, the learner's own."""
        kinds = [
            type(thing)
            for thing in (
                self.learner,
                self.reward,
                self.options.get("order"),
                self.options.get("lock"),
            )
        ]
        return digest(
            self.identity(),
            code(*kinds),
            *(_source(kind) for kind in kinds if not _is_ours(kind)),
        )


def code(*kinds):
    """Hash of the modules that a session's result depends on: this one's, and those where some classes stand."""
    return code_hash(
        pathlib.Path(__file__).resolve(),
        *(
            pathlib.Path(sys.modules[kind.__module__].__file__)
            for kind in kinds
            if _is_ours(kind)
        ),
    )


def _is_ours(kind):
    return kind.__module__.startswith("pickllm.")


def _source(kind):
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed in at a prompt
        return f"{kind.__module__}.{kind.__qualname__}"


def named(things, what):
    """``{name: thing}`` from a mapping, or from a sequence (or a single one) by label.

    Examples
    --------
    >>> import pickllm as pk
    >>> list(named([pk.QLearning(0.1, epsilon=0.2)], "learners"))
    ['QLearning(learning_rate=0.1, epsilon=0.2, initial_value=0.0)']
    """
    if not isinstance(things, dict):
        things = things if isinstance(things, (list, tuple)) else [things]
        things = {getattr(t, "label", None) or repr(t): t for t in things}
    if not things:
        raise InputError(f"sweep: {what} is empty; give at least one")
    return things


def settings(
    trace,
    rewards,
    learners,
    contexts=None,
    sessions=1000,
    queries=1000,
    seed=0,
    reduce=False,
    **options,
):
    """Every combination as a `Setting`, in order; parameters as in `sweep`."""
    contexts = (
        list(trace.contexts)
        if contexts is None
        else [contexts]
        if isinstance(contexts, str)
        else list(contexts)
    )
    if not contexts:
        raise InputError(
            "sweep: contexts is empty; give at least one of"
            f" {', '.join(trace.contexts)}"
        )
    unknown = set(options) - {"order", "lock", "engine", "checkpoints"}
    if unknown:
        raise InputError(
            f"sweep: unknown option {min(unknown)!r};"
            f" {nearest(min(unknown), ['order', 'lock', 'engine', 'checkpoints'])}"
        )
    options = {"sessions": sessions, "queries": queries, "seed": seed} | options
    rewards, learners = named(rewards, "rewards"), named(learners, "learners")
    parts = {context: trace.select(context=context) for context in contexts}
    # every mistake shows before anything runs
    first = next(iter(parts.values()))
    for reward, learner in itertools.product(rewards.values(), learners.values()):
        checks = {k: v for k, v in options.items() if k != "engine"}
        prepare(first, reward, learner, **checks)
    order = options.get("order", "bootstrap")
    for part in parts.values():
        require_order(order, queries, part.n_queries)
    return [
        Setting(
            {
                "context": context,
                "reward_form": form,
                "learner": name,
                **parameters(learner),
            },
            part,
            reward,
            learner,
            options,
            reduce,
        )
        for context, part in parts.items()
        for form, reward in rewards.items()
        for name, learner in learners.items()
    ]


def sweep(
    trace,
    rewards,
    learners,
    contexts=None,
    sessions=1000,
    queries=1000,
    seed=0,
    scheduler=None,
    *,
    folder=None,
    reduce=False,
    progress=False,
    n_jobs=1,
    **options,
):
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
    >>> table = sweep(trace, pk.Reward(), pk.QLearning(), contexts=["rest"], sessions=3, queries=20)
    >>> len(table), table.context.unique().tolist(), table.epsilon.unique().tolist()
    (3, ['rest'], [0.1])
    """
    import pandas as pd

    plan = settings(
        trace, rewards, learners, contexts, sessions, queries, seed, reduce, **options
    )
    tables, _ = execute(plan, folder, scheduler, n_jobs, progress)
    return pd.concat(tables, ignore_index=True)


def parameters(learner):
    """Return a learner's scalar parameters, by name."""
    try:
        names = [f.name for f in fields(learner) if f.name != "index"]
    except TypeError:  # not a dataclass
        names = []
    values = {name: getattr(learner, name) for name in names}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (int, float, str, bool))
    }


# Running settings, and keeping what is finished


def execute(plan, folder=None, scheduler=None, n_jobs=1, progress=False, keep=True):
    """Return the settings' tables, computed or, where a folder holds them already, reused.

    Parameters
    ----------
    plan : list of Setting
    keep : bool
        Whether to return the tables; without, memory holds one setting at a time.

    Returns
    -------
    list of pandas.DataFrame
        In the plan's order; empty unless `keep`.
    dict
        ``computed`` and ``reused`` settings, and the files ``set_aside``.
    """
    from tqdm import tqdm

    from .store import Store

    store = Store(folder) if folder is not None else None
    found = [store.read(setting) if store else None for setting in plan]
    missing = [i for i, table in enumerate(found) if table is None]
    if not keep:
        found = [None] * len(plan)
    todo = [plan[i] for i in missing]
    bar = tqdm(
        total=sum(s.decisions for s in todo),
        unit="dec",
        unit_scale=True,
        desc="sweep",
        disable=not progress or not todo,
        smoothing=0.05,
    )
    with bar:
        for i, setting, results in _by_setting(
            missing, todo, _results(todo, scheduler, n_jobs), bar
        ):
            table = setting.table(results)
            if store:
                store.write(setting, table)
            if keep:
                found[i] = table
    return found if keep else [], {
        "computed": len(missing),
        "reused": len(plan) - len(missing),
        "set_aside": store.set_aside if store else [],
    }


def _by_setting(numbers, todo, results, bar):
    """Each setting with all its chunks' results, as soon as the last one is there."""
    for i, setting in zip(numbers, todo, strict=True):
        parts = []
        for _, number in setting.chunks():
            parts.append(next(results))
            bar.update(number * setting.options["queries"])
        yield i, setting, parts


def _results(todo, scheduler, n_jobs):
    """Yield the result of every chunk of every setting, in order."""
    tasks = [(setting, chunk) for setting in todo for chunk in setting.chunks()]
    if scheduler is not None and tasks:
        from .workers import results

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
        yield from in_order(
            tasks, lambda setting, chunk: pool.submit(setting.run, chunk), 2 * n_jobs
        )


def in_order(tasks, submit, ahead):
    """Results in the order of the tasks, with a few tasks under way; the rest are dropped when the reader stops."""
    waiting = deque()
    try:
        for setting, chunk in tasks:
            waiting.append(submit(setting, chunk))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
