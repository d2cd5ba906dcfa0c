"""Scoring: responses to accuracies in [0, 1], by the measure that the user chooses."""

import inspect
import json
import pathlib
from dataclasses import dataclass

import numpy as np

from .answers import MEASURES
from .errors import InputError, MissingFileError, nearest
from .files import written
from .statistics import mean, share
from .trace import read_frame


@dataclass(frozen=True)
class Scorer:
    """Accuracy of responses; make one with `scorer`.

    Attributes
    ----------
    name : str
    function : callable
        ``function(predictions, references, prompts)``, lists of texts, gives one score each.
    needs_reference : bool
    """

    name: str
    function: object
    needs_reference: bool = True

    def __call__(self, predictions, references=None, prompts=None):
        """Score a list of responses, or one: a text gives a float, as `LiveSession` asks for.

        Returns
        -------
        ndarray, (n_responses,), or float
            In [0, 1].

        Raises
        ------
        InputError
            A reference is missing where one is needed, or a score is no number in [0, 1]; the row is named, from 1.
        """
        if isinstance(predictions, str):
            return float(self([predictions], [references], [prompts])[0])
        n = len(predictions)
        references, prompts = ([None] * n if given is None else list(given) for given in (references, prompts))
        if not n == len(references) == len(prompts):
            raise InputError(f"{self.name}: {n} responses, {len(references)} references and {len(prompts)} prompts; give one each")
        for row, reference in enumerate(references, 1):
            if self.needs_reference and not isinstance(reference, str):
                raise InputError(f"row {row}: {self.name} needs a reference, got {reference!r}; fill it in or choose a measure without one")
        if not n:
            return np.zeros(0)
        scores = self.function(list(predictions), references, prompts)
        if len(scores) != n:
            raise InputError(f"{self.name}: {len(scores)} scores for {n} responses; name the field that holds one score each")
        for row, score in enumerate(scores, 1):
            if not isinstance(score, (int, float, np.number, np.bool_)) or not 0 <= score <= 1:
                raise InputError(f"row {row}: {self.name} gave {score!r}; a score must be a number in [0, 1]")
        return np.array(scores, dtype=float)


def scorer(spec, *, field=None, higher_is_worse=False, reference_free=False):
    """A scorer from a name, a module of `evaluate`, a function, or a weighted combination.

    Parameters
    ----------
    spec : str, callable, dict or Scorer
        A name of `answers.MEASURES`; a path or ``owner/name`` that `evaluate.load` takes;
        ``function(prediction, reference[, prompt]) -> float``; or ``{spec: weight}``, weights adding up to 1.
    field : str, optional
        For a foreign module: the result that holds one score a response.
    higher_is_worse : bool
        For a foreign module: 1 - x is the accuracy.
    reference_free : bool
        For a foreign module or a function that takes no reference.

    Examples
    --------
    >>> scorer("exact_match")("The Seine.", "seine")
    1.0
    >>> scorer({"exact_match": 0.5, "token_f1": 0.5})(["Paris, France"], ["Paris"]).round(3).tolist()
    [0.333]
    """
    if isinstance(spec, Scorer):
        return spec
    if isinstance(spec, dict):
        return _weighted(spec)
    if callable(spec):
        return _function(spec, reference_free)
    if spec in MEASURES:
        return Scorer(spec, lambda p, r, _: _local(spec, p, r))
    if "/" not in str(spec) and not pathlib.Path(str(spec)).exists():
        raise InputError(f"unknown scorer {spec!r}; {nearest(spec, MEASURES)}; a module of the Hub is named owner/name")
    if field is None:
        raise InputError(f"scorer {spec!r} is not the kit's own; name the field of its result that holds one score a response (--field)")
    return _foreign(str(spec), field, higher_is_worse, reference_free)


def _local(name, predictions, references):
    from .metrics import metric

    return metric(name).compute(predictions=predictions, references=references)["scores"]


def _function(function, reference_free):
    takes_prompt = len(inspect.signature(function).parameters) > 2

    def scores(predictions, references, prompts):
        rows = zip(predictions, references, prompts)
        return [function(p, r, q) if takes_prompt else function(p, r) for p, r, q in rows]

    return Scorer(getattr(function, "__name__", "function"), scores, not reference_free)


def _weighted(parts):
    weights = list(parts.values())
    if not weights or min(weights) < 0 or not np.isclose(sum(weights), 1):
        raise InputError(f"weights of scorers must be >= 0 and add up to 1, got {weights}; divide each by their sum")
    scorers = [scorer(part) for part in parts]

    def scores(*texts):
        return np.clip(sum(w * s(*texts) for w, s in zip(weights, scorers)), 0, 1)  # weights add up to 1 but for rounding

    return Scorer(" + ".join(f"{w:g} {s.name}" for w, s in zip(weights, scorers)), scores, any(s.needs_reference for s in scorers))


