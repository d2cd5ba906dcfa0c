"""Trace: the outcomes of every LLM on every query."""

# pandas has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingTypeStubs=false
# users run unchecked code:
# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, nearest
from ..files import digest, written
from ..identity import identity
from .pool import Limits, Price, default_limits, price_of
from .trace_file import Prices, arrays_of, read_frame

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES = ("accuracy", "cost_usd", "latency_ms", "input_tokens", "output_tokens")


class Origin(NamedTuple):
    """Where a selected part stands in its trace; see `Trace.select`.

    Attributes
    ----------
    trace : Trace
    rows : slice or ndarray of int
        Positions of its queries.
    columns : ndarray of int, optional
        Positions of its LLMs; None: all, in order.
    """

    trace: "Trace"
    rows: slice | NDArray[np.intp]
    columns: NDArray[np.intp] | None


@dataclass(frozen=True, eq=False)
class Trace:
    """Outcomes of every LLM of a pool on every query: what a session replays.

    Build one with `load_trace` or `Trace.from_frame`; both check every row. A part that
    `select` gives reads its arrays from the whole when they are asked for.

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
    joint : bool
        Whether a row's accuracies were measured on one query. Where they were not (a
        sample of statistics of each LLM on its own), each LLM's law is that of its
        measurements, but which LLMs are right together is not known.
    """

    models: tuple[str, ...]
    query_id: NDArray[np.str_]
    context: NDArray[np.str_]
    accuracy: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    input_tokens: NDArray[np.float64]
    output_tokens: NDArray[np.float64]
    prices: dict[str, Price] = field(default_factory=dict[str, Price], repr=False)
    limits: Limits = field(default_factory=default_limits)
    name: str = "trace"
    extra: dict[str, NDArray[Any]] = field(
        default_factory=dict[str, NDArray[Any]], repr=False
    )
    sample_of: Any = field(default=None, repr=False)
    joint: bool = True

    def __post_init__(self) -> None:
        self._set("models", tuple(str(model) for model in self.models))
        for name in OUTCOMES:
            self._set(name, _read_only(getattr(self, name), np.float64))
        for name in ("query_id", "context"):
            self._set(name, _read_only(getattr(self, name), np.str_))
        shape = len(self.query_id), len(self.models)
        for name in OUTCOMES:
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"Trace: {name} must have shape {shape}, one row a query and one"
                    f" column an LLM, got {getattr(self, name).shape}"
                )
        if self.limits is None:
            self._set("limits", default_limits())

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    if not TYPE_CHECKING:  # the fields are all that there is to see

        def __getattr__(self, name: str) -> Any:
            """Read an array of a selected part, and keep it."""
            if name not in SELECTED or "_origin" not in vars(self):
                raise AttributeError(f"a Trace has no {name!r}")
            self._set(name, self._read(name))
            return vars(self)[name]

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields: a copy of a part stands alone."""
        return {field.name: self._read(field.name) for field in fields(self)}

    def _read(self, name: str) -> Any:
        """Return a field's value; a part keeps nothing by it."""
        if name in vars(self):
            return vars(self)[name]
        whole, rows, columns = vars(self)["_origin"]
        if name == "extra":
            further = whole.extra.items()
            return {key: _block(v, rows, columns).copy() for key, v in further}
        values = getattr(whole, name)
        return _block(values, rows, None if name in NAMED else columns)

    def fleeting(self) -> "Trace":
        """Return the same trace, whose arrays go when it goes.

        Whoever goes through many parts of one trace holds only those in use.

        Examples
        --------
        >>> import pickllm as pk
        >>> part = pk.load_trace("bfcl-2024-08-11").select(context="rest")
        >>> part.fleeting().accuracy.shape, part.fleeting() is part
        ((5000, 4), False)
        """
        if "_origin" not in vars(self):
            return self
        return _with_fields(vars(self))

    def __repr__(self) -> str:
        return (
            f"Trace({self.name!r}: {self.n_queries} queries, contexts"
            f" {', '.join(self.contexts)}; models {', '.join(self.models)})"
        )

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return len(self.query_id)

    @cached_property
    def contexts(self) -> tuple[str, ...]:
        """The contexts, in order of first appearance."""
        return tuple(dict.fromkeys(self.context.tolist()))

    def fingerprint(self) -> str:
        """Return SHA-256 of everything that a result can depend on."""
        arrays = [
            np.ascontiguousarray(self._read(column)).tobytes() for column in OUTCOMES
        ]
        extra = self._read("extra")
        further = [identity(sorted(extra.items()))] if extra else []
        if not self.joint:
            further.append("each LLM on its own")
        return digest(
            list(self.models),
            self.query_id.tolist(),
            self.context.tolist(),
            vars(self.limits),
            *arrays,
            *further,
        )

    def select(
        self,
        context: str | Sequence[str] | None = None,
        models: str | Sequence[str] | None = None,
    ) -> "Trace":
        """Return the part within some contexts and for some LLMs, in the order given.

        Parameters
        ----------
        context : str or sequence of str, optional
            By default all.
        models : str or sequence of str, optional
            By default all.

        Returns
        -------
        Trace
            It reads its arrays from this trace, once they are asked for; the same names
            give the same part, as long as somebody holds it.

        Raises
        ------
        InputError
            An unknown context or LLM, none of them, or an LLM named twice.

        Examples
        --------
        >>> import pickllm as pk
        >>> pk.load_trace("bfcl-2024-08-11").select(context="rest").contexts
        ('rest',)
        """
        wanted = self._contexts_named(context)
        names = self._models_named(models)
        known = self._parts.get((wanted, names))
        if known is not None:
            return known
        columns = None
        if names != self.models:
            columns = np.array([self.models.index(name) for name in names])
        origin = Origin(self, self._rows_of(wanted), columns)
        alike = {name: getattr(self, name) for name in ALIKE}
        part = _with_fields({"models": names, **alike, "_origin": origin})
        self._parts[wanted, names] = part
        return part

    def _contexts_named(self, context: str | Sequence[str] | None) -> tuple[str, ...]:
        """Return some contexts by name, all of them known."""
        wanted = _names(context, self.contexts)
        if not wanted:
            raise InputError(f"select: no context given; {nearest('', self.contexts)}")
        for name in wanted:
            if name not in self.contexts:
                raise InputError(
                    f"unknown context {name!r} in {self.name};"
                    f" {nearest(name, self.contexts)}"
                )
        return wanted

    def _models_named(self, models: str | Sequence[str] | None) -> tuple[str, ...]:
        """Return some LLMs by name, each known and named once."""
        names = _names(models, self.models)
        for name in names:
            if name not in self.models:
                raise InputError(
                    f"unknown model {name!r} in {self.name};"
                    f" {nearest(name, self.models)}"
                )
        if not names or len(set(names)) != len(names):
            raise InputError(
                f"select: models must name each LLM once, got {list(names)}; leave out"
                " the repeats"
            )
        return names

    @cached_property
    def _parts(self) -> "WeakValueDictionary[Any, Trace]":
        """Parts that somebody holds: the same names give the same part."""
        return WeakValueDictionary()

    @cached_property
    def _rows(self) -> dict[tuple[str, ...], slice | NDArray[np.intp]]:
        """Positions of queries, by contexts."""
        return {}

    def _rows_of(self, wanted: tuple[str, ...]) -> slice | NDArray[np.intp]:
        """Return where the queries of some contexts stand."""
        if wanted not in self._rows:
            rows = np.flatnonzero(np.isin(self.context, wanted))
            first, last = int(rows[0]), int(rows[-1]) + 1
            together = last - first == len(rows)
            self._rows[wanted] = slice(first, last) if together else rows
        return self._rows[wanted]

    def reprice(self, prices: dict[str, Price]) -> "Trace":
        """Return the same outcomes at other prices: nothing is measured again.

        Raises
        ------
        InputError
            An LLM without a price.
        """
        columns = [
            price_of(model, prices).cost_usd(
                self.input_tokens[:, j], self.output_tokens[:, j]
            )
            for j, model in enumerate(self.models)
        ]
        return replace(self, cost_usd=np.column_stack(columns), prices=prices)

    def to_frame(self) -> "pd.DataFrame":
        """Return the trace as a table, one row per query and LLM.

        Returns
        -------
        pandas.DataFrame
            The columns of a trace file (see `trace_file.COLUMNS`), ``cost_usd``, the
            further columns, and ``joint`` (False) where accuracies are not joint.
        """
        import pandas as pd

        n_queries, n_models = self.accuracy.shape
        columns = {
            "query_id": np.repeat(self.query_id, n_models),
            "context": np.repeat(self.context, n_models),
            "model": np.tile(np.array(self.models), n_queries),
            "accuracy": self.accuracy.ravel(),
            "input_tokens": self.input_tokens.ravel().astype(np.int64),
            "output_tokens": self.output_tokens.ravel().astype(np.int64),
            "latency_ms": self.latency_ms.ravel(),
            "cost_usd": self.cost_usd.ravel(),
        }
        further = {name: values.ravel() for name, values in self.extra.items()}
        alone = {} if self.joint else {"joint": False}
        return pd.DataFrame(columns | further | alone)

    @classmethod
    def from_frame(
        cls,
        frame: "pd.DataFrame",
        prices: Prices = None,
        limits: Limits | None = None,
        models: Sequence[str] | None = None,
        name: str = "frame",
    ) -> "Trace":
        """Return a checked trace from a table with one row per query and LLM.

        Parameters
        ----------
        frame : pandas.DataFrame
            The columns of a trace file; ``cost_usd`` is optional, further columns are
            kept.
        prices : dict of str to Price, or path, optional
            Needed for LLMs that the kit's own price list does not hold, unless
            ``cost_usd`` is given.
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
        >>> rows = [
        ...     ("q1", "maths", model, 1.0, 90, 9, 800.0)
        ...     for model in ("gpt-4o-2024-05-13", "command-r-plus")
        ... ]
        >>> from pickllm.core.trace_file import COLUMNS
        >>> trace = Trace.from_frame(pd.DataFrame(rows, columns=COLUMNS))
        >>> trace.cost_usd.round(6).tolist()
        [[0.000585, 0.000405]]
        """
        return cls(name=name, **arrays_of(frame, prices, limits, models))

    def save(self, path: str | Path) -> None:
        """Write the trace as CSV or Parquet, by the path's ending.

        Raises
        ------
        InputError
            Another ending, or a folder that cannot be written.
        """
        path = Path(path)
        if path.suffix == ".csv":
            with written(path) as file:
                self.to_frame().to_csv(file, index=False, lineterminator="\n")
        elif path.suffix == ".parquet":
            with written(path, "wb") as file:
                self.to_frame().to_parquet(file, index=False, compression="zstd")
        else:
            raise InputError(
                f"{path}: a trace is written as .csv or .parquet, got '{path.suffix}';"
                " choose one of the two"
            )


