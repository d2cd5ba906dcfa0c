"""Scoring: responses to accuracies in [0, 1], by the measure that the user chooses."""

import hashlib
import inspect
import json
import pathlib
import re
import tempfile
from dataclasses import dataclass

import numpy as np

from ..core.statistics import mean, share
from ..core.trace import read_frame
from ..errors import InputError, MissingFileError, nearest
from ..files import written
from .measures import MEASURES

#: What a judge is asked; the numbers are its scale's ends.
JUDGE_PROMPT = """You grade an answer. Read the question, the reference answer (there may be none) and the answer.
Reply with one whole number from {low} (wrong or useless) to {high} (entirely right), and nothing else.

Question:
{prompt}

Reference answer:
{reference}

Answer:
{response}
"""


@dataclass(frozen=True)
class Scorer:
    """Accuracy of responses; make one with `scorer`.

    Attributes
    ----------
    name : str
    function : callable
        ``function(predictions, references, prompts)``, lists of texts, gives one score
        each, or (scores, verdicts).
    needs_reference : bool

    Examples
    --------
    >>> score = scorer("exact_match")
    >>> score("The Seine.", "seine"), score(["Paris", "Rome"], ["paris", "paris"]).tolist()
    (1.0, [1.0, 0.0])
    """

    name: str
    function: object
    needs_reference: bool = True

    sees_prompt = True  # `LiveSession` hands it the prompt, too

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
            return float(self.judged([predictions], [references], [prompts])[0][0])
        return self.judged(predictions, references, prompts)[0]

    def judged(self, predictions, references=None, prompts=None, rows=None):
        """Scores, and what a judge said to each response (None of any other scorer). `rows` are the numbers that errors name."""
        n = len(predictions)
        references, prompts = (
            [None] * n if given is None else list(given)
            for given in (references, prompts)
        )
        rows = range(1, n + 1) if rows is None else rows
        if not n == len(references) == len(prompts):
            raise InputError(
                f"{self.name}: {n} responses, {len(references)} references and"
                f" {len(prompts)} prompts; give one each"
            )
        for row, reference in zip(rows, references, strict=True):
            if self.needs_reference and not isinstance(reference, str):
                raise InputError(
                    f"row {row}: {self.name} needs a reference, got {reference!r}; fill"
                    " it in or choose a measure without one"
                )
        if not n:
            return np.zeros(0), None
        found = self.function(list(predictions), references, prompts)
        scores, verdicts = found if isinstance(found, tuple) else (found, None)
        if len(scores) != n:
            raise InputError(
                f"{self.name}: {len(scores)} scores for {n} responses; name the field"
                " that holds one score each"
            )
        for i, (row, score) in enumerate(zip(rows, scores, strict=True)):
            if (
                not isinstance(score, (int, float, np.number, np.bool_))
                or not 0 <= score <= 1
            ):
                gave = (
                    repr(score)
                    if verdicts is None
                    else f"the verdict {verdicts[i][:60]!r}"
                )
                rule = (
                    "a number in [0, 1]"
                    if verdicts is None
                    else "one whole number on the scale; choose another judge or prompt"
                )
                raise InputError(
                    f"row {row}: {self.name} gave {gave}; it must be {rule}"
                )
        return np.array(scores, dtype=float), verdicts


def scorer(spec, *, field=None, higher_is_worse=False, judge=None, log=None):
    """Return a scorer from a name, a module of `evaluate`, a function, a judge, or a weighted combination.

    Parameters
    ----------
    spec : str, callable, dict or Scorer
        A name of `answers.MEASURES`; ``"judge"``; ``FILE.py:FUNCTION``; a path or ``owner/name`` that `evaluate.load`
        takes; a function of (prediction), (prediction, reference) or (prediction, reference, prompt), whose
        second parameter means that it needs a reference; ``{spec: weight}`` with weights that add up to 1, or
        the same as a text, ``"0.7*numeric_answer + 0.3*rouge_l"``.
    field : str, optional
        For a foreign module: the result that holds one score a response.
    higher_is_worse : bool
        For a foreign module: 1 - x is the accuracy.
    judge : path or Endpoint, optional
        For ``"judge"``: the LLM that grades, as the one LLM of a models file. See `judged_by`.
    log : path, optional
        For ``"judge"``: where its verdicts are kept, so that no answer is graded twice.

    Raises
    ------
    InputError

    Examples
    --------
    >>> scorer("exact_match")("The Seine.", "seine")
    1.0
    >>> scorer({"exact_match": 0.5, "token_f1": 0.5})(["Paris, France"], ["Paris"]).round(3).tolist()
    [0.333]
    """
    options = {
        "field": field,
        "higher_is_worse": higher_is_worse,
        "judge": judge,
        "log": log,
    }
    if isinstance(spec, Scorer):
        return spec
    if isinstance(spec, dict):
        return _weighted(
            {scorer(part, **options): weight for part, weight in spec.items()}
        )
    if callable(spec):
        return _function(spec)
    if "*" in str(spec):
        return _weighted(
            {scorer(part, **options): weight for part, weight in _terms(spec).items()}
        )
    if spec in MEASURES:
        return Scorer(spec, lambda p, r, _: _local(spec, p, r))
    if spec == "judge":
        return judged_by(judge, log=log)
    path, _, name = str(spec).rpartition(":")
    if path.endswith(".py"):
        return _function(_from_file(path, name))
    if not str(spec).strip() or (
        "/" not in str(spec) and not pathlib.Path(str(spec)).exists()
    ):
        raise InputError(
            f"unknown scorer {spec!r}; {nearest(spec, [*MEASURES, 'judge'])}; a module"
            " of the Hub is named owner/name"
        )
    if field is None:
        raise InputError(
            f"scorer {spec!r} is not the kit's own; name the field of its result that"
            " holds one score a response (--field)"
        )
    return _foreign(str(spec), field, higher_is_worse)


