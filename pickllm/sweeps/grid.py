"""Grids: the settings of a sweep from plain data, as a file or the command line gives them."""

import itertools
import pathlib

from ..core.learners import Always, LinearRewardInaction, QLearning
from ..core.reward import Reward
from ..errors import InputError, MissingFileError, nearest
from ..experiments import CONTROLS, ROUTERS
from ..traces.sources import load_trace
from .run import Setting, settings

AXES = {
    "trace": ["bfcl-2024-08-11"],
    "context": None,
    "learner": ["automaton", "qlearning"],
    "learning_rate": [0.1],
    "epsilon": [0.1],
    "initial_value": [0.0],
    "form": ["ratio"],
    "w_accuracy": [1.0],
    "w_cost": [0.1],
    "w_latency": [1.0],
    "t_scaling": [3.0],
}
SCALARS = {
    "prices": None,
    "sessions": 1000,
    "queries": 1000,
    "seed": 0,
    "order": "bootstrap",
    "lock": True,
    "reduce": True,
    "checkpoints": 100,
}


def grid(values):
    """Return settings of a grid: the product of its axes.

    Parameters
    ----------
    values : dict
        Axes (a value or a list each): ``trace``, ``context``, ``learner`` (automaton,
        qlearning, random, cheapest, most expensive, best single, oracle, or an LLM's
        name), ``learning_rate``, ``epsilon``, ``initial_value``, ``form``,
        ``w_accuracy``, ``w_cost``, ``w_latency``, ``t_scaling``; and single values:
        ``prices``, ``sessions``, ``queries``, ``seed``, ``order``, ``lock``,
        ``reduce``, ``checkpoints``.

    Returns
    -------
    list of Setting

    Examples
    --------
    >>> plan = grid({"context": "rest", "learner": "automaton", "learning_rate": [0.1, 0.5], "w_cost": [0.0, 0.1]})
    >>> len(plan), plan[0].labels["learning_rate"], plan[0].labels["reward_form"]
    (4, 0.1, 'ratio w_cost=0')
    """
    for name in values:
        if name not in AXES | SCALARS:
            raise InputError(
                f"grid: unknown key {name!r}; {nearest(name, AXES | SCALARS)}"
            )
    axes = {
        name: _axis(name, values.get(name, default)) for name, default in AXES.items()
    }
    single = {name: values.get(name, default) for name, default in SCALARS.items()}
    for name, value in single.items():
        if isinstance(value, (list, dict)) and name != "checkpoints":
            raise InputError(
                f"grid: {name} takes one value, got {value!r}; only {', '.join(AXES)}"
                " take lists"
            )
    prices, reduce = single.pop("prices"), single.pop("reduce")
    rewards = {}
    for combination in itertools.product(
        *(
            axes[name]
            for name in ("form", "w_accuracy", "w_cost", "w_latency", "t_scaling")
        )
    ):
        form, w_accuracy, w_cost, w_latency, t_scaling = combination
        varying = [
            f"{n}={v:g}"
            for n, v in zip(
                ("w_accuracy", "w_cost", "w_latency", "t_scaling"),
                combination[1:],
                strict=True,
            )
            if n in values
        ]
        rewards[" ".join([form, *varying])] = Reward(
            form=form,
            w_accuracy=w_accuracy,
            w_cost=w_cost,
            w_latency=w_latency,
            t_scaling=t_scaling,
        )
    plan = []
    for name in axes["trace"]:
        trace = load_trace(name, prices)
        learners = {}
        for combination in itertools.product(
            *(
                axes[name]
                for name in ("learner", "learning_rate", "epsilon", "initial_value")
            )
        ):
            learner = _learner(trace, *combination)
            learners[repr(learner)] = (
                combination[0],
                learner,
            )  # once, where they differ in what it ignores
        for setting in settings(
            trace,
            rewards,
            {key: learner for key, (_, learner) in learners.items()},
            axes["context"],
            reduce=reduce,
            **single,
        ):
            labels = (
                {"trace": name}
                | setting.labels
                | {"learner": learners[setting.labels["learner"]][0]}
            )
            plan.append(
                Setting(
                    labels,
                    setting.trace,
                    setting.reward,
                    setting.learner,
                    setting.options,
                    reduce,
                )
            )
    return plan


def _axis(name, value):
    if value is None:
        return None
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if not values:
        raise InputError(
            f"grid: the axis {name!r} is empty; give at least one value, or leave"
            " it out"
        )
    return values


def _learner(trace, name, learning_rate, epsilon, initial_value):
    if name == "automaton":
        return LinearRewardInaction(learning_rate)
    if name == "qlearning":
        return QLearning(learning_rate, epsilon, initial_value)
    if name in CONTROLS:
        return CONTROLS[name]
    if name in trace.models:
        return Always(name)
    raise InputError(
        f"grid: unknown learner {name!r};"
        f" {nearest(name, [*ROUTERS, *CONTROLS, *trace.models])}"
    )


def read_grid(path):
    """Return a grid's values from a YAML or JSON file.

    Raises
    ------
    InputError, MissingFileError
    """
    import yaml

    path = pathlib.Path(path)
    if not path.exists():
        raise MissingFileError(
            f"no grid file {path}; write one in YAML, like `learning_rate: [0.05, 0.1]`"
        )
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not YAML: {str(error).splitlines()[0]}; write one `name: value`"
            " or `name: [value, value]` a line"
        ) from None
    if not isinstance(values, dict):
        raise InputError(
            f"{path} must hold `name: value` lines, got {type(values).__name__}; see"
            " `pickllm sweep --help`"
        )
    return values


def from_text(text):
    """Return an axis from ``name=value`` or ``name=value,value``.

    Examples
    --------
    >>> from_text("learning_rate=0.1,0.5"), from_text("reduce=false"), from_text("context=rest")
    (('learning_rate', [0.1, 0.5]), ('reduce', False), ('context', 'rest'))
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
