"""What a multiverse says: how often a claim holds, and what decides whether it does."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.statistics import share
from ..core.trace import Trace
from ..experiments import RATES, ROUTERS
from .choices import CHOICES, LOCK_FADED, Places
from .claims import NAMES
from .multiverse import measure, multiverse
from .multiverse import specifications as drawn_specifications

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
#: Share of sessions that "converges" and "on the right LLM" ask for.
BOUND = 0.95
#: Points of accuracy, or of a stated change, that count as near.
NEAR = 0.05
#: Of base points, for the interval of an index.
RESAMPLES = 200
#: Columns of shares.
SHARED = ["claim", "label", "learner"]
COUNTED = ["specifications", "share", "low", "high"]
#: Standard errors to either side of a 95 % interval.
Z = 1.96


class Rule(NamedTuple):
    """When a claim holds in a world.

    The rules were written before shares were worked out, but after a first look at mean
    effects over some 2,000 specifications; none was changed since.

    Attributes
    ----------
    label : str
    holds : callable
        Table of `multiverse` -> bool of each row.
    """

    label: str
    holds: "Callable[[pd.DataFrame], Any]"


def _at_least(measure: str) -> "Callable[[pd.DataFrame], Any]":
    return lambda table: table[measure] >= BOUND


def _below(effect: str, limit: float = 0.0) -> "Callable[[pd.DataFrame], Any]":
    """Say that a change's whole interval lies below a limit."""
    return lambda table: table[effect] + Z * table[f"{effect}_se"] < limit


def _above(effect: str, limit: float = 0.0) -> "Callable[[pd.DataFrame], Any]":
    return lambda table: table[effect] - Z * table[f"{effect}_se"] > limit


def near(stated: Mapping[str, float]) -> "Callable[[pd.DataFrame], Any]":
    """Say that all of some changes lie within `NEAR` of what was stated."""

    def holds(table: "pd.DataFrame") -> Any:
        inside = np.ones(len(table), bool)
        for effect, value in stated.items():
            inside &= (table[effect] - value).abs() <= NEAR
        return inside

    return holds


#: Two savings that one summary states.
SAVINGS = {"cost_vs_dearest": -0.60, "latency_vs_random": -0.52}
#: What two summaries state; the second names no baseline.
STATED = {
    "-60 % cost against the dearest": {"cost_vs_dearest": SAVINGS["cost_vs_dearest"]},
    "-52 % latency against random choice": {
        "latency_vs_random": SAVINGS["latency_vs_random"]
    },
    "both of these": SAVINGS,
} | {
    f"-20 %, -15 %, +10 points against {words}": {
        f"cost_vs_{whom}": -0.20,
        f"latency_vs_{whom}": -0.15,
        f"accuracy_vs_{whom}": 0.10,
    }
    for whom, words in (
        ("dearest", "the dearest"),
        ("random", "random choice"),
        ("best", "the best single LLM"),
    )
}

RULES = {
    "converges": Rule("95 % of sessions lock", _at_least("locked")),
    "best": Rule("95 % lock on the best LLM", _at_least("locked_on_best")),
    "within 1 %": Rule(
        "95 % lock within 1 % of the best", _at_least("locked_within_1pct")
    ),
    "cheaper than dearest": Rule(
        "cheaper than the dearest LLM", _below("cost_vs_dearest")
    ),
    "cheaper than random": Rule("cheaper than random choice", _below("cost_vs_random")),
    "faster than dearest": Rule(
        "faster than the dearest LLM", _below("latency_vs_dearest")
    ),
    "faster than random": Rule(
        "faster than random choice", _below("latency_vs_random")
    ),
    "faster than best": Rule(
        "faster than the best single LLM", _below("latency_vs_best")
    ),
    "accuracy kept": Rule(
        "accuracy within 5 points of the dearest", _above("accuracy_vs_dearest", -NEAR)
    ),
    "more accurate than random": Rule(
        "more accurate than random choice", _above("accuracy_vs_random")
    ),
    "gain": Rule(
        "cheaper than random, no less accurate",
        lambda table: (
            _below("cost_vs_random")(table) & (table.accuracy_vs_random >= 0.0)
        ),
    ),
    **{words: Rule(words, near(stated)) for words, stated in STATED.items()},
}
RATE = "a higher learning rate locks sooner"
#: What indices are worked out for.
DECIDED = ("locked", "locked_on_best", "cost_vs_random", "latency_vs_random")