def _local(name, predictions, references):
    from .metric import metric

    return metric(name).compute(predictions=predictions, references=references)[
        "scores"
    ]


def _terms(spec):
    """``"0.7*a + 0.3*b"`` as ``{"a": 0.7, "b": 0.3}``."""
    terms = {}
    for term in str(spec).split("+"):
        weight, _, name = (part.strip() for part in term.partition("*"))
        try:
            terms[name] = terms.get(name, 0.0) + float(weight)
        except ValueError:
            raise InputError(
                "a combination of scorers is like '0.7*numeric_answer + 0.3*rouge_l',"
                f" got {spec!r}; write a weight before each"
            ) from None
    return terms


def _from_file(path, name):
    import runpy

    if not pathlib.Path(path).is_file():
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
        raise InputError(
            f"{path} has no function {name!r};"
            f" {nearest(name, [n for n, v in names.items() if callable(v)])}"
        )
    return names[name]


def _function(function):
    wanted = len(inspect.signature(function).parameters)
    if wanted not in (1, 2, 3):
        raise InputError(
            "a scoring function takes (prediction), (prediction, reference) or"
            f" (prediction, reference, prompt), got {wanted} parameters"
        )
    name = getattr(function, "__name__", "function")

    def one(*row):
        try:
            return function(*row[:wanted])
        except Exception as error:  # whatever a user's function raises
            raise InputError(
                f"the scoring function {name} failed on the response {row[0][:60]!r}:"
                f" {type(error).__name__}: {error}; mend it"
            ) from error

    needs_reference = wanted == 2  # with a prompt, a function may do without
    return Scorer(
        name,
        lambda *texts: [one(*row) for row in zip(*texts, strict=True)],
        needs_reference,
    )


def _weighted(parts):
    weights = list(parts.values())
    if not weights or not min(weights) >= 0 or not np.isclose(sum(weights), 1):
        raise InputError(
            f"weights of scorers must be >= 0 and add up to 1, got {weights}; divide"
            " each by their sum"
        )

    def scores(*texts):
        found = [(weight, *part.judged(*texts)) for part, weight in parts.items()]
        verdicts = [v for _, _, v in found if v is not None]
        total = np.clip(
            sum(weight * values for weight, values, _ in found), 0, 1
        )  # weights add up to 1 but for rounding
        return (total, verdicts[0]) if verdicts else total

    return Scorer(
        " + ".join(f"{w:g}*{s.name}" for s, w in parts.items()),
        scores,
        any(s.needs_reference for s in parts),
    )


def _foreign(name, field, higher_is_worse):
    import evaluate

    try:
        module = evaluate.load(name)
    except Exception as error:  # whatever a foreign module raises as it loads
        raise InputError(
            f"scorer {name!r} cannot be loaded ({type(error).__name__}:"
            f" {str(error).splitlines()[0]}); check its path or name"
        ) from error
    features = (
        module.features if isinstance(module.features, list) else [module.features]
    )
    needs_reference = all("references" in form for form in features)
    one = (
        "predictions" if "predictions" in features[0] else next(iter(features[0]))
    )  # a measurement may call its texts `data`

    def scores(predictions, references, _):
        result = module.compute(
            **{one: predictions},
            **({"references": references} if needs_reference else {}),
        )
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
        return [1 - v for v in values] if higher_is_worse else list(values)

    return Scorer(name, scores, needs_reference)


# An LLM as a judge


