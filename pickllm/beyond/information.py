"""How many queries any learner needs to tell the best LLM of a context from the next.

No learner, whatever it does, needs fewer: the bound of Garivier and Kaufmann (2016,
*COLT*, theorem 1), and where an LLM nearly as good will do, that of Degenne and Koolen
(2019, *NeurIPS*, "Pure exploration with multiple correct answers"). With K_i(x) the
`bounds.divergence` of LLM i's rewards down to a mean x, and K_j(y) that of LLM j's up
to y,

    1 / T = max over LLMs i that will do, and over shares w, of
            min over j != i and y of  w_i K_i(x) + w_j K_j(y)

where an LLM of mean y is better than one of mean x by the margin exactly. A learner
that is wrong with probability at most delta in every pool expects at least
T kl(delta, 1 - delta) queries; where several LLMs will do, that is so as delta falls.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..core.protocols import Floats
from ..core.reward import Reward
from ..core.trace import Trace
from ..errors import InputError
from .bounds import divergence, least_time

if TYPE_CHECKING:
    import pandas as pd

#: Width of the cells that rewards are merged in, each to its mean; that moves a
#: variance by 1e-6.
CELL = 0.002
#: Values of y tried between two, and how often they are drawn closer around the least.
GRID, ROUNDS = 33, 4
#: A mean reward is off 0 and 1 at least by this.
EDGE = 1e-9


class Law(NamedTuple):
    """An LLM's rewards in one context: values, and the share of each."""

    values: Floats
    shares: Floats

    @property
    def mean(self) -> float:
        """The mean reward."""
        return float(self.values @ self.shares)


@dataclass(frozen=True)
class Margin:
    """By how much an LLM may be worse than the best and still do.

    Parameters
    ----------
    share : float
        Of the better LLM's mean raw reward, in [0, 1).
    low, high : float
        The raw rewards mapped to 0 and 1.
    """

    share: float
    low: float
    high: float

    def worst(self, y: Floats) -> Floats:
        """Return the least mean, in unit reward, that will do beside a mean y.

        Examples
        --------
        >>> Margin(0.1, 0.0, 2.0).worst(np.array([0.5])).tolist()
        [0.45]
        """
        raw = self.low + (self.high - self.low) * y
        return (raw - self.share * abs(raw) - self.low) / (self.high - self.low)

    def least_better(self, x: float) -> float:
        """Return the mean y beside which x just does: the inverse of `worst`."""
        raw = self.low + (self.high - self.low) * x
        better = raw / (1.0 - self.share if raw >= 0 else 1.0 + self.share)
        return (better - self.low) / (self.high - self.low)


def least_queries(
    trace: Trace, reward: Reward, error: float = 0.05, margin: float = 0.01
) -> "pd.DataFrame":
    """Return how many queries any learner needs in each context to know the best LLM.

    Parameters
    ----------
    trace : Trace
    reward : Reward
    error : float
        Probability of naming a wrong LLM that the learner may have in any pool, in
        (0, 0.5).
    margin : float
        An LLM will do whose mean raw reward is this near to the best, relatively.

    Returns
    -------
    pandas.DataFrame
        A row per context. ``best``, ``next``: the LLMs of the highest mean rewards;
        ``gap``: between these two, raw, in percent of the best. ``t_star``: T, queries
        per nat; ``queries``: the least expected to name the best (inf where two are
        equally the best). ``will_do``: how many LLMs are within the margin;
        ``queries_within``: the least expected to name one of them.

    Raises
    ------
    InputError

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    >>> found = least_queries(trace, pk.Reward())
    >>> found.best.item(), bool(found.queries.item() > 500)
    ('claude-3-haiku-20240307', True)
    """
    import pandas as pd

    _require(error, margin)
    reward = reward.within(trace.limits)
    allowed = Margin(margin, *reward.declared_bounds())
    parts = (trace.select(context=context) for context in trace.contexts)
    return pd.DataFrame([_row(part, reward, error, allowed) for part in parts])


