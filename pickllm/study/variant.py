"""A variant: one setting of one's own, as plain data, and what it comes to.

What is exported goes to a folder of its own and says in the picture that it is no part
of the record, until `promote` makes a parameter file of it that the study runs.
"""

import json
import pathlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import experiments, figures
from ..core import statistics
from ..core.learners import LinearRewardInaction, QLearning
from ..core.replay import replay
from ..core.reward import Reward
from ..errors import InputError, MissingFileError, nearest
from ..files import checkout, write_json, written
from ..traces.sources import load_trace
from .parameters import listed
from .runs import variants_folder
from .study import TRACE, Study

if TYPE_CHECKING:
    from ..core.sessions import Sessions
    from ..core.trace import Trace

MARK = "exploration, not the record"


@dataclass(frozen=True)
class Variant:
    """One setting, as plain data; the parameters of the notebook ``variant``.

    Attributes
    ----------
    trace, prices : str
        As `load_trace` takes them.
    context : str
    models : str
        The pool: ``"all"``, or names with commas between.
    form : {"ratio", "product", "linear"}
    w_accuracy, w_cost, w_latency : float
    learner : {"automaton", "qlearning"}
    learning_rate, epsilon : float
    queries, sessions, seed : int
    """

    trace: str = TRACE
    prices: str = ""
    context: str = "simple"
    models: str = "all"
    form: str = "ratio"
    w_accuracy: float = 1.0
    w_cost: float = experiments.WEIGHTS[experiments.MAIN_WEIGHTS]
    w_latency: float = 1.0
    learner: str = "automaton"
    learning_rate: float = experiments.RATE
    epsilon: float = experiments.EPSILON
    queries: int = 1000
    sessions: int = 1000
    seed: int = 0

    def parts(self) -> "tuple[Trace, Reward, LinearRewardInaction | QLearning]":
        """Return the trace of the context and pool, the reward, and the learner.

        Raises
        ------
        InputError
        """
        here = _context(self.trace, self.prices, self.context)
        models = listed(self.models, here.models, "LLM")
        if len(models) < 2:
            raise InputError(
                "a pool needs two LLMs to route between, got"
                f" {', '.join(models) or 'none'}; choose another"
            )
        if tuple(models) != here.models:
            here = here.select(models=models)
        learner = experiments.learner(self.learner, self.learning_rate, self.epsilon)
        reward = Reward(self.form, self.w_accuracy, self.w_cost, self.w_latency)
        return here, reward, learner


@lru_cache(maxsize=64)
def _context(trace: str, prices: str, context: str) -> "Trace":
    return cached_trace(trace, prices).select(context=context)


@lru_cache(maxsize=8)
def cached_trace(trace: str, prices: str) -> "Trace":
    """Return a trace, kept for the next control that is moved."""
    return load_trace(trace, prices or None)


def numbers(variant: Variant) -> pd.DataFrame:
    """Return everything that a variant's figure shows, as one table.

    Controls are expectations over the trace, which need no session and have no
    interval; the router's intervals are over its sessions.

    Returns
    -------
    pandas.DataFrame
        ``panel`` (probability, locked, locked_on, cost_cents, latency_s, accuracy),
        ``series``, ``x`` (queries answered), ``value, low, high``, and ``best``: is it
        the LLM with the highest mean reward.

    Examples
    --------
    >>> frame = numbers(Variant(context="rest", sessions=50, queries=60))
    >>> sorted(frame.panel.unique())
    ['accuracy', 'cost_cents', 'latency_s', 'locked', 'locked_on', 'probability']
    """
    here, reward, learner = variant.parts()
    replayed = replay(
        here,
        reward,
        learner,
        sessions=variant.sessions,
        queries=variant.queries,
        seed=variant.seed,
        checkpoints=60,
    )
    frames = [
        *_learning(variant, here, replayed),
        *_means(variant, here, reward, replayed),
    ]
    frame = pd.concat(frames, ignore_index=True)
    frame["best"] = frame.series == here.models[replayed.best]
    return frame.loc[:, ["panel", "series", "x", "value", "low", "high", "best"]]


def _learning(
    variant: Variant, here: "Trace", replayed: "Sessions"
) -> list[pd.DataFrame]:
    """Return the panels of how sessions learn: probability, locked, locked_on."""
    paths = statistics.trajectory(replayed)
    curve = statistics.lock_curve(replayed.locked_at, variant.queries, points=60)
    locked = replayed.locked_model[replayed.locked_at >= 0]
    counts = np.bincount(locked, minlength=len(here.models))
    shares = np.array(statistics.share(counts, variant.sessions))
    columns = {"query": "x", "model": "series", "probability": "value"}
    return [
        paths.rename(columns=columns).assign(panel="probability"),
        curve.rename(columns={"query": "x", "locked": "value"}).assign(
            panel="locked", series=variant.learner
        ),
        pd.DataFrame(shares.T, columns=["value", "low", "high"]).assign(
            panel="locked_on", series=here.models
        ),
    ]