#: The claims that the first sentence speaks of.
SPOKEN = (
    "converges",
    "best",
    "within 1 %",
    "cheaper than dearest",
    "cheaper than random",
    "gain",
)
#: The choices under a specification curve.
CURVE_CHOICES = ("learner", "form", "cost_unit", "mapping", "queries")
WORDS = {
    "p_lock": "the threshold to lock",
    "q_lock": "the lock rule",
    "w_cost": "the weight of cost",
    "w_latency": "the weight of latency",
    "t_scaling": "the scale of latency",
    "form": "the form of the reward",
    "mapping": "the mapping to [0, 1]",
    "queries": "the session's length",
    "values": "how values are kept",
    "pool": "the pool",
    "context": "the context",
}
MEASURE_WORDS = {
    "locked": "whether sessions lock",
    "locked_on_best": "whether on the best LLM",
    "cost_vs_random": "cost against random choice",
    "latency_vs_random": "latency against random choice",
}
EFFECT_WORDS = {
    "cost_vs_dearest": "cost against the dearest LLM",
    "latency_vs_random": "latency against random choice",
}


def shares(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the share of specifications in which each claim holds, by learner.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `multiverse`.

    Returns
    -------
    pandas.DataFrame
        ``claim``, ``label``, ``learner``, ``specifications``, ``share``, ``low``,
        ``high`` (Wilson's interval over specifications).
    """
    import pandas as pd

    rows = [
        (claim, rule.label, learner, *_counted(rule.holds(part)))
        for claim, rule in RULES.items()
        for learner, part in table.groupby("learner", sort=True)
    ]
    return pd.DataFrame(rows, columns=[*SHARED, *COUNTED])


def _counted(holds: Any) -> tuple[Any, ...]:
    """Return how many worlds there are, and the share in which something holds."""
    yes = np.asarray(holds, bool)
    return len(yes), *share(int(yes.sum()), len(yes))


def by_choice(table: "pd.DataFrame", claims: Sequence[str]) -> "pd.DataFrame":
    """Return the share in which each claim holds at each level of each choice.

    Choices that are numbers from a spread are cut in four parts of equal size.

    Returns
    -------
    pandas.DataFrame
        ``claim``, ``learner``, ``choice``, ``level``, ``specifications``, ``share``,
        ``low``, ``high``.
    """
    import pandas as pd

    rows = []
    for learner, part in table.groupby("learner", sort=True):
        for claim in claims:
            holds = pd.Series(np.asarray(RULES[claim].holds(part), bool), part.index)
            for name in ("context", *CHOICES):
                for level, index in _levels(part, name).items():
                    found = _counted(holds.loc[index])
                    rows.append((claim, learner, name, level, *found))
    names = ["claim", "learner", "choice", "level"]
    return pd.DataFrame(rows, columns=names + COUNTED)


def _levels(part: "pd.DataFrame", name: str) -> dict[str, Any]:
    """Return the rows at each level of a choice; none where a learner has no such."""
    import pandas as pd

    if name == "learner" or part[name].isna().all():
        return {}
    levels = part[name]
    if name in CHOICES and CHOICES[name].spread:
        levels = pd.qcut(levels, 4, duplicates="drop").astype(str)
    groups = levels.groupby(levels, sort=True).groups
    return {str(level): index for level, index in groups.items()}


def indices(
    trace: Trace, number: int = 256, sessions: int = 100, seed: int = 0
) -> "pd.DataFrame":
    """Return how much of what is measured each choice decides, alone and in all.

    First-order and total indices of Sobol', by the design of Saltelli et al. (2010,
    *Computer Physics Communications* 181, 259-270), for each learner. Where a lock
    waits for exploration that never falls, exploration falls.

    Parameters
    ----------
    trace : Trace
    number : int
        Of base points, a power of 2; as many times 2 more than the choices are
        replayed.
    sessions, seed
        As in `multiverse`.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``measure``, ``choice``, ``first``, ``total``, and the total's 95 %
        interval over base points, ``low`` and ``high``.
    """
    import pandas as pd

    places = Places(trace)
    return pd.concat(
        [_indices(places, name, number, sessions, seed) for name in ROUTERS],
        ignore_index=True,
    )


def _indices(
    places: Places, learner: str, number: int, sessions: int, seed: int
) -> "pd.DataFrame":
    """Return the indices of one learner's choices."""
    import pandas as pd
    from scipy.stats import qmc

    n_choices = len(places.names)
    cube = qmc.Sobol(2 * n_choices, seed=seed).random(number)
    mine, other = cube[:, :n_choices], cube[:, n_choices:]
    measures = [
        _measured(places, design, learner, sessions, seed) for design in (mine, other)
    ]
    for j, name in enumerate(places.names):
        if not _asks(learner, name):
            measures.append(measures[0])
            continue
        crossed = mine.copy()
        crossed[:, j] = other[:, j]
        measures.append(_measured(places, crossed, learner, sessions, seed))
    values = np.stack(measures)
    found = _sobol(values)
    rng = np.random.default_rng(seed)
    draws = (rng.integers(number, size=number) for _ in range(RESAMPLES))
    totals = np.stack([_sobol(values[..., some])[1] for some in draws])
    low, high = np.nanquantile(totals, [0.025, 0.975], axis=0)
    columns = *found, low, high
    rows = [
        (learner, what, name, *(column[i, j] for column in columns))
        for i, what in enumerate(DECIDED)
        for j, name in enumerate(places.names)
        if _asks(learner, name)
    ]
    names = ["learner", "measure", "choice", "first", "total", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def _sobol(values: Floats) -> tuple[Floats, Floats]:
    """Return first-order and total indices, (n_measures, n_choices).

    Parameters
    ----------
    values : ndarray, (2 + n_choices, n_measures, n_points)
        At the points of two designs, and of the first with one choice of the other.
    """
    from scipy import stats

    given = {"f_A": values[0], "f_B": values[1], "f_AB": values[2:]}
    with np.errstate(divide="ignore", invalid="ignore"):  # where nothing varies
        found = stats.sobol_indices(func=given, n=values.shape[-1])
    return found.first_order, found.total_order


def _asks(learner: str, name: str) -> bool:
    """Return whether a choice is one of a learner's."""
    only = CHOICES[name].learner if name in CHOICES else ""
    return name != "learner" and only in ("", learner)


def _measured(
    places: Places, cube: Floats, learner: str, sessions: int, seed: int
) -> Floats:
    """Return `DECIDED` at places of the unit cube, (n_measures, n_places)."""
    table = places.table(cube, learner)
    never = (table.q_lock == LOCK_FADED) & (table.exploration == "constant")
    table["exploration"] = table.exploration.mask(never, "falling")
    table["seed"] = seed
    found = [measure(places, row, sessions) for row in table.to_dict("records")]
    return np.array([[row[name] for row in found] for name in DECIDED])


def rate_sets_speed(
    trace: Trace,
    number: int = 200,
    sessions: int = 100,
    seed: int = 0,
    n_jobs: int = 1,
) -> "pd.DataFrame":
    """Return in which worlds a higher learning rate locks sooner, all else the same.

    It holds where, from each rate to the next, the median time to lock does not become
    longer by more than two standard errors, and is shorter at the last than at the
    first. A median beyond the session is longer than any.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``learner``, ``holds``; worlds in which no rate locks are left out.
    """
    import pandas as pd

    base, _ = drawn_specifications(trace, number, seed)
    base = base[base["values"] != "averages"]
    every = pd.concat([base.assign(learning_rate=rate) for rate in RATES])
    table = multiverse(trace, every.reset_index(drop=True), sessions, seed, n_jobs)
    rows = []
    for (number, learner), part in table.groupby(["id", "learner"], sort=True):
        part = part.sort_values("learning_rate")
        times = part.median_locked_at.fillna(np.inf).to_numpy()
        errors = part.median_locked_at_se.fillna(0.0).to_numpy()
        if np.isinf(times).all():
            continue
        rows.append((number, learner, falls(times, errors)))
    return pd.DataFrame(rows, columns=["id", "learner", "holds"])


def rate_shares(rates: "pd.DataFrame") -> "pd.DataFrame":
    """Return what `rate_sets_speed` found as rows of `shares`."""
    import pandas as pd

    rows = [
        ("rate", RATE, learner, *_counted(part.holds))
        for learner, part in rates.groupby("learner", sort=True)
    ]
    return pd.DataFrame(rows, columns=[*SHARED, *COUNTED])


def falls(times: Floats, errors: Floats) -> bool:
    """Return whether times never grow by more than two errors, and fall in all.

    Examples
    --------
    >>> falls(np.array([np.inf, 300.0, 120.0]), np.array([0.0, 9.0, 5.0]))
    True
    """
    late = np.hypot(errors[1:], errors[:-1])
    known = np.isfinite(times[:-1])
    longer = times[1:][known] - times[:-1][known] > 2 * late[known]
    return bool(not longer.any() and times[-1] < times[0])


def stated_quantiles(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return where each stated number lies among the worlds, by learner.

    Returns
    -------
    pandas.DataFrame
        ``effect``, ``stated``, ``learner``, ``quantile`` (share of worlds below), and
        the 5th, 50th and 95th percentile of the worlds: ``p5``, ``p50``, ``p95``.
    """
    import pandas as pd

    rows = []
    stated = {
        (effect, value)
        for several in STATED.values()
        for effect, value in several.items()
    }
    for effect, value in sorted(stated):
        for learner, part in table.groupby("learner", sort=True):
            effects = part[effect].to_numpy()
            quantile = float((effects < value).mean())
            levels = np.quantile(effects, [0.05, 0.5, 0.95]).tolist()
            rows.append((effect, value, learner, quantile, *levels))
    columns = ["effect", "stated", "learner", "quantile", "p5", "p50", "p95"]
    return pd.DataFrame(rows, columns=columns)


def nearest_worlds(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the specification that comes nearest to each stated set of numbers.

    Returns
    -------
    pandas.DataFrame
        ``stated``, ``distance`` (the largest difference, as a share), and the row of
        the table.
    """
    import pandas as pd

    rows = []
    for words, several in STATED.items():
        away = pd.concat(
            [(table[effect] - value).abs() for effect, value in several.items()], axis=1
        ).max(axis=1)
        row = table.loc[away.idxmin()]
        rows.append({"stated": words, "distance": float(away.min()), **row.to_dict()})
    return pd.DataFrame(rows)


def curve(table: "pd.DataFrame", effect: str, bins: int = 40) -> "pd.DataFrame":
    """Return the specification curve of an effect: worlds in order, and their choices.

    Worlds are sorted by the effect and cut in bins of equal size (Simonsohn, Simmons
    and Nelson 2020, *Nature Human Behaviour* 4, 1208-1214).

    Parameters
    ----------
    table : pandas.DataFrame
        Of `multiverse`.
    effect : str
    bins : int

    Returns
    -------
    pandas.DataFrame
        ``effect``, ``bin``, ``choice``, ``level``, ``value``: for choice ``""`` the
        median effect of the bin, with ``low`` and ``high``, the median ends of its
        worlds' 95 % intervals over sessions; else how much more often than in all
        worlds the level stands in this bin (1: as often).
    """
    import pandas as pd

    ordered = table.sort_values([effect, "id"]).reset_index(drop=True)
    place = np.arange(len(ordered)) * bins // len(ordered)
    half = Z * ordered[f"{effect}_se"]
    ends = {"value": ordered[effect], "low": ordered[effect] - half}
    ends["high"] = ordered[effect] + half
    parts = [pd.DataFrame(ends).groupby(place).median().assign(choice="", level="")]
    for name in CURVE_CHOICES:
        for level in CHOICES[name].candidates:
            here = (ordered[name] == level).groupby(place).mean()
            often = here / max((ordered[name] == level).mean(), 1e-12)
            part = pd.DataFrame({"value": often, "choice": name, "level": str(level)})
            parts.append(part)
    long = pd.concat(parts).rename_axis("bin").reset_index()
    long.insert(0, "effect", effect)
    return long[["effect", "bin", "choice", "level", "value", "low", "high"]]


def describe(
    trace: Trace,
    table: "pd.DataFrame",
    refused: "pd.DataFrame",
    rates: "pd.DataFrame",
    decided: "pd.DataFrame",
) -> list[str]:
    """Say what a multiverse found, in sentences that a reader can quote."""
    found = shares(table).set_index(["claim", "learner"]).share
    sessions = f"{len(table):,} specifications ({len(refused):,} more are impossible)"
    where = f"{len(trace.models)} LLMs and {len(trace.contexts)} contexts"
    opening = f"Over {sessions} of {trace.name}, {where}, in pools of four: "
    sentences = [opening + "; ".join(_held(found, claim) for claim in SPOKEN) + "."]
    for learner, part in rates.groupby("learner", sort=True):
        sentences.append(
            f"A higher learning rate locks {NAMES[learner]} sooner, all else the same,"
            f" in {100 * part.holds.mean():.0f} % of {len(part):,} worlds."
        )
    quantiles = stated_quantiles(table)
    for effect, stated in SAVINGS.items():
        mine = quantiles[(quantiles.effect == effect) & (quantiles.stated == stated)]
        ranges = "; ".join(
            f"{NAMES[row.learner]} {100 * row.p5:+.0f} to {100 * row.p95:+.0f} %,"
            f" median {100 * row.p50:+.0f} %,"
            f" {100 * row.quantile:.0f} % of worlds below"
            for row in mine.itertuples()
        )
        sentences.append(
            f"The stated {100 * stated:+.0f} % ({EFFECT_WORDS[effect]}) among the"
            f" worlds (5 to 95 %): {ranges}."
        )
    sentences += [_decides(decided, learner) for learner in ROUTERS if len(decided)]
    return sentences


def _held(found: Any, claim: str) -> str:
    """Say in which share of its worlds each learner meets a claim."""
    numbers = ", ".join(
        f"{NAMES[name]} {100 * found[claim, name]:.1f} %"
        for name in ROUTERS
        if (claim, name) in found.index
    )
    return f"{RULES[claim].label} in {numbers}"


def said(choice: str) -> str:
    """Return how a sentence names a choice.

    Examples
    --------
    >>> said("q_lock"), said("learning_rate")
    ('the lock rule', 'learning rate')
    """
    return WORDS.get(choice, choice.replace("_", " "))


def _decides(decided: "pd.DataFrame", learner: str) -> str:
    """Say which choice has the largest total index on each measure."""
    parts = []
    for what in DECIDED:
        mine = decided[(decided.learner == learner) & (decided.measure == what)]
        top = mine.sort_values("total", ascending=False).head(2)
        names = " and ".join(
            f"{said(row.choice)} ({row.total:.2f})" for row in top.itertuples()
        )
        parts.append(f"{MEASURE_WORDS[what]} by {names}")
    return f"What decides for {NAMES[learner]} (total indices): {'; '.join(parts)}."
