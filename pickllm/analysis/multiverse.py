"""Every reading, every pool: what becomes of the paper's claims in all of them.

The paper leaves open which LLMs, which reward, which parameters and when a session has
converged. Each open point is a `Choice` here, with its candidates; a specification is
one candidate of each. `multiverse` replays many specifications, spread over all of them
(a multiverse analysis: Steegen, Tuerlinckx, Gelman and Vanpaemel 2016, *Perspectives on
Psychological Science* 11, 702-712).
"""

# joblib has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

import functools
import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..beyond.readings import QReading, RunningAutomaton
from ..core.compiled import reduce_compiled
from ..core.learners import LinearRewardInaction, QLearning
from ..core.locking import GreedyUnchanged, LockRule, MaxProbability
from ..core.pool import Limits, Price, declare_limits, declared_pools, read_prices
from ..core.prepared import Prepared, Tables, prepare, require_seed, require_whole
from ..core.reward import CENTS_PER_USD, FORMS, Reward
from ..core.trace import Trace
from ..errors import InputError, nearest
from ..experiments import FADED, POOL, RATES, ROUTERS
from ..files import digest, written
from ..modules import code_hash
from ..readers import read_text
from .blocks import in_blocks

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
#: What a file of specifications says that it is.
FORMAT = "pickllm specifications 1"
#: A locked LLM is as good as the best if its mean raw reward is this near, relatively.
AS_GOOD = 0.01
#: Exploration that falls: epsilon = 1 / (1 + DECAY t), and where a session then locks.
DECAY = 0.05
#: How near values must stay to be settled, and how far apart the two largest be.
TOLERANCE = 0.01
GAP = 0.05
GAP_QUERIES = 50
NEVER_FADES = f"a constant epsilon never falls below {FADED:g}, so no session locks"
#: Specifications to a piece of work.
PIECE = 50


@dataclass(frozen=True)
class Choice:
    """One thing that the paper leaves open.

    Attributes
    ----------
    name : str
        The column of the table.
    candidates : tuple
        All equally likely; two numbers where `spread`.
    source : str
        Where the candidates come from.
    learner : str
        The only learner that has this choice; empty: both.
    spread : bool
        Whether all numbers between two candidates are, evenly in their logarithm.
    none : float
        Share of specifications at 0 in place of a number from a spread.
    """

    name: str
    candidates: tuple[Any, ...]
    source: str
    learner: str = ""
    spread: bool = False
    none: float = 0.0

    def __post_init__(self) -> None:
        if not self.candidates:
            raise InputError(
                f"multiverse: the choice {self.name!r} has no candidates; give at least"
                " one"
            )

    def at(self, u: Floats) -> NDArray[Any]:
        """Return the candidates at some places in [0, 1).

        Examples
        --------
        >>> choice = Choice("w_cost", (0.01, 1.0), "ours", spread=True, none=0.5)
        >>> choice.at(np.array([0.25, 0.75])).tolist()
        [0.0, 0.1]
        """
        if not self.spread:
            candidates = np.empty(len(self.candidates), object)
            candidates[:] = self.candidates
            return candidates[(u * len(candidates)).astype(int)]
        low, high = self.candidates
        part = (u - self.none) / (1.0 - self.none)
        numbers = np.where(part < 0.0, 0.0, low * (high / low) ** part)
        return np.array([float(f"{number:.6g}") for number in numbers])


LOCK_SURE = {f"p >= {p:g}": p for p in (0.9, 0.95, 0.99, 0.999)}
LOCK_UNCHANGED = {f"greedy unchanged for {n}": n for n in (50, 100, 200)}
LOCK_SETTLED = {f"values settled for {n}": n for n in (50, 100, 200)}
LOCK_GAP = f"gap of {GAP:g} for {GAP_QUERIES}"
LOCK_FADED = f"epsilon below {FADED:g}"

