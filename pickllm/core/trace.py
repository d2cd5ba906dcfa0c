"""Trace: the outcomes of every LLM on every query; read, check, write."""

import pathlib
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import InputError, MissingFileError, nearest
from ..files import digest, written
from .identity import identity
from .pool import Limits, declare_limits, default_limits, price_of, read_prices

COLUMNS = (
    "query_id",
    "context",
    "model",
    "accuracy",
    "input_tokens",
    "output_tokens",
    "latency_ms",
)
_OUTCOMES = ("accuracy", "cost_usd", "latency_ms", "input_tokens", "output_tokens")


@dataclass(frozen=True, eq=False)
class Trace:
    """Outcomes of every LLM of a pool on every query: what a session replays.

    Build one with `load_trace` or `Trace.from_frame`; both check every row.

    Attributes
    ----------
    models : tuple of str, (n_models,)
        The pool; its order is the order of the last axis everywhere.
    query_id, context : ndarray of str, (n_queries,)
    accuracy : ndarray, (n_queries, n_models)
        In [0, 1].
    cost_usd : ndarray, (n_queries, n_models)
        US dollars per query, >= 0.
    latency_ms : ndarray, (n_queries, n_models)
        Milliseconds, > 0.
    input_tokens, output_tokens : ndarray, (n_queries, n_models)
    prices : dict of str to Price
        The list behind `cost_usd`; empty when the file brought its own costs.
    limits : Limits
        Declared with the pool; the reward's bounds come from them.
    name : str
    extra : dict of str to ndarray, (n_queries, n_models)
        Further columns of the file, as they were.
    sample_of : TraceSummary, optional
        The summary that the trace is a sample of; its counts are those of queries
        measured.
    """

    models: tuple
    query_id: np.ndarray
    context: np.ndarray
    accuracy: np.ndarray
    cost_usd: np.ndarray
    latency_ms: np.ndarray
    input_tokens: np.ndarray
    output_tokens: np.ndarray
    prices: dict = field(default_factory=dict, repr=False)
    limits: Limits = None
    name: str = "trace"
    extra: dict = field(default_factory=dict, repr=False)
    sample_of: object = field(default=None, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "models", tuple(str(m) for m in self.models))
        for column in _OUTCOMES:
            array = np.array(getattr(self, column), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, column, array)
        for column in ("query_id", "context"):
            array = np.array(getattr(self, column), dtype=np.str_)
            array.setflags(write=False)
            object.__setattr__(self, column, array)
        shape = len(self.query_id), len(self.models)
        for column in _OUTCOMES:
            if getattr(self, column).shape != shape:
                raise InputError(
                    f"Trace: {column} must have shape {shape}, one row a query and one"
                    f" column an LLM, got {getattr(self, column).shape}"
                )
        if self.limits is None:
            object.__setattr__(self, "limits", default_limits())

    def __repr__(self):
        return (
            f"Trace({self.name!r}: {self.n_queries} queries, contexts"
            f" {', '.join(self.contexts)}; models {', '.join(self.models)})"
        )

    @property
    def n_queries(self):
        """Number of queries."""
        return len(self.query_id)

    @property
    def contexts(self):
        """The contexts, in order of first appearance."""
        return tuple(dict.fromkeys(self.context.tolist()))

    def fingerprint(self):
        """SHA-256 of everything that a result can depend on."""
        arrays = [
            np.ascontiguousarray(getattr(self, column)).tobytes()
            for column in _OUTCOMES
        ]
        return digest(
            list(self.models),
            self.query_id.tolist(),
            self.context.tolist(),
            vars(self.limits),
            *arrays,
            *([identity(sorted(self.extra.items()))] if self.extra else []),
        )

    def select(self, context=None, models=None):
        """Return the part of a trace within one context (or several) and for some models, in the order given.

        Parameters
        ----------
        context : str or sequence of str, optional
        models : sequence of str, optional

        Returns
        -------
        Trace

        Examples
        --------
        >>> import pickllm as pk
        >>> pk.load_trace("bfcl-2024-08-11").select(context="rest").contexts
        ('rest',)
        """
        rows = np.ones(self.n_queries, dtype=bool)
        if context is not None:
            wanted = [context] if isinstance(context, str) else list(context)
            if not wanted:
                raise InputError(
                    f"select: no context given; {nearest('', self.contexts)}"
                )
            for c in wanted:
                if c not in self.contexts:
                    raise InputError(
                        f"unknown context {c!r} in {self.name};"
                        f" {nearest(c, self.contexts)}"
                    )
            rows = np.isin(self.context, wanted)
        names = (
            self.models
            if models is None
            else [models]
            if isinstance(models, str)
            else list(models)
        )
        for m in names:
            if m not in self.models:
                raise InputError(
                    f"unknown model {m!r} in {self.name}; {nearest(m, self.models)}"
                )
        if not names or len(set(names)) != len(names):
            raise InputError(
                f"select: models must name each LLM once, got {list(names)}; leave out"
                " the repeats"
            )
        columns = [self.models.index(m) for m in names]
        block = np.ix_(rows, columns)
        return replace(
            self,
            models=tuple(names),
            query_id=self.query_id[rows],
            context=self.context[rows],
            extra={name: values[block] for name, values in self.extra.items()},
            **{column: getattr(self, column)[block] for column in _OUTCOMES},
        )

    def reprice(self, prices):
        """Return the same outcomes at other prices: measuring again is never needed."""
        cost = np.column_stack(
            [
                price_of(m, prices).cost_usd(
                    self.input_tokens[:, j], self.output_tokens[:, j]
                )
                for j, m in enumerate(self.models)
            ]
        )
        return replace(self, cost_usd=cost, prices=prices)

    def to_frame(self):
        """Return the trace as a table, one row per query and model (see `COLUMNS`; cost and further columns follow)."""
        import pandas as pd

        n, m = self.accuracy.shape
        frame = pd.DataFrame(
            {
                "query_id": np.repeat(self.query_id, m),
                "context": np.repeat(self.context, m),
                "model": np.tile(np.array(self.models), n),
                "accuracy": self.accuracy.ravel(),
                "input_tokens": self.input_tokens.ravel().astype(np.int64),
                "output_tokens": self.output_tokens.ravel().astype(np.int64),
                "latency_ms": self.latency_ms.ravel(),
                "cost_usd": self.cost_usd.ravel(),
            }
        )
        return frame.assign(
            **{name: values.ravel() for name, values in self.extra.items()}
        )

    @classmethod
    def from_frame(cls, frame, prices=None, limits=None, models=None, name="frame"):
        """Return a checked trace from a table with one row per query and model.

        Parameters
        ----------
        frame : pandas.DataFrame
            The columns of `COLUMNS`; `cost_usd` is optional, further columns are kept.
        prices : dict of str to Price, or path, optional
            Needed for models that the kit's own price list does not hold, unless
            `cost_usd` is given.
        limits : Limits, optional
            Declared for the pool; by default the caps of `data/pools.json` at these
            prices.
        models : sequence of str, optional
            The pool's order; by default the order of first appearance.
        name : str

        Raises
        ------
        InputError
            The first row that breaks a rule, with row, column and remedy, and how many
            more do.

        Examples
        --------
        >>> import pandas as pd
        >>> rows = [("q1", "maths", m, 1.0, 90, 9, 800.0) for m in ("gpt-4o-2024-05-13", "command-r-plus")]
        >>> Trace.from_frame(pd.DataFrame(rows, columns=COLUMNS)).cost_usd.round(6).tolist()
        [[0.000585, 0.000405]]
        """
        return _from_frame(cls, frame, prices, limits, models, name, first_row=1)

    def save(self, path):
        """Write the trace as CSV or Parquet, by the path's ending."""
        path = pathlib.Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise InputError(
                f"{path}: a trace is written as .csv or .parquet, got '{path.suffix}';"
                " choose one of the two"
            )
        with written(path, "wb" if path.suffix == ".parquet" else "w") as file:
            if path.suffix == ".parquet":
                self.to_frame().to_parquet(file, index=False)
            else:
                self.to_frame().to_csv(file, index=False, lineterminator="\n")


