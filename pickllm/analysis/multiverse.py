"""Every reading, every pool: what becomes of the paper's claims in all of them.

`multiverse` replays many specifications (see `choices`), spread over all that the paper
leaves open (a multiverse analysis: Steegen, Tuerlinckx, Gelman and Vanpaemel 2016,
*Perspectives on Psychological Science* 11, 702-712).
"""

# joblib has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

import functools
import itertools
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.compiled import reduce_compiled
from ..core.prepared import Prepared, Tables, prepare, require_seed, require_whole
from ..core.trace import Trace
from ..errors import InputError, nearest
from ..experiments import AS_GOOD
from ..files import digest, written
from ..modules import code_hash
from ..readers import read_text
from ..sweeps.blocks import in_blocks
from .choices import CHOICES, COLUMNS, LOCK_FADED, NEVER_FADES, Places

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
#: What a file of specifications says that it is.
FORMAT = "pickllm specifications 1"
#: Specifications to a piece of work.
PIECE = 50
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
    sums, _, _, locked_at, locked_model = reduce_compiled(prepared)
    low, high = world.reward.declared_bounds()
    return {
        "w_cost_cents": world.reward.w_cost,
        "bounds_low": low,
        "bounds_high": high,
        **_locking(prepared.tables, locked_at, locked_model),
        **_effects(prepared, sums),
    }


def _locking(
    tables: Tables, locked_at: NDArray[Any], locked_model: NDArray[Any]
) -> dict[str, float]:
    """Return which shares of sessions locked, on what, and when."""
    locked = locked_model >= 0
    good = tables.near_best(AS_GOOD)[locked_model]
    shares = locked, locked_model == tables.best, locked & good
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