#: What the paper leaves open; the context and the pool are the trace's.
CHOICES = {
    choice.name: choice
    for choice in (
        Choice("learner", ROUTERS, "abstract"),
        Choice("learning_rate", RATES, "ours: slow and safe to fast and rash"),
        Choice("form", tuple(FORMS), "two summaries, and the abstract's plain words"),
        Choice("w_cost", (0.01, 1.0), "ours", spread=True, none=0.25),
        Choice("w_latency", (0.3, 3.0), "ours", spread=True),
        Choice("cost_unit", ("cents", "dollars", "dearest LLM"), "ours"),
        Choice("t_scaling", (1.0, 2.0, 3.0, 4.0), "ours: log10 of 10 ms to 10 s"),
        Choice(
            "mapping",
            ("declared", "twice as wide", "extremes", "running extremes"),
            "ours",
        ),
        Choice("queries", (100, 300, 1000, 3000), "ours"),
        Choice("p_lock", tuple(LOCK_SURE), "ours", "automaton"),
        Choice("epsilon", (0.01, 0.05, 0.1, 0.2, 0.3), "customary", "qlearning"),
        Choice("exploration", ("constant", "falling"), "textbooks", "qlearning"),
        Choice(
            "initial_value", ("0", "0.5", "1", "first reward"), "textbooks", "qlearning"
        ),
        Choice("values", ("constant rate", "averages"), "textbooks", "qlearning"),
        Choice("ties", ("random", "first"), "textbooks; the first study", "qlearning"),
        Choice(
            "q_lock",
            (*LOCK_UNCHANGED, *LOCK_SETTLED, LOCK_GAP, LOCK_FADED),
            "ours",
            "qlearning",
        ),
    )
}
#: Columns that say what a specification is.
COLUMNS = ("id", "context", "pool", *CHOICES, "seed")
#: What is measured of a specification; but for the median, which has an error of its
#: own, each with its standard error over sessions.
BASELINES = ("dearest", "random", "best")
SHARES = ("locked", "locked_on_best", "locked_within_1pct")
EFFECTS = tuple(
    f"{what}_vs_{whom}"
    for what in ("cost", "latency", "accuracy")
    for whom in BASELINES
)
MEASURES = (*SHARES, "median_locked_at", *EFFECTS)


class World(NamedTuple):
    """A specification as `replay` takes it.

    Attributes
    ----------
    trace : Trace
        Of the pool in the context.
    reward : Reward
        With its bounds.
    learner : object
    lock : LockRule
    ties : {"random", "first"}
    """

    trace: Trace
    reward: Reward
    learner: Any
    lock: LockRule
    ties: str


class Places:
    """Where specifications are drawn from: a trace's contexts and pools, and choices.

    Parameters
    ----------
    trace : Trace

    Raises
    ------
    InputError
        The trace has fewer LLMs than a pool.
    """

    def __init__(self, trace: Trace) -> None:
        if len(trace.models) < POOL:
            raise InputError(
                f"multiverse: a pool has {POOL} LLMs, the trace has"
                f" {len(trace.models)} ({', '.join(trace.models)}); give a trace of"
                " more"
            )
        self.trace = trace
        self.n_pools = math.comb(len(trace.models), POOL)
        self.names = ("context", "pool", *CHOICES)

    @cached_property
    def pools(self) -> list[str]:
        """Every pool, as names joined by ``|``."""
        return [
            "|".join(some) for some in itertools.combinations(self.trace.models, POOL)
        ]

    @cached_property
    def parts(self) -> dict[str, Trace]:
        """The trace's contexts."""
        names = self.trace.contexts
        return {name: self.trace.select(context=name) for name in names}

    def table(self, cube: Floats, learner: str = "") -> "pd.DataFrame":
        """Return the specifications at some places of the unit cube.

        Parameters
        ----------
        cube : ndarray, (n, n_choices)
            In [0, 1), choices in the order of `names`.
        learner : str
            In place of those drawn.
        """
        import pandas as pd

        choices = {
            "context": Choice("context", self.trace.contexts, "the trace"),
            "pool": Choice("pool", tuple(self.pools), "the trace"),
            **CHOICES,
        }
        drawn = zip(self.names, cube.T, strict=True)
        found = {name: choices[name].at(u) for name, u in drawn}
        table = pd.DataFrame(found).infer_objects()
        if learner:
            table["learner"] = learner
        for name, choice in CHOICES.items():
            if choice.learner:
                table[name] = table[name].where(table.learner == choice.learner)
        table["epsilon"] = table.epsilon.where(table.exploration == "constant")
        return table

    def limits(self, models: Sequence[str]) -> Limits:
        """Return the limits declared for a pool: token caps at its own dearest price.

        A trace whose pool is not declared with the kit has one set of limits.
        """
        declared = declared_pools().get(self.trace.name)
        if declared is None:
            return self.trace.limits
        return declare_limits(models, self.prices, declared)

    @cached_property
    def prices(self) -> dict[str, Price]:
        """The kit's dated prices."""
        return read_prices()

    def world(self, specification: Mapping[str, Any]) -> World:
        """Return a specification as `replay` takes it.

        Raises
        ------
        InputError
            It contradicts itself, or its trace.
        """
        names = str(specification["pool"]).split("|")
        context = specification["context"]
        if context not in self.parts:
            raise InputError(
                f"multiverse: unknown context {context!r};"
                f" {nearest(str(context), self.parts)}"
            )
        part = self.parts[context].select(models=names).fleeting()
        reward = _reward(specification, part, self.limits(names))
        learner, lock = _learner(specification)
        first = specification["ties"] == "first"
        return World(part, reward, learner, lock, "first" if first else "random")