def read_frame(path):
    """Read a trace file (.csv or .parquet) as a table, values as they stand.

    Raises
    ------
    MissingFileError, InputError
    """
    import pandas as pd

    path = pathlib.Path(path)
    if not path.exists():
        raise MissingFileError(
            f"no trace file {path}; check the path, or `pickllm traces` for the names"
            " that load"
        )
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".csv":
            names = {
                "query_id": str,
                "context": str,
                "model": str,
            }  # 'NA' and 'None' are names too; a blank line keeps its number
            frame = pd.read_csv(
                path,
                dtype=names,
                keep_default_na=False,
                na_values=[""],
                skip_blank_lines=False,
            )
            header = pd.read_csv(
                path,
                header=None,
                nrows=1,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
            ).iloc[0]
            if header.size == frame.columns.size:
                frame.columns = header  # as it stands: pandas gives a name that stands twice a number
            filled = np.flatnonzero(frame.notna().any(axis=1))
            return frame.iloc[: filled[-1] + 1 if len(filled) else 0]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 (byte {_first_wrong_byte(path)}); save it again as CSV,"
            " UTF-8"
        ) from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: not a CSV table ({str(error).strip()}); it needs the columns"
            f" {', '.join(COLUMNS)}"
        ) from error
    except (OSError, ValueError) as error:  # pyarrow raises both on a damaged file
        raise InputError(
            f"{path}: cannot be read as {path.suffix[1:]} ({error}); write it again"
        ) from error
    raise InputError(
        f"{path}: a trace file ends in .csv or .parquet; convert it, or use an importer"
    )