def read_trace(
    path: str | Path, prices: Prices = None, limits: Limits | None = None
) -> Trace:
    """Return the trace of a file, checked; an error names the line of the CSV.

    Parameters
    ----------
    path : path
    prices, limits
        See `Trace.from_frame`.

    Raises
    ------
    MissingFileError, InputError
    """
    path = Path(path)
    frame = read_frame(path)
    first_row = 2 if path.suffix == ".csv" else 1  # line 1 of a CSV is its header
    try:
        return Trace(
            name=path.stem, **arrays_of(frame, prices, limits, first_row=first_row)
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


#: Fields of a part that are read from the whole, and those that are the whole's own.
NAMED = ("query_id", "context")
SELECTED = {*OUTCOMES, *NAMED, "extra"}
ALIKE = ("prices", "limits", "name", "sample_of", "joint")


def _with_fields(values: dict[str, Any]) -> Trace:
    """Return a trace of fields that need no check."""
    trace = object.__new__(Trace)
    vars(trace).update(values)
    return trace


def _block(
    values: NDArray[Any],
    rows: slice | NDArray[np.intp],
    columns: NDArray[np.intp] | None,
) -> NDArray[Any]:
    """Return a part of an array (n_queries, ...), row after row, read only."""
    part = values[rows]
    if columns is not None:
        part = part.take(columns, axis=1)
    part.setflags(write=False)
    return part


def _names(given: str | Sequence[str] | None, everything: tuple[str, ...]):
    if given is None:
        return everything
    return (given,) if isinstance(given, str) else tuple(given)


def _read_only(values: object, dtype: type) -> NDArray[Any]:
    array = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array
