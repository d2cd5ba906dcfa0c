"""Sweeps: every combination of contexts, rewards and learners, replayed into one tidy table."""

from dataclasses import fields

from .errors import InputError
from .sessions import replay


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


def sweep(trace, rewards, learners, contexts=None, sessions=1000, queries=1000, seed=0, scheduler=None, **options):
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
    scheduler : None
        Where to run; None is this process.
    **options
        Passed on to `replay` (``order``, ``lock``, ``n_jobs``).

    Returns
    -------
    pandas.DataFrame
        One row per setting and session: ``context``, ``reward`` and ``learner`` (names), the learner's
        parameters, then the columns of `Sessions.table`.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11")
    >>> table = sweep(trace, pk.Reward(), pk.QLearning(), contexts=["rest"], sessions=3, queries=20)
    >>> len(table), table.context.unique().tolist(), table.epsilon.unique().tolist()
    (3, ['rest'], [0.1])
    """
    import pandas as pd

    if scheduler is not None:
        raise InputError(f"sweep: no scheduler of the kind {scheduler!r}; leave it out to run in this process")
    parts = []
    for context in trace.contexts if contexts is None else contexts:
        here = trace.select(context=context)
        for reward_name, reward in named(rewards, "rewards").items():
            for learner_name, learner in named(learners, "learners").items():
                s = replay(here, reward, learner, sessions=sessions, queries=queries, seed=seed, checkpoints=2, **options)
                setting = {"context": context, "reward_form": reward_name, "learner": learner_name, **parameters(learner)}
                table = s.table()
                parts.append(pd.concat([pd.DataFrame(setting, index=table.index), table], axis=1))
    return pd.concat(parts, ignore_index=True)


def parameters(learner):
    """A learner's scalar parameters, by name."""
    try:
        names = [f.name for f in fields(learner) if f.name != "index"]
    except TypeError:  # not a dataclass
        names = []
    values = {name: getattr(learner, name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, (int, float, str, bool))}