def judged_by(endpoint, *, scale=(1, 10), template=JUDGE_PROMPT, log=None):
    """Return a scorer that asks an LLM to grade; model, settings, prompt and scale are pinned, its raw verdicts kept.

    Parameters
    ----------
    endpoint : Endpoint or path
        The judge, or a models file with it alone. Grades want ``temperature: 0``, which is the default.
    scale : (int, int)
        Lowest and highest grade; the accuracy is linear between them.
    template : str
        With the fields ``low, high, prompt, reference, response``.
    log : path, optional
        A log as `record` writes it, one line a verdict: a judge that was stopped goes on there, and the same
        answer is never graded twice. Without one, verdicts are kept only where the scored rows are.

    Raises
    ------
    InputError
        No judge, or several; a scale that is none. When it scores: a verdict that is no whole number on the scale.
    """
    from ..live.endpoints import read_models

    if endpoint is None:
        raise InputError(
            "scorer 'judge' needs the LLM that grades; give a models file that holds it"
            " alone (--judge FILE)"
        )
    if isinstance(endpoint, (str, pathlib.Path)):
        models = read_models(endpoint)
        if len(models) != 1:
            raise InputError(
                f"{endpoint}: a judge is one LLM, got {len(models)}; keep it alone in a"
                " models file"
            )
        (endpoint,) = models.values()
    low, high = scale
    if not (isinstance(low, int) and isinstance(high, int) and low < high):
        raise InputError(
            "a judge's scale must be two whole numbers (low, high), low < high, got"
            f" {scale!r}; correct it"
        )

    def scores(predictions, references, prompts):
        asked = [
            template.format(
                low=low,
                high=high,
                prompt=prompt or "",
                reference=reference or "",
                response=response,
            )
            for response, reference, prompt in zip(
                predictions, references, prompts, strict=True
            )
        ]
        verdicts = _verdicts(endpoint, asked, log)
        return [_grade(verdict, low, high) for verdict in verdicts], verdicts

    return Scorer(f"judge {endpoint.model}", scores, needs_reference=False)


def _verdicts(endpoint, asked, log):
    """Return what the judge says to each prompt, through the same calls, retries and log as a recording."""
    import pandas as pd

    from ..live import recording

    ids = [hashlib.sha256(prompt.encode()).hexdigest()[:24] for prompt in asked]
    queries = pd.DataFrame(
        {"query_id": ids, "context": "judge", "prompt": asked, "reference": None}
    ).drop_duplicates("query_id")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(log or f"{folder}/judge.jsonl")
        count = recording.record(
            queries, {endpoint.name: endpoint}, path, progress=len(queries) > 20
        )
        if count.failed or count.left:
            why = next(iter({**count.errors, **count.given_up}.values()), "no answer")
            raise InputError(
                f"the judge '{endpoint.name}' left {count.failed + count.left} answers"
                f" ungraded ({why}); the same command goes on with them"
            )
        said = recording.read_log(path)
    said = (
        said[(said["settings"] == endpoint.settings) & said["error"].isna()]
        .drop_duplicates("query_id")
        .set_index("query_id")["response"]
    )
    return [said[i] for i in ids]


def _grade(verdict, low, high):
    """Return the accuracy of a verdict like ``7`` or ``Grade: 7/10``; NaN where it is no one number on the scale."""
    found = re.fullmatch(r"\D*?(-?\d{1,9})(?:\s*/\s*\d{1,9})?\D*", verdict, re.DOTALL)
    grade = int(found[1]) if found else high + 1
    return (grade - low) / (high - low) if low <= grade <= high else np.nan


# A table of responses


def read_responses(path):
    """Responses as a table, one row per query and LLM: a log of `record`, or any .csv, .jsonl or .parquet file.

    Of a log's repeats the first that succeeded is the answer, and latencies are medians (see `calls.answers`).

    Raises
    ------
    InputError, MissingFileError
    """
    import pandas as pd

    path = pathlib.Path(path)
    if path.suffix != ".jsonl":
        return read_frame(path)
    if not path.exists():
        raise MissingFileError(
            f"no file of responses {path}; check the path, or record some with `pickllm"
            " record`"
        )
    with open(path, "rb") as file:
        if b'"prompt_sha256"' in file.readline():
            from ..live.log import answers

            frame = answers(path)
            if (
                frame["response"].isna().all()
                and frame["response_sha256"].notna().any()
            ):
                raise InputError(
                    f"{path}: the log holds no texts, only their hashes (--no-text):"
                    " there is nothing to score; record with texts"
                )
            return frame
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}: not a JSON object ({error}); take the line out"
                " or record the call again"
            ) from error
    return pd.DataFrame(rows)


