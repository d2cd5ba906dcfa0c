"""Grids: the settings of a sweep from plain data, of a file or a command line."""

import itertools
import pathlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..core.learners import Always, LinearRewardInaction, QLearning
from ..core.reward import Reward
from ..core.trace import Trace
from ..errors import InputError, nearest
from ..experiments import CONTROLS, EPSILON, RATE, ROUTERS
from ..readers import read_yaml
from ..traces.sources import list_traces, load_trace
from .settings import Setting, settings

#: What varies within a learner, and within a reward, with the study's values.
LEARNER_AXES = {
    "learner": list(ROUTERS),
    "learning_rate": [RATE],
    "epsilon": [EPSILON],
    "initial_value": [QLearning.initial_value],
}
REWARD_AXES = {
    "form": [Reward.form],
    "w_accuracy": [Reward.w_accuracy],
    "w_cost": [Reward.w_cost],
    "w_latency": [Reward.w_latency],
    "t_scaling": [Reward.t_scaling],
}
AXES = {"trace": list_traces()[:1], "context": None, **LEARNER_AXES, **REWARD_AXES}
SCALARS = {
    "prices": None,
    "sessions": 1000,
    "queries": 1000,
    "seed": 0,
    "order": "bootstrap",
    "ties": "random",
    "lock": True,
    "reduce": True,
    "checkpoints": 100,
}


def grid(values: dict[str, Any]) -> list[Setting]:
    """Return settings of a grid: the product of its axes.

    Parameters
    ----------
    values : dict
        Axes (a value or a list each): ``trace``, ``context``, ``learner`` (automaton,
        qlearning, random, cheapest, most expensive, best single, oracle, or an LLM's
        name), ``learning_rate``, ``epsilon``, ``initial_value``, ``form``,
        ``w_accuracy``, ``w_cost``, ``w_latency``, ``t_scaling``; and single values:
        ``prices``, ``sessions``, ``queries``, ``seed``, ``order``, ``ties``,
        ``lock``, ``reduce``, ``checkpoints``.

    Returns
    -------
    list of Setting

    Raises
    ------
    InputError

    Examples
    --------
    >>> plan = grid({"context": "rest", "learner": "automaton", "w_cost": [0.0, 0.1]})
    >>> [setting.labels["reward_form"] for setting in plan]
    ['ratio w_cost=0', 'ratio w_cost=0.1']
    """
    for name in values:
        if name not in AXES | SCALARS:
            known = nearest(name, AXES | SCALARS)
            raise InputError(f"grid: unknown key {name!r}; {known}")
    axes = {
        name: _axis(name, values.get(name, default)) for name, default in AXES.items()
    }
    single = {name: values.get(name, default) for name, default in SCALARS.items()}
    for name, value in single.items():
        if isinstance(value, list | dict) and name != "checkpoints":
            raise InputError(
                f"grid: {name} takes one value, got {value!r}; only {', '.join(AXES)}"
                " take lists"
            )
    prices = single.pop("prices")
    rewards = _rewards(axes, values)
    plan = []
    for name in axes["trace"] or ():
        trace = load_trace(name, prices)
        learners, kinds = _learners(axes, trace)
        for setting in settings(trace, rewards, learners, axes["context"], **single):
            kind = kinds[setting.labels["learner"]]
            labels = {"trace": name} | setting.labels | {"learner": kind}
            plan.append(replace(setting, labels=labels))
    return plan


def _axis(name: str, value: Any) -> list[Any] | None:
    """Return an axis's values; None where they are the trace's own."""
    if value is None:
        return None
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise InputError(
            f"grid: the axis {name!r} is empty; give at least one value, or leave"
            " it out"
        )
    return values


def _product(axes: dict[str, Any], names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every combination of some axes' values, by the axes' names."""
    for combination in itertools.product(*(axes[name] for name in names)):
        yield dict(zip(names, combination, strict=True))


def _rewards(axes: dict[str, Any], values: dict[str, Any]) -> dict[str, Reward]:
    """Return the rewards of a grid, named by their form and the weights given."""
    rewards = {}
    for combination in _product(axes, REWARD_AXES):
        given = [
            f"{name}={value:g}"
            for name, value in combination.items()
            if name in values and name != "form"
        ]
        rewards[" ".join([combination["form"], *given])] = Reward(**combination)
    return rewards


def _learners(
    axes: dict[str, Any], trace: Trace
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the learners of a grid, and the name of each in it.

    Learners that differ in what they ignore are one.
    """
    learners, kinds = {}, {}
    for combination in _product(axes, LEARNER_AXES):
        learner = _learner(trace, combination)
        learners[repr(learner)] = learner
        kinds[repr(learner)] = combination["learner"]
    return learners, kinds


def _learner(trace: Trace, values: dict[str, Any]) -> Any:
    name = values["learner"]
    if name == "automaton":
        return LinearRewardInaction(values["learning_rate"])
    if name == "qlearning":
        return QLearning(
            values["learning_rate"], values["epsilon"], values["initial_value"]
        )
    if name in CONTROLS:
        return CONTROLS[name]
    if name in trace.models:
        return Always(name)
    known = nearest(name, [*ROUTERS, *CONTROLS, *trace.models])
    raise InputError(f"grid: unknown learner {name!r}; {known}")


def read_grid(path: str | pathlib.Path) -> dict[str, Any]:
    """Return a grid's values from a YAML or JSON file.

    Raises
    ------
    InputError, MissingFileError
    """
    values = read_yaml(
        path, "grid file", "write one `name: value` or `name: [value, value]` a line"
    )
    if not isinstance(values, dict):
        raise InputError(
            f"{path} must hold `name: value` lines, got {type(values).__name__}; see"
            " `pickllm sweep --help`"
        )
    return values


def from_text(text: str) -> tuple[str, Any]:
    """Return an axis from ``name=value`` or ``name=value,value``.

    Examples
    --------
    >>> from_text("learning_rate=0.1,0.5"), from_text("reduce=false")
    (('learning_rate', [0.1, 0.5]), ('reduce', False))
    """
    import yaml

    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"-s takes NAME=VALUE[,VALUE...], got {text!r}; put an equals sign between"
            " them"
        )
    values = [yaml.safe_load(part) for part in value.split(",")] if value else []
    return name.strip(), values[0] if len(values) == 1 else values
