"""A variant: one setting of one's own, as plain data; its numbers, exported under a name, promoted into the study.

What is exported goes to a folder of its own and says in the picture that it is no part of the record,
until `promote` makes a parameter file of it that the study runs.
"""

import json
import pathlib
import re
from dataclasses import asdict, dataclass, fields
from functools import lru_cache

import numpy as np
import pandas as pd

from .. import experiments, figures
from ..core import statistics
from ..core.learners import LinearRewardInaction, QLearning
from ..core.reward import Reward
from ..core.replay import replay
from ..errors import InputError, MissingFileError, nearest
from ..files import root, write_json, written
from ..traces.sources import load_trace
from .runs import variants_folder

FOLDER = "build/explore"
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

    trace: str = "bfcl-2024-08-11"
    prices: str = ""
    context: str = "simple"
    models: str = "all"
    form: str = "ratio"
    w_accuracy: float = 1.0
    w_cost: float = 0.1
    w_latency: float = 1.0
    learner: str = "automaton"
    learning_rate: float = 0.1
    epsilon: float = 0.1
    queries: int = 1000
    sessions: int = 1000
    seed: int = 0

    def parts(self):
        """Return the trace of the context and pool, the reward, and the learner.

        Raises
        ------
        InputError
        """
        from .parameters import listed

        here = _context(self.trace, self.prices, self.context)
        models = listed(self.models, here.models, "LLM")
        if len(models) < 2:
            raise InputError(
                "a pool needs two LLMs to route between, got"
                f" {', '.join(models) or 'none'}; choose another"
            )
        here = here if tuple(models) == here.models else here.select(models=models)
        if self.learner not in experiments.ROUTERS:
            raise InputError(
                f"unknown learner {self.learner!r};"
                f" {nearest(self.learner, experiments.ROUTERS)}"
            )
        learner = (
            LinearRewardInaction(self.learning_rate)
            if self.learner == "automaton"
            else QLearning(self.learning_rate, self.epsilon)
        )
        return (
            here,
            Reward(self.form, self.w_accuracy, self.w_cost, self.w_latency),
            learner,
        )


@lru_cache(maxsize=64)
def _context(trace, prices, context):
    return cached_trace(trace, prices).select(context=context)


@lru_cache(maxsize=8)
def cached_trace(trace, prices):
    return load_trace(trace, prices or None)


def numbers(variant):
    """Everything that a variant's figure shows, as one table.

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
    s = replay(
        here,
        reward,
        learner,
        sessions=variant.sessions,
        queries=variant.queries,
        seed=variant.seed,
        checkpoints=60,
    )
    best = here.models[s.best]
    paths = (
        statistics.trajectory(s)
        .rename(columns={"query": "x", "model": "series", "probability": "value"})
        .assign(panel="probability")
    )
    curve = statistics.lock_curve(s.locked_at, variant.queries, points=60).rename(
        columns={"query": "x", "locked": "value"}
    )
    rows = [paths, curve.assign(panel="locked", series=variant.learner)]
    shares = np.array(
        statistics.share(
            np.bincount(s.locked_model[s.locked_at >= 0], minlength=len(here.models)),
            variant.sessions,
        )
    )
    rows.append(
        pd.DataFrame(shares.T, columns=["value", "low", "high"]).assign(
            panel="locked_on", series=here.models
        )
    )
    table = s.table()
    for panel, values, expected in (
        ("cost_cents", 100 * table.cost_usd, 100 * variant.queries * here.cost_usd),
        ("latency_s", table.latency_ms / 1e3, here.latency_ms / 1e3),
        ("accuracy", table.accuracy, here.accuracy),
    ):
        value, low, high = statistics.mean(values.to_numpy())
        rows.append(
            pd.DataFrame(
                {
                    "panel": panel,
                    "series": [variant.learner],
                    "value": value,
                    "low": low,
                    "high": high,
                }
            )
        )
        raw = reward.raw(here.accuracy, here.cost_usd, here.latency_ms)
        controls = dict(zip(here.models, expected.mean(axis=0), strict=True)) | {
            "random": expected.mean()
        }
        controls["oracle"] = expected[
            np.arange(here.n_queries), raw.argmax(axis=1)
        ].mean()
        rows.append(
            pd.DataFrame(
                {
                    "panel": panel,
                    "series": list(controls),
                    "value": list(controls.values()),
                }
            )
        )
    frame = pd.concat(rows, ignore_index=True)
    return frame.assign(best=frame.series == best)[
        ["panel", "series", "x", "value", "low", "high", "best"]
    ]


def name_of(text):
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


def export(variant, name):
    """Write a variant's parameters, numbers and figure to ``build/explore/<name>``; the folder.

    Raises
    ------
    InputError
    """
    folder = root() / FOLDER / name_of(name)
    frame = numbers(variant)
    figures.save(figures.variant(frame, MARK), name, frame, folder, MARK)
    write_json(folder / "variant.json", asdict(variant))
    return folder


def read(path):
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
        known = [f.name for f in fields(Variant)]
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


def promote(name):
    """Make an exported variant a part of the study: `make reproduce` runs it, `make verify` compares it.

    Returns
    -------
    pathlib.Path
        The parameter file; delete it, and the figure ``variant-<name>``, to take the variant back.

    Raises
    ------
    MissingFileError, InputError
        No such export; a variant that does not run.
    """
    source = root() / FOLDER / name_of(name) / "variant.json"
    if not source.exists():
        there = sorted(p.parent.name for p in (root() / FOLDER).glob("*/variant.json"))
        raise MissingFileError(
            f"no exported variant {name!r}; {nearest(name, there)}; export one from"
            " notebooks/explore.ipynb first"
        )
    variant = read(source)
    variant.parts()
    target = variants_folder() / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    with written(target) as file:
        file.write(source.read_text("utf-8"))
    return target


def sentence(frame):
    """Return what a figure's numbers say, in one sentence."""
    locked = frame[frame.panel == "locked_on"]
    first, best = (
        locked.loc[locked.value.idxmax()],
        frame[(frame.panel == "probability") & frame.best].series.iloc[0],
    )
    total = frame[frame.panel == "locked"].value.iloc[-1]
    right = locked[locked.best].iloc[0]
    return (
        f"{100 * total:.0f} % of sessions locked, most often on {first.series}"
        f" ({100 * first.value:.0f} %); the best LLM is {best}: {100 * right.value:.0f}"
        f" % locked on it ({100 * right.low:.0f} to {100 * right.high:.0f})."
    )