def _first_wrong_byte(path):
    """Where a file stops being UTF-8; pandas counts from the start of a cell."""
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start


def read_trace(path, prices=None, limits=None):
    """Read and check a trace file; an error names the line of the CSV."""
    path = pathlib.Path(path)
    frame = read_frame(path)
    first = 2 if path.suffix == ".csv" else 1  # line 1 of a CSV is its header
    try:
        return _from_frame(
            Trace, frame, prices, limits, None, path.stem, first_row=first
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _from_frame(cls, frame, prices, limits, models, name, first_row):
    if models is not None and len(set(models)) != len(models):
        raise InputError(
            f"models must name each LLM once, got {list(models)}; leave out the repeats"
        )
    found = find_problems(frame, prices, models, first_row)
    if found:
        more = (
            f" (and {len(found) - 1} more; `pickllm check` lists them)"
            if len(found) > 1
            else ""
        )
        raise InputError(found[0] + more)
    models = (
        tuple(dict.fromkeys(frame["model"].astype(str)))
        if models is None
        else tuple(models)
    )
    queries = frame[~frame["query_id"].astype(str).duplicated().to_numpy()]
    row = {q: i for i, q in enumerate(queries["query_id"].astype(str))}
    at = (
        frame["query_id"].astype(str).map(row).to_numpy(),
        frame["model"].astype(str).map({m: j for j, m in enumerate(models)}).to_numpy(),
    )

    def matrix(column):
        values = (
            _numbers(frame[column])
            if column in (*COLUMNS[3:], "cost_usd")
            else frame[column]
        ).to_numpy()
        filled = np.empty((len(row), len(models)), dtype=values.dtype)
        filled[at] = values
        return filled

    tokens = matrix("input_tokens"), matrix("output_tokens")
    priced = "cost_usd" not in frame
    known = _price_list(prices)
    prices = known if priced or prices is not None else {}
    if priced:
        cost = np.column_stack(
            [
                prices[m].cost_usd(tokens[0][:, j], tokens[1][:, j])
                for j, m in enumerate(models)
            ]
        )
    else:
        cost = matrix("cost_usd")
    if limits is None and all(m in known for m in models):
        limits = declare_limits(models, known)
    return cls(
        models=models,
        query_id=queries["query_id"].astype(str).to_numpy(),
        context=queries["context"].astype(str).to_numpy(),
        accuracy=matrix("accuracy"),
        cost_usd=cost,
        latency_ms=matrix("latency_ms"),
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        prices={m: prices[m] for m in models if m in prices},
        limits=limits,
        name=name,
        extra={
            c: matrix(c) for c in frame.columns if c not in COLUMNS and c != "cost_usd"
        },
    )


def _price_list(prices):
    return prices if isinstance(prices, dict) else read_prices(prices)


def find_problems(frame, prices=None, models=None, first_row=1):
    """Every row of a table that breaks a rule of the trace format, as one line each, in row order.

    Each line states the rule, the value received, its row and column, and the next move.
    ``first_row`` is the number that the first row carries in the message.

    Examples
    --------
    >>> import pandas as pd
    >>> bad = pd.DataFrame([("q1", "maths", "command-r-plus", 1.5, 90, 9, 800.0)], columns=COLUMNS)
    >>> find_problems(bad)
    ["row 1, column 'accuracy': must be a number in [0, 1], got 1.5; scale or correct it"]
    """
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        return [f"column '{twice[0]}' stands twice; keep one of the two"]
    frame = frame.reset_index(
        drop=True
    )  # an index means nothing, and may repeat itself
    missing = [c for c in COLUMNS if c not in frame]
    if missing:
        there = [str(c) for c in frame.columns]
        return [
            f"column '{missing[0]}' is missing; a trace has the columns"
            f" {', '.join(COLUMNS)}, this table {_seen(', '.join(there), 200)}"
        ]
    if not len(frame):
        return ["the table has no rows; a trace has one row per query and model"]
    problems = []  # (position, text)

    def report(bad, column, rule, remedy):
        for position in np.flatnonzero(np.asarray(bad)):
            value = _seen(frame[column].iloc[position])
            problems.append(
                (
                    position,
                    (
                        f"row {position + first_row}, column '{column}': must be"
                        f" {rule}, got {value}; {remedy}"
                    ),
                )
            )

    for column in ("query_id", "context", "model"):
        blank = frame[column].isna() | (frame[column].astype(str).str.strip() == "")
        report(blank, column, "a name", "fill it in")
    numbers = {c: _numbers(frame[c]) for c in COLUMNS[3:]}
    report(
        ~numbers["accuracy"].between(0, 1),
        "accuracy",
        "a number in [0, 1]",
        "scale or correct it",
    )
    for column in ("input_tokens", "output_tokens"):
        n = numbers[column]
        with np.errstate(invalid="ignore"):  # the remainder of infinity
            report(
                ~((n >= 0) & (n < 2**53) & (n % 1 == 0)),
                column,
                "a whole number >= 0",
                "correct it",
            )
    n = numbers["latency_ms"]
    report(
        ~((n > 0) & np.isfinite(n)),
        "latency_ms",
        "a number of milliseconds > 0",
        "measure it again or leave the query out",
    )
    if "cost_usd" in frame:
        n = _numbers(frame["cost_usd"])
        report(
            ~((n >= 0) & np.isfinite(n)),
            "cost_usd",
            "US dollars >= 0",
            "correct it, or drop the column to price the tokens",
        )
    else:
        known = _price_list(prices)
        for model in dict.fromkeys(frame["model"].dropna().astype(str)):
            if model not in known:
                position = int(np.flatnonzero(frame["model"].astype(str) == model)[0])
                problems.append(
                    (
                        position,
                        (
                            f"row {position + first_row}, column 'model': model"
                            f" {_seen(model)} has no price; add its row to the price"
                            f" file or give prices= ({nearest(model, known)})"
                        ),
                    )
                )
    problems += _matrix_problems(frame, models, first_row, incomplete=not problems)
    return [text for _, text in sorted(problems, key=lambda p: p[0])]


def _numbers(column):
    """Return a column as floats, NaN where it holds no number; a time span is none, its unit being anybody's guess."""
    import pandas as pd

    if column.dtype.kind in "mM":
        return pd.Series(np.nan, index=column.index)
    return pd.to_numeric(column, errors="coerce").astype(float)


def _seen(value, longest=60):
    """Return a value as an error shows it: on one line, and no longer than one reads."""
    text = repr(value.item() if hasattr(value, "item") else value)
    return text if len(text) <= longest else f"{text[: longest - 12]}...{text[-9:]}"


def _matrix_problems(frame, models, first_row, incomplete):
    """Rows that keep the table from being one outcome for each pair of query and model.

    Absent rows are reported when nothing else is wrong: a wrong name leaves its query
    incomplete too.
    """
    problems = []
    keys = frame[["query_id", "model"]].astype(str)
    twice = keys.duplicated()
    for position in np.flatnonzero(twice):
        q, m = keys.iloc[position]
        text = (
            f"row {position + first_row}: query {_seen(q)} has a second row for model"
            f" {_seen(m)}; keep one row per query and model"
        )
        problems.append((position, text))
    home_context = frame.groupby(keys["query_id"], sort=False)["context"].transform(
        "first"
    )
    for position in np.flatnonzero(
        (home_context != frame["context"]) & frame["context"].notna()
    ):
        q, c = keys["query_id"].iloc[position], frame["context"].iloc[position]
        text = (
            f"row {position + first_row}, column 'context': query {_seen(q)} stands in"
            f" {_seen(home_context.iloc[position])} too, got {_seen(c)}; a query has"
            " one context"
        )
        problems.append((position, text))
    pool = list(dict.fromkeys(keys["model"])) if models is None else list(models)
    for position in np.flatnonzero(~keys["model"].isin(pool)):
        text = (
            f"row {position + first_row}, column 'model': unknown model"
            f" {_seen(keys['model'].iloc[position])};"
            f" {nearest(keys['model'].iloc[position], pool)}"
        )
        problems.append((position, text))
    if problems or not incomplete:
        return problems
    inside = keys[~twice & keys["model"].isin(pool)]
    counts = inside.groupby("query_id", sort=False)["model"].agg(["size", "first"])
    short = counts.index[counts["size"] < len(pool)]
    if len(short):
        first_position = keys["query_id"].drop_duplicates()
        position_of = {
            q: p
            for p, q in zip(
                first_position.index.map(frame.index.get_loc),
                first_position,
                strict=True,
            )
        }
        have = (
            inside[inside["query_id"].isin(short)].groupby("query_id")["model"].agg(set)
        )
        for q in short:
            absent = next(m for m in pool if m not in have[q])
            position = position_of[q]
            text = (
                f"row {position + first_row}: query {_seen(q)} has no row for model"
                f" {_seen(absent)}; every LLM of the pool answers every query: add the"
                " row or drop the query"
            )
            problems.append((position, text))
    return problems
