"""A learner within another: what both of them have to be written as."""

from typing import Any

from ..core.one_session import as_one_session
from ..errors import InputError


def within(learner: object, who: str, n_models: int) -> Any:
    """Return a learner as it is written for one session, to be held by another.

    Parameters
    ----------
    learner : object
        As the pool makes it.
    who : str
        Who holds it, for the message.
    n_models : int

    Raises
    ------
    InputError
        It is written over a session axis alone, or returns its next state.

    Examples
    --------
    >>> import pickllm as pk
    >>> within(pk.LinearRewardInaction(0.2), "PerContext", n_models=2)
    OneAutomaton(learning_rate=0.2)
    """
    name = type(learner).__name__
    alone = as_one_session(learner)
    if alone is None:
        raise InputError(
            f"{who}: takes a learner written for one session, got {name} over a"
            " session axis; write start(n_models) and update(state, arm, reward)"
        )
    if alone.update(alone.start(n_models), 0, 0.5) is not None:
        raise InputError(
            f"{who}: takes a learner that changes its state in place, got {name}, whose"
            " update returns the next one; write into the state's arrays"
        )
    return alone