def _means(
    variant: Variant, here: "Trace", reward: Reward, replayed: "Sessions"
) -> Iterator[pd.DataFrame]:
    """Yield the panels of what sessions come to: the router's mean, then controls."""
    table = replayed.table()
    panels = {
        "cost_cents": (100 * table.cost_usd, 100 * variant.queries * here.cost_usd),
        "latency_s": (table.latency_ms / 1e3, here.latency_ms / 1e3),
        "accuracy": (table.accuracy, here.accuracy),
    }
    raw = reward.raw(here.accuracy, here.cost_usd, here.latency_ms)
    every_query = np.arange(here.n_queries)
    for panel, (values, outcomes) in panels.items():
        value, low, high = statistics.mean(values.to_numpy())
        router = {"value": value, "low": low, "high": high}
        yield pd.DataFrame({"panel": panel, "series": [variant.learner], **router})
        controls = dict(zip(here.models, outcomes.mean(axis=0), strict=True))
        controls["random"] = outcomes.mean()
        controls["oracle"] = outcomes[every_query, raw.argmax(axis=1)].mean()
        yield pd.DataFrame(
            {
                "panel": panel,
                "series": list(controls),
                "value": list(controls.values()),
            }
        )


def name_of(text: str) -> str:
    """Return a name for a variant: letters, digits and hyphens.

    Examples
    --------
    >>> name_of("dearer-queries")
    'dearer-queries'
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", str(text)):
        raise InputError(
            "a variant's name is up to 40 small letters, digits and hyphens, got"
            f" {text!r}; choose another, cost-first for instance"
        )
    return str(text)


def exports() -> pathlib.Path:
    """Return the folder of exported variants."""
    return Study.here().inside("explore").path


def export(variant: Variant, name: str) -> pathlib.Path:
    """Write a variant's parameters, numbers and figure to a folder of its own.

    Returns
    -------
    pathlib.Path
        ``explore/<name>`` in the folder of all studies.

    Raises
    ------
    InputError
    """
    folder = exports() / name_of(name)
    frame = numbers(variant)
    figures.save(figures.variant(frame, MARK), name, frame, folder, MARK)
    write_json(folder / "variant.json", asdict(variant))
    return folder


def read(path: str | pathlib.Path) -> Variant:
    """Return a variant from its parameter file.

    Raises
    ------
    MissingFileError, InputError
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise MissingFileError(
            f"no variant {path}; export one from notebooks/explore.ipynb first"
        )
    try:
        values = json.loads(path.read_text("utf-8"))
        known = [field.name for field in fields(Variant)]
        unknown = [key for key in values if key not in known]
        if unknown:
            raise InputError(
                f"{path}: unknown parameter {unknown[0]!r};"
                f" {nearest(unknown[0], known)}"
            )
        return Variant(**values)
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        TypeError,
        AttributeError,
    ) as error:
        raise InputError(
            f"{path} is not a variant's parameter file ({error}); export it again"
        ) from None


def promote(name: str) -> pathlib.Path:
    """Make an exported variant a part of the study, which then runs and compares it.

    Returns
    -------
    pathlib.Path
        The parameter file; delete it, and the figure ``variant-<name>``, to take the
        variant back.

    Raises
    ------
    MissingFileError, InputError
        No checkout; no such export; a variant that does not run.
    """
    if checkout() is None:
        raise InputError(
            "promote needs the notebooks and data of a checkout of the kit, got an"
            " installed kit; clone the kit and export the variant there"
        )
    source = exports() / name_of(name) / "variant.json"
    if not source.exists():
        there = sorted(p.parent.name for p in exports().glob("*/variant.json"))
        raise MissingFileError(
            f"no exported variant {name!r}; {nearest(name, there)}; export one from"
            " notebooks/explore.ipynb first"
        )
    variant = read(source)
    variant.parts()
    target = variants_folder() / f"{name}.json"
    with written(target) as file:
        file.write(source.read_text("utf-8"))
    return target


def sentence(frame: pd.DataFrame) -> str:
    """Return what a figure's numbers say, in one sentence."""
    shares = frame.query("panel == 'locked_on'")
    most = shares.loc[shares.value.idxmax()]
    right = shares.query("best").iloc[0]
    total = frame.query("panel == 'locked'").value.iloc[-1]
    return (
        f"{100 * total:.0f} % of sessions locked, most often on {most.series}"
        f" ({100 * most.value:.0f} %); the best LLM is {right.series}:"
        f" {100 * right.value:.0f} % locked on it ({100 * right.low:.0f} to"
        f" {100 * right.high:.0f})."
    )
