"""Calls: made a few at once, again where that makes sense, each logged as it ends."""

import json
import math
import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from .attempts import CallFailed, Reply, ask, masked_texts
from .endpoints import Endpoint, is_number
from .log import FIELDS, Log
from .plan import Call, sha256

#: Failed calls in a row after which an LLM is given up for the rest of a run.
GIVE_UP = 5
#: Statuses after which it is given up at once: another call would get the same.
REFUSALS = (401, 403, 404)
#: The longest wait, in seconds, that an endpoint may ask for between two attempts.
LONGEST_WAIT = 600.0
#: Settings that are numbers: lowest, highest, whether whole.
RANGES = {
    "repeats": (1, math.inf, True),
    "concurrency": (1, 100, True),
    "attempts": (1, math.inf, True),
    "warm_up": (0, math.inf, True),
    "wait": (0, 3600, False),
    "budget": (0, math.inf, False),
}


@dataclass(frozen=True)
class Settings:
    """How a recording is made; the fields are those of `record`."""

    repeats: int
    warm_up: int
    seed: int
    concurrency: int
    attempts: int
    wait: float
    budget: float | None
    keep_text: bool
    progress: bool

    def __post_init__(self):
        for name, (low, high, whole) in RANGES.items():
            value = getattr(self, name)
            if name == "budget" and value is None:
                continue
            kind = int if whole else (int, float)
            if not is_number(value, low, kind) or value > high:
                rule = "a whole number" if whole else "a number"
                raise InputError(
                    f"record: {name.replace('_', '-')} must be {rule} in [{low},"
                    f" {high}], got {value!r}; correct it"
                )


