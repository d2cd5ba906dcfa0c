"""Recording: what live endpoints answer, what it costs and takes, kept call by call.

A queries file and a models file give the calls. A run that was stopped, or killed, goes
on with the calls whose answers are not in the log.
"""

import hashlib
import itertools
import json
import math
import pathlib
import random
import threading
import time
from dataclasses import dataclass, field

from ..core.pool import PRICE_COLUMNS
from ..errors import InputError, MissingFileError
from ..files import write_csv
from .endpoints import (
    CallFailed,
    Endpoint,
    Reply,
    ask,
    clients,
    is_number,
    limits,
    read_models,
)
from .log import FIELDS, Log, answers, identity, parse, read_log

__all__ = [
    "answers",
    "clients",
    "estimate",
    "limits",
    "plan",
    "read_log",
    "read_models",
    "read_queries",
    "record",
    "write_prices",
]

#: Failed calls in a row after which an LLM is given up for the rest of a run.
GIVE_UP = 5
#: The longest wait, in seconds, that an endpoint may ask for between two attempts.
LONGEST_WAIT = 600.0


def read_queries(path):
    """Return the queries of a CSV or Parquet file, checked.

    Parameters
    ----------
    path : path
        Columns ``query_id`` and ``prompt`` (or ``text``); optionally ``context`` (else
        all stand in one, ``"all"``) and ``reference``; further columns are kept.

    Returns
    -------
    pandas.DataFrame
        ``query_id, context, prompt, reference`` (None where there is none), then the
        further columns.

    Raises
    ------
    InputError, MissingFileError
    """
    frame = _read_table(pathlib.Path(path))
    numbers = frame.index + (
        2 if str(path).endswith(".csv") else 1
    )  # as a reader of the file counts its rows
    if "text" in frame and "prompt" in frame:
        raise InputError(
            f"{path}: columns 'prompt' and 'text' both stand there; keep the one that"
            " is to be sent"
        )
    frame = frame.rename(columns={"text": "prompt"})
    for column, other in (("query_id", ""), ("prompt", " (or 'text')")):
        if column not in frame:
            raise InputError(
                f"{path}: column '{column}'{other} is missing; a queries file has"
                " query_id, prompt and optionally context, reference"
            )
    for column in frame.columns:
        if column in FIELDS and column not in (
            "query_id",
            "context",
            "prompt",
            "reference",
        ):
            raise InputError(
                f"{path}: column '{column}' has a name that the log uses itself;"
                " rename it"
            )
    if not len(frame):
        raise InputError(f"{path}: the table has no rows; give one a query")
    frame = frame.assign(
        **{c: frame.get(c, d) for c, d in (("context", "all"), ("reference", None))}
    )
    for column in ("query_id", "context", "prompt"):
        blank = frame[column].isna() | (frame[column].astype(str).str.strip() == "")
        if blank.any():
            row = int(blank.to_numpy().argmax())
            got = frame[column].iloc[row]
            raise InputError(
                f"{path}: row {numbers[row]}, column '{column}': must be a text, got"
                f" {got!r}; fill it in or drop the row"
            )
    frame = frame.assign(
        **{c: frame[c].astype(str) for c in ("query_id", "context", "prompt")}
    )
    twice = frame["query_id"].duplicated()
    if twice.any():
        row = int(twice.to_numpy().argmax())
        raise InputError(
            f"{path}: row {numbers[row]}: query '{frame['query_id'].iloc[row]}' stands"
            " twice; give each query an id of its own"
        )
    columns = ["query_id", "context", "prompt", "reference"]
    return frame[
        [*columns, *(c for c in frame.columns if c not in columns)]
    ].reset_index(drop=True)


def _read_table(path):
    import pandas as pd

    if not path.exists():
        raise MissingFileError(
            f"no queries file {path}; give a CSV or Parquet file with the columns"
            " query_id, prompt"
        )
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(
            f"{path}: a queries file ends in .csv or .parquet, got '{path.suffix}';"
            " convert it"
        )
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).reset_index(drop=True)
        texts = dict.fromkeys(
            ("query_id", "context", "prompt", "text", "reference"), str
        )  # '007' and 'None' are texts too
        frame = pd.read_csv(
            path,
            dtype=texts,
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,
        )
        return frame[frame.notna().any(axis=1)]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 ({error.reason}); save it again as CSV, UTF-8"
        ) from error
    except (
        OSError,
        ValueError,
    ) as error:  # pandas and pyarrow raise both on a damaged file
        raise InputError(
            f"{path}: cannot be read as {path.suffix[1:]}"
            f" ({str(error).strip().splitlines()[0]}); write it again"
        ) from error


