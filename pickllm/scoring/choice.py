"""Choice: from what a user names to the scorer that is meant."""

import inspect
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, MissingFileError, nearest
from .judge import judged_by
from .measures import MEASURES
from .scorers import Scorer

if TYPE_CHECKING:
    from ..live.endpoints import Endpoint


def scorer(
    spec: Any,
    *,
    field: str | None = None,
    higher_is_worse: bool = False,
    judge: "str | Path | Endpoint | None" = None,
    log: str | Path | None = None,
) -> Scorer:
    """Return the scorer that is named, or made of others or of a function.

    Parameters
    ----------
    spec : str, callable, dict or Scorer
        A name of `measures.MEASURES`; ``"judge"``; ``FILE.py:FUNCTION``; a path or
        ``owner/name`` that `evaluate.load` takes; a function of (prediction),
        (prediction, reference) or (prediction, reference, prompt), whose second
        parameter means that it needs a reference; ``{spec: weight}`` with weights that
        add up to 1, or the same as a text, ``"0.7*numeric_answer + 0.3*rouge_l"``.
    field : str, optional
        For a foreign module: the result that holds one score a response.
    higher_is_worse : bool
        For a foreign module: 1 - x is the accuracy.
    judge : path or Endpoint, optional
        For ``"judge"``: the LLM that grades, as the one LLM of a models file. See
        `judged_by`.
    log : path, optional
        For ``"judge"``: where its verdicts are kept, so that no answer is graded twice.

    Raises
    ------
    InputError

    Examples
    --------
    >>> scorer("exact_match")("The Seine.", "seine")
    1.0
    >>> mixed = scorer({"exact_match": 0.5, "token_f1": 0.5})
    >>> mixed(["Paris, France"], ["Paris"]).round(3).tolist()
    [0.333]
    """
    if isinstance(spec, Scorer):
        return spec
    if callable(spec):
        return _of_function(spec)
    if not isinstance(spec, Mapping) and "*" in str(spec):
        spec = _terms(str(spec))
    if isinstance(spec, Mapping):
        options = {
            "field": field,
            "higher_is_worse": higher_is_worse,
            "judge": judge,
            "log": log,
        }
        return _weighted(
            {scorer(part, **options): weight for part, weight in spec.items()}
        )
    name = str(spec)
    if name in MEASURES:
        return _of_measure(name)
    if name == "judge":
        return judged_by(judge, log=log)
    path, _, function = name.rpartition(":")
    if path.endswith(".py"):
        return _of_function(_function_of_file(path, function))
    return _foreign(name, field, higher_is_worse)


def _of_measure(name: str) -> Scorer:
    """Return the kit's own measure, by way of its module of `evaluate`."""

    def scores(predictions: list[str], references: list[str], _: Any) -> list[float]:
        from .metric import metric

        module = metric(name)
        found: Any = module.compute(predictions=predictions, references=references)
        return found["scores"]

    return Scorer(name, scores)


def _of_function(function: Callable[..., Any]) -> Scorer:
    wanted = len(inspect.signature(function).parameters)
    if wanted not in (1, 2, 3):
        raise InputError(
            "a scoring function takes (prediction), (prediction, reference) or"
            f" (prediction, reference, prompt), got {wanted} parameters"
        )
    name = getattr(function, "__name__", "function")

    def one_score(*row: str | None) -> Any:
        try:
            return function(*row[:wanted])
        except Exception as error:  # whatever a user's function raises
            raise InputError(
                f"the scoring function {name} failed on the response"
                f" {str(row[0])[:60]!r}: {type(error).__name__}: {error}; mend it"
            ) from error

    def scores(*texts: list[str | None]) -> list[Any]:
        return [one_score(*row) for row in zip(*texts, strict=True)]

    needs_reference = wanted == 2  # with a prompt, a function may do without
    return Scorer(name, scores, needs_reference)