def _reward(choice: Mapping[str, Any], part: Trace, limits: Limits) -> Reward:
    """Return the reward of a specification, with its bounds as numbers."""
    reward = Reward(
        form=choice["form"],
        w_cost=w_cost_in_cents(choice, part),
        w_latency=choice["w_latency"],
        t_scaling=choice["t_scaling"],
    )
    mapping = choice["mapping"]
    if mapping in ("declared", "twice as wide"):
        low, high = reward.within(limits).declared_bounds()
        half = (high - low) / 2 if mapping == "twice as wide" else 0.0
        return replace(reward, bounds=(low - half, high + half))
    raw = reward.raw(part.accuracy, part.cost_usd, part.latency_ms)
    low, high = float(raw.min()), float(raw.max())
    if not low < high:
        raise InputError(
            "multiverse: every answer of the pool has the same reward, so there is"
            f" nothing to learn, got {low:g} throughout; choose other weights"
        )
    return replace(reward, bounds=(low, high))


def w_cost_in_cents(choice: Mapping[str, Any], part: Trace) -> float:
    """Return the weight of cost as `Reward` takes it, whose unit is the US cent."""
    unit = choice["cost_unit"]
    if unit == "cents":
        return choice["w_cost"]
    if unit == "dollars":
        return choice["w_cost"] / CENTS_PER_USD
    dearest = CENTS_PER_USD * float(part.cost_usd.mean(axis=0).max())
    if not dearest > 0:
        raise InputError(
            "multiverse: cost relative to the dearest LLM needs one that costs"
            " something, got a pool that is free; choose cents"
        )
    return choice["w_cost"] / dearest


def _learner(choice: Mapping[str, Any]) -> tuple[Any, LockRule]:
    """Return the learner of a specification, and when its sessions lock."""
    rate = choice["learning_rate"]
    running = choice["mapping"] == "running extremes"
    if choice["learner"] == "automaton":
        learner = RunningAutomaton(rate) if running else LinearRewardInaction(rate)
        return learner, MaxProbability(LOCK_SURE[choice["p_lock"]])
    first = choice["initial_value"] == "first reward"
    falling = choice["exploration"] == "falling"
    reading = QReading(
        learning_rate=rate,
        epsilon=1.0 if falling else choice["epsilon"],
        decay=DECAY if falling else 0.0,
        initial_value=0.0 if first else float(choice["initial_value"]),
        first_reward=first,
        averages=choice["values"] == "averages",
        running=running,
    )
    lock = choice["q_lock"]
    if lock in LOCK_UNCHANGED:
        plain = QLearning(rate, reading.epsilon, reading.initial_value)
        same = reading == QReading(rate, reading.epsilon, 0.0, reading.initial_value)
        return plain if same else reading, GreedyUnchanged(LOCK_UNCHANGED[lock])
    if lock in LOCK_SETTLED:
        settled = {"tolerance": TOLERANCE, "patience": LOCK_SETTLED[lock]}
        return replace(reading, **settled), MaxProbability(1.0)
    if lock == LOCK_GAP:
        settled = {"gap": GAP, "patience": GAP_QUERIES}
        return replace(reading, **settled), MaxProbability(1.0)
    if not falling:
        raise InputError(f"multiverse: {NEVER_FADES}; let it fall")
    return reading, MaxProbability(1.0 - FADED + FADED / POOL)