@dataclass(frozen=True, eq=False)
class Call:
    """One query to one LLM, for the so-many-th time."""

    query: dict
    endpoint: Endpoint
    repeat: int = 0

    @property
    def identity(self):
        """What makes it the same call in another run."""
        return (
            self.query["query_id"],
            self.endpoint.name,
            self.repeat,
            self.endpoint.settings,
            _sha(self.query["prompt"]),
        )

    @property
    def worst_usd(self):
        """See `Endpoint.worst_usd`."""
        return self.endpoint.worst_usd(self.query["prompt"])


def plan(queries, models, repeats=1, seed=0):
    """Every call, in an order that confounds no LLM with the time of day.

    Parameters
    ----------
    queries : pandas.DataFrame
        From `read_queries`.
    models : dict of str to Endpoint
    repeats : int
    seed : int

    Returns
    -------
    list of Call
    """
    rows = [
        {name: _plain(value) for name, value in row.items()}
        for row in queries.to_dict("records")
    ]
    calls = [
        Call(row, endpoint, k)
        for row, endpoint, k in itertools.product(rows, models.values(), range(repeats))
    ]
    random.Random(seed).shuffle(calls)
    return calls


def _plain(value):
    """Return a table's value as JSON has it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return (
        None if value != value else str(value)
    )  # NaT, and whatever else a column may hold


def _sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Purse:
    """A budget that many threads spend from: what a call may cost is set apart before it is made.

    Parameters
    ----------
    budget : float, optional
        US dollars.
    spent : float
        What is gone already.
    """

    def __init__(self, budget=None, spent=0.0):
        self.budget, self.spent, self._reserved = budget, spent, 0.0
        self._guard = threading.Lock()

    def reserve(self, usd):
        """Set an amount apart; False where it might pass the budget."""
        with self._guard:
            if (
                self.budget is not None
                and self.spent + self._reserved + usd > self.budget
            ):
                return False
            self._reserved += usd
            return True

    def settle(self, reserved, charged):
        """Take what a call was charged out of what was set apart for it."""
        with self._guard:
            self._reserved -= reserved
            self.spent += charged


@dataclass
class Count:
    """What a recording came to.

    Attributes
    ----------
    answered, failed, reused, left : int
        Calls of this run with and without an answer; those that the log held; those not
        made.
    unmetered : int
        Answers that came without usage, whose tokens are not known.
    spent_usd : float
        The most that the whole log was charged, earlier runs and warm-up included;
        calls without a price count 0.
    over_budget : bool
        Whether the budget ended it.
    given_up : dict of str to str
        LLMs that were not asked to the end, with the reason.
    errors : dict of str to str
        The last error of each LLM that had one.
    set_aside : list of str
    """

    answered: int = 0
    failed: int = 0
    reused: int = 0
    left: int = 0
    unmetered: int = 0
    spent_usd: float = 0.0
    over_budget: bool = False
    given_up: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    set_aside: list = field(default_factory=list)


def record(
    queries,
    models,
    log,
    *,
    repeats=1,
    warm_up=0,
    seed=0,
    concurrency=4,
    attempts=5,
    wait=1.0,
    budget=None,
    keep_text=True,
    progress=False,
):
    """Ask every LLM every query and log each finished call; calls that the log answers already are not made.

    Parameters
    ----------
    queries : pandas.DataFrame
        From `read_queries`.
    models : dict of str to Endpoint
        From `read_models`.
    log : path
        Appended to. Warm-up calls are logged in a file of their own beside it.
    repeats : int
        How often each query is put to each LLM, for its latency; >= 1.
    warm_up : int
        Calls to each LLM before those that count.
    seed : int
        Of the order of calls.
    concurrency : int
        Calls at once, in [1, 100].
    attempts : int
        At one call, >= 1; again after 408, 429, 5xx, no or a cut connection, a timeout or a malformed answer.
    wait : float
        Seconds before the second attempt, doubled before each further one, unless the endpoint says how long.
    budget : float, optional
        US dollars for the whole log, earlier runs and warm-up included. No call is begun that might pass it:
        one under way counts with its worst case, as does an attempt that ended without a bill.
    keep_text : bool
        Whether prompts, responses and references are written; else only their SHA-256, and of the further
        columns only numbers.
    progress : bool

    Returns
    -------
    Count

    Raises
    ------
    InputError
        A number out of its range, a key that is not in the environment, a budget with an LLM without a price,
        a log that is none or cannot be written.
    """
    _check_numbers(
        repeats=repeats,
        concurrency=concurrency,
        attempts=attempts,
        warm_up=warm_up,
        wait=wait,
        budget=budget,
    )
    unpriced = [m.name for m in models.values() if m.price is None]
    if budget is not None and unpriced:
        raise InputError(
            f"a budget needs the price of every LLM, and '{unpriced[0]}' has none; add"
            f" {' and '.join(PRICE_COLUMNS[2:4])} to it"
        )
    calls = plan(queries, models, repeats, seed)
    log = pathlib.Path(log)
    with Log(log) as file:
        todo = _missing(calls, file.records)
        asked = {call.endpoint.name: call.endpoint for call in todo}
        keys = {name: endpoint.key() for name, endpoint in asked.items()}
        count = Count(reused=len(calls) - len(todo), set_aside=list(file.set_aside))
        warm = [
            call
            for name in asked
            for call in [c for c in todo if c.endpoint.name == name][:warm_up]
        ]
        with _warm_log(log, warm) as second:
            purse = Purse(
                budget,
                sum(
                    r.get("charged_usd") or 0.0
                    for r in [*file.records, *second.records]
                ),
            )
            run = _Run(keys, purse, attempts, wait, keep_text)
            if warm:
                run.through(warm, second, concurrency, Count(), progress, "warm-up")
            run.through(todo, file, concurrency, count, progress, "record")
    count.spent_usd, count.given_up, count.errors = (
        purse.spent,
        dict(run.given_up),
        dict(run.errors),
    )
    count.left = len(todo) - count.answered - count.failed
    return count


def _missing(calls, records):
    """Return the calls that a log holds no answer of; those that failed are made again."""
    done = {identity(r) for r in records if r["error"] is None}
    return [call for call in calls if call.identity not in done]


def _check_numbers(**given):
    lowest, highest = (
        {"repeats": 1, "concurrency": 1, "attempts": 1},
        {
            "concurrency": 100,
            "wait": 3600,
        },
    )
    for name, value in given.items():
        low, high = lowest.get(name, 0), highest.get(name, math.inf)
        whole = name not in ("wait", "budget")
        if value is not None and not (
            is_number(value, low, int if whole else (int, float)) and value <= high
        ):
            kind = "a whole number" if whole else "a number"
            raise InputError(
                f"record: {name.replace('_', '-')} must be {kind} in [{low}, {high}],"
                f" got {value!r}; correct it"
            )


def _warm_log(log, warm):
    """Return the log of warm-up calls; they count in no result, but in the budget."""
    from contextlib import nullcontext
    from types import SimpleNamespace

    path = log.with_name(f"{log.stem}.warm-up{log.suffix}")
    return (
        Log(path) if warm or path.exists() else nullcontext(SimpleNamespace(records=[]))
    )


class _Run:
    """What the threads of one recording share."""

    def __init__(self, keys, purse, attempts, wait, keep_text):
        self.keys, self.purse, self.attempts, self.wait, self.keep_text = (
            keys,
            purse,
            attempts,
            wait,
            keep_text,
        )
        self.stopped = threading.Event()
        self.given_up, self.errors = {}, {}
        self._quiet_until, self._in_a_row = {}, dict.fromkeys(keys, 0)
        self._guard = threading.Lock()

    def through(self, calls, log, concurrency, count, progress, title):
        """Make the calls, a few at once, and log each as it ends."""
        from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

        from tqdm import tqdm

        running, waiting = set(), list(reversed(calls))
        bar = tqdm(
            total=len(calls),
            unit="call",
            desc=title,
            disable=not progress or not calls,
            smoothing=0.05,
        )
        with bar, ThreadPoolExecutor(concurrency) as pool:
            try:
                while waiting or running:
                    while (
                        waiting
                        and len(running) < concurrency
                        and self._affordable(waiting[-1], running, count)
                    ):
                        call = waiting.pop()
                        if call.endpoint.name not in self.given_up:
                            running.add(pool.submit(self._finish, call, log))
                        else:
                            self.purse.settle(call.worst_usd or 0.0, 0.0)
                    if count.over_budget and not running:
                        break
                    done, running = (
                        wait(running, return_when=FIRST_COMPLETED)
                        if running
                        else (set(), running)
                    )
                    for future in done:
                        self._counted(future.result(), count)
                        bar.set_postfix_str(
                            f"{self.purse.spent:.4f} USD"
                            + (f", {count.failed} failed" if count.failed else "")
                        )
                        bar.update()
            except BaseException:
                self.stopped.set()  # what is under way has been paid for: it ends, and is logged
                raise

    def _affordable(self, call, running, count):
        """Whether the worst case of one more call fits in the budget; what is under way may turn out cheaper."""
        if self.purse.reserve(call.worst_usd or 0.0):
            return True
        count.over_budget = not running
        return False

    @staticmethod
    def _counted(record, count):
        if record["error"] is None:
            count.answered += 1
            count.unmetered += (
                record["input_tokens"] is None or record["output_tokens"] is None
            )
        else:
            count.failed += 1

    def _finish(self, call, log):
        """One call with its retries, logged."""
        reply, failure, tried, charged = self._persist(call)
        if not tried:  # interrupted before its turn came
            return None
        record = _record(call, reply, failure, tried, charged, self.keep_text)
        log.append(_without(record, self.keys[call.endpoint.name]))
        with self._guard:
            self._judge(call.endpoint, failure)
        return record

    def _persist(self, call):
        """Return attempts at a call until one brings an answer or no further one makes sense."""
        endpoint, worst, charged, failure = (
            call.endpoint,
            call.worst_usd or 0.0,
            0.0,
            None,
        )
        for tried in range(1, self.attempts + 1):
            if self._interrupted(endpoint):
                self.purse.settle(worst, 0.0)
                return None, failure, tried - 1, charged
            reply, failure = _tried(
                endpoint, call.query["prompt"], self.keys[endpoint.name]
            )
            if reply is not None:
                cost = reply.cost_usd(endpoint.price)
                cost = worst if cost is None else cost
                self.purse.settle(worst, cost)
                return reply, None, tried, charged + cost
            again = (
                failure.transient
                and tried < self.attempts
                and not self.stopped.is_set()
                and self._hold(endpoint, failure, tried)
            )
            if failure.billed:
                charged += worst
                self.purse.settle(worst, worst)
                if again and not self.purse.reserve(worst):
                    return None, failure, tried, charged
            elif not again:
                self.purse.settle(worst, 0.0)
            if not again:
                return None, failure, tried, charged

    def _hold(self, endpoint, failure, tried):
        """Keep every thread from the endpoint for as long as it asks, or for a while that doubles; False where that is too long."""
        if (failure.wait_s or 0.0) > LONGEST_WAIT:
            return False
        # the first wait by chance within its half, so that threads that failed together
        # do not return together
        seconds = (
            failure.wait_s
            if failure.wait_s is not None
            else self.wait * 2 ** (tried - 1) * random.uniform(0.5, 1.0)
        )
        with self._guard:
            self._quiet_until[endpoint.name] = max(
                self._quiet_until.get(endpoint.name, 0.0), time.monotonic() + seconds
            )
        return True

    def _interrupted(self, endpoint):
        """Wait until the endpoint may be asked again; True where the run was interrupted meanwhile."""
        while (
            left := self._quiet_until.get(endpoint.name, 0.0) - time.monotonic()
        ) > 0:
            if self.stopped.wait(left):
                return True
        return False

    def _judge(self, endpoint, failure):
        """Give an LLM up where nothing will change before the user changes something."""
        if failure is None:
            self._in_a_row[endpoint.name] = 0
            return
        self.errors[endpoint.name] = str(failure)
        self._in_a_row[endpoint.name] += 1
        if (
            failure.status in (401, 403, 404)
            or self._in_a_row[endpoint.name] >= GIVE_UP
        ):
            self.given_up.setdefault(endpoint.name, f"{endpoint.place}: {failure}")


def _tried(endpoint, prompt, key):
    try:
        return ask(endpoint, prompt, key), None
    except CallFailed as failure:
        return None, failure


def _record(call, reply, failure, tried, charged, keep_text):
    """Return a call as the log holds it."""
    query, endpoint = call.query, call.endpoint
    nothing = dict.fromkeys(Reply.__dataclass_fields__)
    got = vars(reply) if reply else nothing | {"started": failure.started}
    texts = {
        "prompt": query["prompt"],
        "response": got["response"],
        "reference": query["reference"],
    }
    told = None if failure is None else str(failure) if keep_text else failure.kind
    values = {
        **{name: query[name] for name in ("query_id", "context")},
        **got,
        **{name: text if keep_text else None for name, text in texts.items()},
        **{
            f"{name}_sha256": (
                None
                if text is None
                else _sha(text if isinstance(text, str) else json.dumps(text))
            )
            for name, text in texts.items()
        },
        "model": endpoint.name,
        "requested_model": endpoint.model,
        "provider": endpoint.place,
        "repeat": call.repeat,
        "attempts": tried,
        "error": told,
        "settings": endpoint.settings,
        "charged_usd": None if endpoint.price is None else charged,
        **{
            name: getattr(endpoint, name)
            for name in ("temperature", "seed", "max_tokens", "stream")
        },
    }
    further = {
        name: value
        for name, value in query.items()
        if name not in values and (keep_text or isinstance(value, (bool, int, float)))
    }
    return {name: values[name] for name in FIELDS} | further


def _without(record, key):
    """Return the record without the key, should an endpoint have repeated it; short ones are words of other texts too."""
    if not key or len(key) < 8:
        return record
    return {
        name: value.replace(key, "***") if isinstance(value, str) else value
        for name, value in record.items()
    }


def estimate(queries, models, log=None, repeats=1, warm_up=0):
    """Return what a recording would cost: calls still to make, dollars expected and at worst, per LLM.

    A token is expected for every `BYTES_PER_TOKEN` bytes of a prompt, and answers as long as those that the
    log holds of the LLM, else half of `max_tokens`. The worst case is of one attempt at each call.

    Returns
    -------
    pandas.DataFrame
        ``model, calls, expected_usd, worst_usd``; NaN without a price.
    """
    import pandas as pd

    path = pathlib.Path(log) if log else None
    records = parse(path, path.read_bytes())[0] if path and path.exists() else []
    todo = _missing(plan(queries, models, repeats), records)
    rows = []
    for name, endpoint in models.items():
        known = [
            r["output_tokens"]
            for r in records
            if r["model"] == name
            and r["settings"] == endpoint.settings
            and r["output_tokens"] is not None
        ]
        mean = sum(known) / len(known) if known else None
        mine = [call.query["prompt"] for call in todo if call.endpoint is endpoint]
        mine += mine[:warm_up]
        priced = endpoint.price is not None
        expected = (
            sum(endpoint.expected_usd(prompt, mean) for prompt in mine)
            if priced
            else math.nan
        )
        worst = (
            sum(endpoint.worst_usd(prompt) for prompt in mine) if priced else math.nan
        )
        rows.append((name, len(mine), expected, worst))
    return pd.DataFrame(rows, columns=["model", "calls", "expected_usd", "worst_usd"])


def described(table):
    """Return an `estimate` in words, for the one who is to pay.

    Examples
    --------
    >>> import pandas as pd
    >>> print(described(pd.DataFrame([("a", 3, 0.01, 0.02)], columns=["model", "calls", "expected_usd", "worst_usd"])))
    a: 3 calls, expected 0.0100 USD, at worst 0.0200 USD
    together: 3 calls, expected 0.0100 USD, at worst 0.0200 USD
    """
    lines = []
    together = (
        "together",
        table.calls.sum(),
        table.expected_usd.sum(),
        table.worst_usd.sum(),
    )
    for name, calls, expected, worst in [
        *table.itertuples(index=False, name=None),
        together,
    ]:
        usd = (
            "no price"
            if math.isnan(expected)
            else f"expected {expected:.4f} USD, at worst {worst:.4f} USD"
        )
        lines.append(f"{name}: {calls} calls, {usd}")
    if table.expected_usd.isna().any():
        lines[-1] += " for those that have a price"
    return "\n".join(lines)


def shortcomings(count):
    """Return what a user should know of a recording that did not go as asked, one line each."""
    lines = list(count.set_aside)
    lines += [
        f"LLM '{name}': {why} (the last of its errors)"
        for name, why in count.errors.items()
        if name not in count.given_up
    ]
    lines += [
        f"LLM '{name}' was given up: {why}"
        for name, why in list(count.given_up.items())[1:]
    ]
    if count.unmetered:
        lines.append(
            f"{count.unmetered} answers came without usage: their tokens are not known,"
            " and a cost cannot be scored from them"
        )
    if count.over_budget:
        lines.append(
            f"the budget ends here: {count.left} calls are left; a larger --budget goes"
            " on with them"
        )
    return lines


def write_prices(path, models):
    """Return the prices of a models file as a price file (CSV); LLMs without one are left out, and no file is written without any.

    Returns
    -------
    bool
        Whether there is a file.
    """
    import pandas as pd

    priced = [m.price for m in models.values() if m.price is not None]
    if priced:
        rows = [
            (p.model, p.vendor, p.input_usd, p.output_usd, p.as_of, p.source)
            for p in priced
        ]
        write_csv(path, pd.DataFrame(rows, columns=PRICE_COLUMNS), digits=12)
    return bool(priced)