def _function_of_file(path: str, name: str) -> Callable[..., Any]:
    """Return a function that a file defines."""
    if not Path(path).is_file():
        raise MissingFileError(
            f"no file {path}; a function of one's own is named FILE.py:FUNCTION"
        )
    try:
        names = runpy.run_path(path)
    except Exception as error:  # whatever a user's file raises as it runs
        raise InputError(
            f"{path} cannot be run ({type(error).__name__}: {error}); mend it"
        ) from error
    if not callable(names.get(name)):
        functions = [name for name, value in names.items() if callable(value)]
        raise InputError(f"{path} has no function {name!r}; {nearest(name, functions)}")
    return names[name]


def _terms(spec: str) -> dict[str, float]:
    """Return ``"0.7*a + 0.3*b"`` as ``{"a": 0.7, "b": 0.3}``."""
    terms: dict[str, float] = {}
    for term in spec.split("+"):
        weight, _, name = (part.strip() for part in term.partition("*"))
        try:
            terms[name] = terms.get(name, 0.0) + float(weight)
        except ValueError:
            raise InputError(
                "a combination of scorers is like '0.7*numeric_answer + 0.3*rouge_l',"
                f" got {spec!r}; write a weight before each"
            ) from None
    return terms


def _weighted(parts: Mapping[Scorer, float]) -> Scorer:
    weights = list(parts.values())
    if not weights or not min(weights) >= 0 or not np.isclose(sum(weights), 1):
        raise InputError(
            f"weights of scorers must be >= 0 and add up to 1, got {weights}; divide"
            " each by their sum"
        )

    def scores(*texts: Any) -> Any:
        total = np.zeros(len(texts[0]))
        verdicts = None
        for part, weight in parts.items():
            values, said = part.judged(*texts)
            total += weight * values
            verdicts = verdicts or said
        total = total.clip(0, 1)  # weights add up to 1 but for rounding
        return (total, verdicts) if verdicts else total

    name = " + ".join(f"{weight:g}*{part.name}" for part, weight in parts.items())
    return Scorer(name, scores, any(part.needs_reference for part in parts))


def _foreign(name: str, field: str | None, higher_is_worse: bool) -> Scorer:
    """Return the scorer of a module that `evaluate` loads."""
    if not name.strip() or ("/" not in name and not Path(name).exists()):
        raise InputError(
            f"unknown scorer {name!r}; {nearest(name, [*MEASURES, 'judge'])}; a module"
            " of the Hub is named owner/name"
        )
    if field is None:
        raise InputError(
            f"scorer {name!r} is not the kit's own; name the field of its result that"
            " holds one score a response (--field)"
        )
    module = _loaded(name)
    features: Any = module.features
    forms = features if isinstance(features, list) else [features]
    needs_reference = all("references" in form for form in forms)
    # a measurement may call its texts `data`
    texts = "predictions" if "predictions" in forms[0] else next(iter(forms[0]))

    def scores(predictions: list[str], references: list[str], _: Any) -> list[float]:
        given = {texts: predictions}
        if needs_reference:
            given["references"] = references
        result = module.compute(**given)
        if field not in result:
            raise InputError(
                f"scorer {name!r} gives no {field!r}; {nearest(field, result)}"
            )
        values = result[field]
        if not isinstance(values, (list, tuple, np.ndarray)):
            raise InputError(
                f"scorer {name!r}: {field!r} is one number for all responses; choose a"
                " field with one each"
            )
        return [1 - value for value in values] if higher_is_worse else list(values)

    return Scorer(name, scores, needs_reference)


def _loaded(name: str) -> Any:
    import evaluate

    try:
        return evaluate.load(name)
    except Exception as error:  # whatever a foreign module raises as it loads
        reason, _, _ = str(error).partition("\n")
        raise InputError(
            f"scorer {name!r} cannot be loaded ({type(error).__name__}: {reason});"
            " check its path or name"
        ) from error