def specifications(
    trace: Trace, number: int = 20_000, seed: int = 0, learner: str = ""
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return specifications spread over all choices, and those that are impossible.

    Sobol's sequence, scrambled (Owen 1998), fills the cube of all choices evenly.

    Parameters
    ----------
    trace : Trace
    number : int
        To draw, the impossible ones among them.
    seed : int
    learner : str
        The only one; empty: both.

    Returns
    -------
    possible : pandas.DataFrame
        `COLUMNS`, a row each; ``seed`` is that of its sessions.
    refused : pandas.DataFrame
        ``id`` and ``reason``.

    Examples
    --------
    >>> import pickllm as pk
    >>> possible, _ = specifications(pk.load_trace("bfcl-2024-08-11"), number=8)
    >>> possible.columns[:4].tolist()
    ['id', 'context', 'pool', 'learner']
    """
    require_whole("specifications", number)
    require_seed(seed)
    return drawn(Places(trace), range(number), seed, learner)


def drawn(
    places: Places, ids: range, seed: int, learner: str = ""
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return the specifications of some ids, possible and refused."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(places.names), seed=seed)
    if ids.start:
        sequence.fast_forward(ids.start)
    with warnings.catch_warnings():  # any number is wanted, not powers of 2 alone
        warnings.simplefilter("ignore", UserWarning)
        cube = sequence.random(len(ids))
    table = places.table(cube, learner)
    table.insert(0, "id", np.arange(ids.start, ids.stop))
    table["seed"] = seed + table.id
    never = (table.q_lock == LOCK_FADED) & (table.exploration == "constant")
    refused = table.loc[never, ["id"]].assign(reason=NEVER_FADES)
    return table[~never].reset_index(drop=True), refused.reset_index(drop=True)


def multiverse(  # noqa: PLR0913 - the names are fixed
    trace: Trace,
    specifications: "int | pd.DataFrame | str | Path" = 20_000,
    sessions: int = 100,
    seed: int = 0,
    n_jobs: int = 1,
    *,
    progress: bool = False,
    folder: str | Path | None = None,
    scheduler: Any = None,
) -> "pd.DataFrame":
    """Replay many readings of the paper, on many pools.

    Parameters
    ----------
    trace : Trace
        Of at least four LLMs.
    specifications : int, pandas.DataFrame or path
        How many to draw (see `specifications`), or those of a table or a file.
    sessions : int
        For each specification.
    seed : int
    n_jobs : int
        Threads, as in joblib; the result is the same for any.
    progress : bool
        Whether to show how many are done, and the time left.
    folder : path, optional
        Where blocks of specifications are kept as Parquet; those already there, with
        the same inputs, are reused.
    scheduler : None, str or distributed.Client
        Where to run: this process, or a Dask cluster as in `sweep`; needs a folder. The
        bytes are the same.

    Returns
    -------
    pandas.DataFrame
        A row each: `COLUMNS`; ``w_cost_cents``, ``bounds_low`` and ``bounds_high`` as
        `Reward` takes them; and `MEASURES`, each with ``_se``, its standard error over
        sessions. Shares are of all sessions, the median is NaN where fewer than half
        locked. ``cost_`` and ``latency_`` are relative changes of the session's mean
        against the dearest LLM, random choice, and the best single LLM of the context,
        whose means are those of the trace; ``accuracy_`` is in points.

    Raises
    ------
    InputError

    Examples
    --------
    >>> import pickllm as pk
    >>> table = multiverse(pk.load_trace("bfcl-2024-08-11"), 4, sessions=10)
    >>> bool((table.cost_vs_dearest < 0.01).all())
    True
    """
    require_whole("sessions", sessions)
    places = Places(trace)
    if folder is None and scheduler is None:
        table = _given(trace, specifications, seed)
        return measured(places, table, sessions, n_jobs, progress)
    if folder is None:
        raise InputError(
            "multiverse: a scheduler needs a folder for what its workers find, got"
            " none; give folder="
        )
    number = require_whole("specifications", specifications)
    block = functools.partial(_block, places, sessions, seed, n_jobs, progress)
    mark = f"worlds-{_mark(trace, sessions, seed)}"
    return in_blocks(block, number, mark, folder, scheduler)


def _block(
    places: Places, sessions: int, seed: int, n_jobs: int, progress: bool, ids: range
) -> "pd.DataFrame":
    """Return the specifications of some ids, measured."""
    return measured(places, drawn(places, ids, seed)[0], sessions, n_jobs, progress)


def _mark(trace: Trace, sessions: int, seed: int) -> str:
    """Return a hash of what a specification's row depends on, but for its id."""
    code = code_hash(Path(__file__))
    choices = [repr(choice) for choice in CHOICES.values()]
    return digest(trace.fingerprint(), sessions, seed, code, choices)[:16]


def measured(
    places: Places,
    table: "pd.DataFrame",
    sessions: int,
    n_jobs: int = 1,
    progress: bool = False,
) -> "pd.DataFrame":
    """Return specifications with what is measured of each."""
    import pandas as pd

    rows = table.to_dict("records")
    pieces = [rows[i : i + PIECE] for i in range(0, len(rows), PIECE)]
    found = list(
        itertools.chain.from_iterable(
            _spread(places, pieces, sessions, n_jobs, progress)
        )
    )
    return pd.concat([table, pd.DataFrame(found, index=table.index)], axis=1)


def _given(trace: Trace, given: Any, seed: int) -> "pd.DataFrame":
    """Return a table of specifications: drawn, read from a file, or as it is."""
    import pandas as pd

    if isinstance(given, str | Path):
        return read(given)
    if isinstance(given, pd.DataFrame):
        missing = [name for name in COLUMNS if name not in given]
        if missing:
            raise InputError(
                f"multiverse: specifications lack the column {missing[0]!r};"
                f" {nearest(missing[0], list(given.columns))}"
            )
        return given.reset_index(drop=True)
    return specifications(trace, given, seed)[0]


def _spread(
    places: Places,
    pieces: list[list[dict[str, Any]]],
    sessions: int,
    n_jobs: int,
    progress: bool,
) -> Iterator[list[dict[str, float]]]:
    """Yield the measures of each piece, by threads, in order."""
    import joblib
    from tqdm import tqdm

    run = joblib.Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    tasks = (joblib.delayed(_measure_all)(places, rows, sessions) for rows in pieces)
    bar = tqdm(total=len(pieces) * PIECE, desc="multiverse", disable=not progress)
    with bar:
        for done in run(tasks):
            bar.update(len(done))
            yield done


def _measure_all(
    places: Places, rows: list[dict[str, Any]], sessions: int
) -> list[dict[str, float]]:
    return [measure(places, row, sessions) for row in rows]


def measure(
    places: Places, specification: Mapping[str, Any], sessions: int
) -> dict[str, float]:
    """Return what is measured of one specification."""
    world = places.world(specification)
    prepared = prepare(
        world.trace,
        world.reward,
        world.learner,
        sessions=sessions,
        queries=specification["queries"],
        seed=specification["seed"],
        lock=world.lock,
        ties=world.ties,
        checkpoints=1,
    )
    sums, locked_at, locked_model = _played(prepared)
    low, high = world.reward.declared_bounds()
    return {
        "w_cost_cents": world.reward.w_cost,
        "bounds_low": low,
        "bounds_high": high,
        **_locking(prepared.tables, locked_at, locked_model),
        **_effects(prepared, sums),
    }


def _played(prepared: Prepared) -> tuple[Floats, NDArray[Any], NDArray[Any]]:
    """Return each session's sums of outcomes, and when and on what it locked."""
    sums, _, _, locked_at, locked_model = reduce_compiled(prepared)
    return sums, locked_at, locked_model


def _locking(
    tables: Tables, locked_at: NDArray[Any], locked_model: NDArray[Any]
) -> dict[str, float]:
    """Return which shares of sessions locked, on what, and when."""
    value = tables.raw.mean(axis=0)
    best = value[tables.best]
    good = value >= best - AS_GOOD * abs(best)
    locked = locked_model >= 0
    shares = (
        locked,
        locked_model == tables.best,
        locked & good[locked_model],
    )
    found: dict[str, float] = {}
    for name, which in zip(SHARES, shares, strict=True):
        p = float(which.mean())
        found[name] = p
        found[f"{name}_se"] = math.sqrt(p * (1.0 - p) / len(which))
    times = np.sort(np.where(locked, locked_at, np.inf))
    return found | _median(times)


def _median(times: Floats) -> dict[str, float]:
    """Return the median of sorted times, and half the width of its 68 % interval."""
    middle = len(times) / 2
    spread = math.sqrt(len(times)) / 2  # standard deviation of a binomial count at 1/2
    first = max(math.floor(middle - spread), 0)
    last = min(math.ceil(middle + spread), len(times) - 1)
    median = times[math.ceil(middle) - 1]
    if math.isinf(median):
        return {"median_locked_at": math.nan, "median_locked_at_se": math.nan}
    width = times[last] - times[first]
    return {"median_locked_at": float(median), "median_locked_at_se": float(width / 2)}


def _effects(prepared: Prepared, sums: Floats) -> dict[str, float]:
    """Return changes against the dearest LLM, random choice and the best single LLM."""
    trace = prepared.trace
    outcomes = {
        "cost": (trace.cost_usd, 0, True),
        "latency": (trace.latency_ms, 1, True),
        "accuracy": (trace.accuracy, 2, False),
    }
    dearest = int(trace.cost_usd.mean(axis=0).argmax())
    found: dict[str, float] = {}
    for name, (table, place, relative) in outcomes.items():
        means = table.mean(axis=0)
        session = sums[:, place] / prepared.queries
        value = session.mean()
        error = session.std(ddof=1) / math.sqrt(len(session)) if len(sums) > 1 else 0.0
        against = means[dearest], means.mean(), means[prepared.tables.best]
        for whom, baseline in zip(BASELINES, against, strict=True):
            effect = f"{name}_vs_{whom}"
            scale = baseline if relative else 1.0
            found[effect] = float((value - baseline) / scale) if scale else math.nan
            found[f"{effect}_se"] = float(error / scale) if scale else math.nan
    return found


def save(specifications: "pd.DataFrame", path: str | Path) -> None:
    """Write specifications as a file: CSV, whose first line says its format."""
    with written(path) as file:
        file.write(f"# {FORMAT}\n")
        specifications.to_csv(file, index=False, columns=list(COLUMNS))


def read(path: str | Path) -> "pd.DataFrame":
    """Return specifications that `save` wrote.

    Raises
    ------
    MissingFileError, InputError
        No such file, or of another version.
    """
    import io

    import pandas as pd

    text = read_text(path, "specifications", "draw some: specifications(trace)")
    first, _, rest = text.partition("\n")
    if first != f"# {FORMAT}":
        raise InputError(
            f"{path}: specifications of another version, the first line must be"
            f" '# {FORMAT}', got {first[:60]!r}; draw them again"
        )
    kept = {"initial_value": str, "context": str, "pool": str}
    table = pd.read_csv(io.StringIO(rest), dtype=kept, keep_default_na=True)
    blank = table.initial_value.isin(["nan"])
    return table.assign(initial_value=table.initial_value.mask(blank))