def _row(
    part: Trace, reward: Reward, error: float, margin: Margin
) -> dict[str, object]:
    """Return the row of one context."""
    unit = reward.unit(part.accuracy, part.cost_usd, part.latency_ms)
    laws = [law_of(rewards) for rewards in unit.T]
    mean = np.array([law.mean for law in laws])
    order = (-mean).argsort(kind="stable")
    best, second = int(order[0]), int(order[min(1, len(order) - 1)])
    exact = Margin(0.0, margin.low, margin.high)
    t_star = tell_apart(laws, best, exact)
    will_do = np.flatnonzero(mean >= margin.worst(mean[best]) - EDGE)
    t_within = min(tell_apart(laws, int(i), margin) for i in will_do)
    raw = margin.low + (margin.high - margin.low) * mean
    gap = raw[best] - raw[second]
    return {
        "context": part.contexts[0],
        "best": part.models[best],
        "next": part.models[second],
        "gap": float(100.0 * gap / abs(raw[best])) if raw[best] else np.nan,
        "t_star": t_star,
        "queries": float(least_time(t_star, error)),
        "will_do": len(will_do),
        "queries_within": float(least_time(t_within, error)),
    }


def law_of(rewards: Floats) -> Law:
    """Return unit rewards as a law of few values: each cell's mean, and its share."""
    cell = (np.asarray(rewards, float) / CELL).astype(int)
    count = np.bincount(cell)
    total = np.bincount(cell, weights=rewards)
    filled = count > 0
    return Law(total[filled] / count[filled], count[filled] / len(rewards))


def tell_apart(laws: list[Law], answer: int, margin: Margin) -> float:
    """Return T for one answer: queries per nat against all that would make it wrong.

    Parameters
    ----------
    laws : list of Law
    answer : int
        The LLM that is named.
    margin : Margin

    Returns
    -------
    float
        0 where no pool makes the answer wrong, as of a single LLM; inf where the answer
        is wrong, or just right.
    """
    better = margin.least_better(laws[answer].mean)
    means = {j: law.mean for j, law in enumerate(laws) if j != answer}
    if any(mean >= better for mean in means.values()):
        return np.inf
    # an answer whose mean is 0 cannot fall: beside a lower y it always does
    least_y = margin.least_better(EDGE)
    between = {
        j: (max(mean, least_y), min(better, 1.0 - EDGE))
        for j, mean in means.items()
        if least_y < 1.0 - EDGE
    }
    if not between:
        return 0.0
    evidence: list[Floats] = []
    least = 0.0
    for _ in range(ROUNDS):
        tried = {j: np.linspace(*between[j], GRID) for j in between}
        rows = {j: _evidence(laws, answer, j, tried[j], margin) for j in between}
        evidence += rows.values()
        shares, least = _best_shares(np.vstack(evidence))
        for j in between:
            here = int((rows[j] @ shares).argmin())
            y = tried[j]
            between[j] = y[max(here - 1, 0)], y[min(here + 1, GRID - 1)]
    return 1.0 / least if least > 0 else np.inf


def _evidence(
    laws: list[Law], answer: int, rival: int, y: Floats, margin: Margin
) -> Floats:
    """Return nats that a query to each LLM gives against a rival of mean y.

    Returns
    -------
    ndarray, (n, n_models)
        A row for each y.
    """
    x = margin.worst(y)
    found = np.zeros((len(y), len(laws)))
    own, other = laws[answer], laws[rival]
    found[:, answer] = divergence(1.0 - own.values, 1.0 - x, own.shares)
    found[:, rival] = divergence(other.values, y, other.shares)
    return found


def _best_shares(evidence: Floats) -> tuple[Floats, float]:
    """Return the shares whose least evidence per query is the most, and that."""
    from scipy.optimize import linprog

    n_rows, n_models = evidence.shape
    found = linprog(
        -np.eye(n_models + 1)[n_models],
        A_ub=np.column_stack([-evidence, np.ones(n_rows)]),
        b_ub=np.zeros(n_rows),
        A_eq=[[1.0] * n_models + [0.0]],
        b_eq=[1.0],
        method="highs",
    )
    return found.x[:n_models], float(found.x[n_models])


def _require(error: float, margin: float) -> None:
    if not 0 < error < 0.5:
        raise InputError(
            f"least_queries: error must be in (0, 0.5), got {error!r}; no query is"
            " needed to be wrong half of the time"
        )
    if not 0 <= margin < 1:
        raise InputError(
            f"least_queries: margin must be in [0, 1), got {margin!r}; 0.01 is 1 % of"
            " the best"
        )