def _foreign(name, field, higher_is_worse, reference_free):
    import evaluate

    try:
        module = evaluate.load(name)
    except Exception as error:  # whatever a foreign module raises as it loads
        raise InputError(f"scorer {name!r} cannot be loaded ({type(error).__name__}: {str(error).splitlines()[0]}); check its path or name") from error

    def scores(predictions, references, _):
        texts = {"predictions": predictions} if reference_free else {"predictions": predictions, "references": references}
        result = module.compute(**texts)
        if field not in result:
            raise InputError(f"scorer {name!r} gives no {field!r}; {nearest(field, result)}")
        values = result[field]
        if not isinstance(values, (list, tuple, np.ndarray)):
            raise InputError(f"scorer {name!r}: {field!r} is one number for all responses; choose a field with one each")
        return [1 - v for v in values] if higher_is_worse else values

    return Scorer(name, scores, not reference_free)


def read_responses(path):
    """Read responses (.csv, .jsonl or .parquet) as a table."""
    import pandas as pd

    path = pathlib.Path(path)
    if path.suffix != ".jsonl":
        return read_frame(path)
    if not path.exists():
        raise MissingFileError(f"no file of responses {path}; check the path, or record some with `pickllm record`")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}, line {number}: not a JSON object ({error}); take the line out or record the call again") from error
    return pd.DataFrame(rows)


def score(frame, by, *, failures="zero"):
    """The same rows with ``accuracy``; failed calls (``error`` set, no response) score 0 or are left out.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``query_id``, ``context``, ``model``, ``response``; ``reference``, ``prompt`` and ``error`` where there are any.
    by : Scorer or what `scorer` takes
    failures : {"zero", "drop"}

    Returns
    -------
    frame : pandas.DataFrame
    failed : int
    """
    by = scorer(by)
    for column in ("query_id", "context", "model", "response"):
        if column not in frame:
            raise InputError(f"no column {column!r} in the responses; it has {', '.join(map(str, frame.columns))}")
    if failures not in ("zero", "drop"):
        raise InputError(f"failures must be 'zero' or 'drop', got {failures!r}; zero counts a failed call as a wrong answer")
    frame = frame.reset_index(drop=True)
    if frame.duplicated(["query_id", "model"]).any():
        row = int(frame.duplicated(["query_id", "model"]).to_numpy().argmax()) + 1
        raise InputError(f"row {row}: a query and model stand twice; average repeats first, a trace holds one row each")
    text = frame["response"].astype(object).where(frame["response"].notna(), "").astype(str)
    told = frame["error"].notna() & (frame["error"].astype(str) != "") if "error" in frame else text != text
    failed = (told & (text == "")).to_numpy()
    asked = np.flatnonzero(~failed)
    lists = {c: [str(v) if v is not None and v == v else None for v in frame[c].iloc[asked]] if c in frame else None for c in ("reference", "prompt")}
    if by.needs_reference:
        missing = [i for i, v in zip(asked, lists["reference"] or [None] * len(asked)) if v is None]
        if missing:
            raise InputError(f"row {missing[0] + 1}: {by.name} needs a reference and there is none; fill it in or choose a measure without one")
    values = np.zeros(len(frame))
    values[asked] = by([text.iloc[i] for i in asked], lists["reference"], lists["prompt"])
    frame = frame.assign(accuracy=values)
    return (frame[~failed] if failures == "drop" else frame), int(failed.sum())


def summary(frame):
    """Accuracy per model and context with its interval: Wilson's where all are 0 or 1, else Student's."""
    import pandas as pd

    rows = []
    for (model, context), part in frame.groupby(["model", "context"], sort=False):
        values = part["accuracy"].to_numpy(float)
        centre, low, high = share(values.sum(), len(values)) if np.isin(values, (0, 1)).all() else mean(values)
        rows.append((model, context, len(values), float(centre), max(float(low), 0.0), min(float(high), 1.0)))
    return pd.DataFrame(rows, columns=["model", "context", "n", "accuracy", "low", "high"])


def save(frame, path):
    """Write scored rows as CSV or Parquet, by the path's ending."""
    path = pathlib.Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: scored responses are written as .csv or .parquet, got '{path.suffix}'; choose one of the two")
    with written(path, "wb" if path.suffix == ".parquet" else "w") as file:
        frame.to_parquet(file, index=False) if path.suffix == ".parquet" else frame.to_csv(file, index=False, lineterminator="\n")