def score(frame, by, *, failures="zero"):
    """Return the same rows with ``accuracy``, and with a judge's raw ``verdict``: the rows of a trace.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``query_id``, ``context``, ``model``, ``response``; ``reference``, ``prompt`` and ``error`` where there are any.
    by : Scorer or what `scorer` takes
    failures : {"zero", "drop"}
        A failed call (``error`` set, no response) scores 0, was charged nothing, and took as long as its LLM's
        slowest answer; or its query is left out, for every LLM, so that all answer the same ones.

    Returns
    -------
    frame : pandas.DataFrame
    failed : int

    Raises
    ------
    InputError
    """
    by = scorer(by)
    for column in ("query_id", "context", "model", "response"):
        if column not in frame:
            raise InputError(
                f"no column {column!r} in the responses; it has"
                f" {', '.join(map(str, frame.columns)) or 'none'}"
            )
    if not len(frame):
        raise InputError("the responses hold no row; record some first")
    if failures not in ("zero", "drop"):
        raise InputError(
            f"failures must be 'zero' or 'drop', got {failures!r}; zero counts a failed"
            " call as a wrong answer"
        )
    frame = frame.reset_index(drop=True)
    if frame.duplicated(["query_id", "model"]).any():
        row = int(frame.duplicated(["query_id", "model"]).to_numpy().argmax()) + 1
        raise InputError(
            f"row {row}: a query and model stand twice; average repeats first, a trace"
            " holds one row each"
        )
    text = (
        frame["response"]
        .astype(object)
        .where(frame["response"].notna(), "")
        .astype(str)
    )
    told = (
        frame["error"].notna() & (frame["error"].astype(str) != "")
        if "error" in frame
        else text != text
    )
    failed = (told & (text == "")).to_numpy()
    asked = np.flatnonzero(~failed)
    lists = [
        [_text(c, row + 1, frame[c].iloc[row]) for row in asked] if c in frame else None
        for c in ("reference", "prompt")
    ]
    values, verdicts = by.judged([text.iloc[i] for i in asked], *lists, rows=asked + 1)
    frame = frame.assign(accuracy=0.0)
    frame.loc[asked, "accuracy"] = values
    if verdicts is not None:
        frame.loc[asked, "verdict"] = verdicts
    if failures == "drop":
        frame = frame[
            ~frame["query_id"].isin(set(frame["query_id"][failed]))
        ].reset_index(drop=True)
        if not len(frame):
            raise InputError(
                "every query has a failed call, nothing is left; count failures as"
                " zero, or record again"
            )
        return frame, int(failed.sum())
    return _declared(frame, failed), int(failed.sum())


def _text(column, row, value):
    """Return a cell as text, or None where it is empty."""
    if isinstance(value, (list, tuple, dict, np.ndarray)):
        raise InputError(
            f"row {row}, column {column!r}: must be a text, got {type(value).__name__};"
            " write several right answers as rows or as a function of one's own"
        )
    return None if value is None or value != value else str(value)


def _declared(frame, failed):
    """Failed calls with what they count: no tokens, no cost, the latency of the LLM's slowest answer."""
    nothing = {
        c: 0 for c in ("input_tokens", "output_tokens", "cost_usd") if c in frame
    }
    slowest = (
        frame.groupby("model")["latency_ms"].transform("max")
        if "latency_ms" in frame
        else None
    )
    for column, value in nothing.items():
        frame[column] = frame[column].mask(failed & frame[column].isna(), value)
    if slowest is not None:
        silent = frame["model"][failed & slowest.isna()]
        if len(silent):
            raise InputError(
                f"LLM '{silent.iloc[0]}' answered nothing, so its latency is not known;"
                " record it again, or leave it out of the models file"
            )
        frame["latency_ms"] = frame["latency_ms"].mask(
            failed & frame["latency_ms"].isna(), slowest
        )
    return frame


def summary(frame):
    """Accuracy per model and context with its interval: Wilson's where all are 0 or 1, else Student's."""
    import pandas as pd

    rows = []
    for (model, context), part in frame.groupby(["model", "context"], sort=False):
        values = part["accuracy"].to_numpy(float)
        centre, low, high = (
            share(values.sum(), len(values))
            if np.isin(values, (0, 1)).all()
            else mean(values)
        )
        rows.append(
            (
                model,
                context,
                len(values),
                float(centre),
                max(float(low), 0.0),
                min(float(high), 1.0),
            )
        )
    return pd.DataFrame(
        rows, columns=["model", "context", "n", "accuracy", "low", "high"]
    )


def save(frame, path):
    """Write scored rows as CSV or Parquet, by the path's ending."""
    path = pathlib.Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(
            f"{path}: scored responses are written as .csv or .parquet, got"
            f" '{path.suffix}'; choose one of the two"
        )
    with written(path, "wb" if path.suffix == ".parquet" else "w") as file:
        (
            frame.to_parquet(file, index=False)
            if path.suffix == ".parquet"
            else frame.to_csv(file, index=False, lineterminator="\n")
        )