class Purse:
    """A budget that many threads spend from.

    What a call may cost is set apart before it is made.

    Parameters
    ----------
    budget : float, optional
        US dollars.
    spent : float
        What is gone already.
    """

    def __init__(self, budget: float | None = None, spent: float = 0.0):
        self.budget = budget
        self.spent = spent
        self._reserved = 0.0
        self._guard = threading.Lock()

    def reserve(self, usd: float) -> bool:
        """Set an amount apart; False where it might pass the budget."""
        with self._guard:
            total = self.spent + self._reserved + usd
            if self.budget is not None and total > self.budget:
                return False
            self._reserved += usd
            return True

    def settle(self, reserved: float, charged: float) -> None:
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
    given_up: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    set_aside: list[str] = field(default_factory=list)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a finished call."""
        if record["error"] is not None:
            self.failed += 1
            return
        self.answered += 1
        if record["input_tokens"] is None or record["output_tokens"] is None:
            self.unmetered += 1


@dataclass
class _Outcome:
    """What came of a call: a reply or a failure, or neither where it was not begun."""

    reply: Reply | None = None
    failure: CallFailed | None = None
    attempts: int = 0
    charged: float = 0.0


class Run:
    """What the threads of one recording share."""

    def __init__(
        self, keys: Mapping[str, str | None], purse: Purse, settings: Settings
    ):
        self.keys = keys
        self.purse = purse
        self.settings = settings
        self.stopped = threading.Event()
        self.given_up: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self._quiet_until: dict[str, float] = {}
        self._failures_in_a_row = dict.fromkeys(keys, 0)
        self._guard = threading.Lock()

    def make(self, calls: Sequence[Call], log: Log, count: Count, title: str) -> None:
        """Make the calls, a few at once, and log each as it ends."""
        from tqdm import tqdm

        waiting = list(reversed(calls))
        running: set[Future[dict[str, Any] | None]] = set()
        bar = tqdm(
            total=len(calls),
            unit="call",
            desc=title,
            disable=not self.settings.progress or not calls,
            smoothing=0.05,
        )
        with bar, ThreadPoolExecutor(self.settings.concurrency) as pool:
            try:
                while waiting or running:
                    self._begin(waiting, running, pool, log)
                    if not running:
                        break
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        if finished := future.result():
                            count.add(finished)
                        bar.set_postfix_str(self._so_far(count))
                        bar.update()
            except BaseException:
                self.stopped.set()  # what is under way is paid for: it ends, logged
                raise
        count.over_budget = bool(waiting)

    def _begin(
        self,
        waiting: list[Call],
        running: set[Future[dict[str, Any] | None]],
        pool: ThreadPoolExecutor,
        log: Log,
    ) -> None:
        """Begin as many calls as may run at once and fit in the budget."""
        while waiting and len(running) < self.settings.concurrency:
            call = waiting[-1]
            abandoned = call.endpoint.name in self.given_up
            if not abandoned and not self.purse.reserve(call.worst_usd):
                return  # what is under way may turn out cheaper
            waiting.pop()
            if not abandoned:
                running.add(pool.submit(self._finish, call, log))

    def _so_far(self, count: Count) -> str:
        failed = f", {count.failed} failed" if count.failed else ""
        return f"{self.purse.spent:.4f} USD{failed}"

    def _finish(self, call: Call, log: Log) -> dict[str, Any] | None:
        """Make one call with its retries, and log it; None where it was not begun."""
        outcome = self._persist(call)
        if not outcome.attempts:
            return None
        line = _log_line(call, outcome, self.settings.keep_text)
        log.append(masked_texts(line, self.keys[call.endpoint.name]))
        with self._guard:
            self._judge(call.endpoint, outcome.failure)
        return line

    def _persist(self, call: Call) -> _Outcome:
        """Attempt a call until it is answered or no further attempt makes sense."""
        endpoint = call.endpoint
        outcome = _Outcome()
        while True:
            if self._interrupted(endpoint):
                self.purse.settle(call.worst_usd, 0.0)
                return outcome
            outcome.attempts += 1
            try:
                reply = ask(endpoint, call.query["prompt"], self.keys[endpoint.name])
            except CallFailed as failure:
                outcome.failure = failure
                if not self._try_again(call, outcome, failure):
                    return outcome
            else:
                outcome.reply = reply
                outcome.failure = None
                cost = reply.cost_usd(endpoint.price)
                charged = call.worst_usd if cost is None else cost
                outcome.charged += charged
                self.purse.settle(call.worst_usd, charged)
                return outcome

    def _try_again(self, call: Call, outcome: _Outcome, failure: CallFailed) -> bool:
        """Settle a failed attempt, and tell whether another one is to be made."""
        again = (
            failure.transient
            and outcome.attempts < self.settings.attempts
            and not self.stopped.is_set()
            and self._hold(call.endpoint, failure, outcome.attempts)
        )
        if failure.billed:
            outcome.charged += call.worst_usd
            self.purse.settle(call.worst_usd, call.worst_usd)
            return again and self.purse.reserve(call.worst_usd)
        if not again:
            self.purse.settle(call.worst_usd, 0.0)
        return again

    def _hold(self, endpoint: Endpoint, failure: CallFailed, attempts: int) -> bool:
        """Keep every thread from the endpoint; False where it asks for too long.

        For as long as it asks, or for a while that doubles.
        """
        if failure.wait_s is None:
            # by chance within its half, so that threads that failed together do not
            # return together
            longest = self.settings.wait * 2 ** (attempts - 1)
            seconds = longest * random.uniform(0.5, 1.0)
        elif failure.wait_s > LONGEST_WAIT:
            return False
        else:
            seconds = failure.wait_s
        until = time.monotonic() + seconds
        with self._guard:
            earlier = self._quiet_until.get(endpoint.name, 0.0)
            self._quiet_until[endpoint.name] = max(earlier, until)
        return True

    def _interrupted(self, endpoint: Endpoint) -> bool:
        """Wait until the endpoint may be asked; True where the run ended meanwhile."""
        while True:
            seconds = self._quiet_until.get(endpoint.name, 0.0) - time.monotonic()
            if seconds <= 0:
                return False
            if self.stopped.wait(seconds):
                return True

    def _judge(self, endpoint: Endpoint, failure: CallFailed | None) -> None:
        """Give an LLM up where nothing will change before the user changes it."""
        name = endpoint.name
        if failure is None:
            self._failures_in_a_row[name] = 0
            return
        self.errors[name] = str(failure)
        self._failures_in_a_row[name] += 1
        if failure.status in REFUSALS or self._failures_in_a_row[name] >= GIVE_UP:
            self.given_up.setdefault(name, f"{endpoint.place}: {failure}")


def _log_line(call: Call, outcome: _Outcome, keep_text: bool) -> dict[str, Any]:
    """Return a call as the log holds it."""
    query = call.query
    endpoint = call.endpoint
    values = {
        **_of_attempt(outcome, keep_text),
        "query_id": query["query_id"],
        "context": query["context"],
        "repeat": call.repeat,
        "model": endpoint.name,
        "requested_model": endpoint.model,
        "provider": endpoint.place,
        "temperature": endpoint.temperature,
        "seed": endpoint.seed,
        "max_tokens": endpoint.max_tokens,
        "stream": endpoint.stream,
        "settings": endpoint.settings,
        "charged_usd": None if endpoint.price is None else outcome.charged,
    }
    texts = {
        "prompt": query["prompt"],
        "response": values["response"],
        "reference": query["reference"],
    }
    for name, text in texts.items():
        values[name] = text if keep_text else None
        values[f"{name}_sha256"] = _text_sha256(text)
    line = {name: values[name] for name in FIELDS}
    for name, value in query.items():
        if name not in line and (keep_text or isinstance(value, (bool, int, float))):
            line[name] = value
    return line


def _of_attempt(outcome: _Outcome, keep_text: bool) -> dict[str, Any]:
    """Return what the last attempt at a call brought, as the log holds it."""
    values: dict[str, Any] = dict.fromkeys(Reply.__dataclass_fields__)
    if outcome.reply:
        values |= vars(outcome.reply)
    error = None
    if outcome.failure:
        values["started"] = outcome.failure.started
        error = str(outcome.failure) if keep_text else outcome.failure.kind
    return values | {"attempts": outcome.attempts, "error": error}


def _text_sha256(text: Any) -> str | None:
    """Return the hash of a text, or of a list of texts as JSON."""
    if text is None:
        return None
    return sha256(text if isinstance(text, str) else json.dumps(text))
