"""Live sessions: pick, call, score, update, for one query after another."""

import asyncio
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .attempts import ask
from .endpoints import BYTES_PER_TOKEN, USD_KEYS, Endpoint, read_models
from .router import Router

#: ``client(prompt) -> (text, cost_usd)``; it raises where the call fails.
Client = Callable[[str], tuple[str, float]]


@dataclass(frozen=True)
class Answer:
    """What one query of a live session came to.

    Attributes
    ----------
    text : str
    model : str
        The LLM that answered.
    accuracy : float or None
        As scored; None where the scorer had nothing to say.
    cost_usd, latency_ms : float
    failed : tuple of str
        LLMs that were asked before and failed.
    locked : str or None
        The LLM that the session has converged to, after this query.
    router_us : float
        Microseconds that the router itself took for this query: picking and learning,
        neither calls nor scores.
    """

    text: str
    model: str
    accuracy: float | None
    cost_usd: float
    latency_ms: float
    failed: tuple[str, ...] = ()
    locked: str | None = None
    router_us: float = 0.0


class LiveSession:
    """The paper's loop on real endpoints.

    Parameters
    ----------
    router : Router
    clients : dict of str to callable
        LLM -> ``client(prompt) -> (text, cost_usd)``; it raises where the call fails.
    scorer : callable
        ``scorer(text, reference) -> accuracy in [0, 1]``, or None where nothing can be
        said. One with a true attribute ``sees_prompt`` is given the prompt as a third
        argument.
    failure_reward : float
        Unit reward of a failed call, in [0, 1]; 0 by default.
    state : path, optional
        The router's state is saved there after every query.
    """

    def __init__(
        self,
        router: Router,
        clients: Mapping[str, Client],
        scorer: Callable[..., float | None],
        *,
        failure_reward: float = 0.0,
        state: str | Path | None = None,
    ):
        missing = [model for model in router.models if model not in clients]
        if missing:
            raise InputError(
                f"LiveSession: no client for {missing[0]!r}; give one for each LLM of"
                f" the router: {', '.join(router.models)}"
            )
        if not 0 <= failure_reward <= 1:
            raise InputError(
                "LiveSession: failure_reward must be in [0, 1], got"
                f" {failure_reward!r}; 0 is the worst reward"
            )
        self.router = router
        self.clients = clients
        self.scorer = scorer
        self.failure_reward = float(failure_reward)
        self.state = state

    def ask(self, prompt: str, reference: str | None = None) -> Answer:
        """Route one query.

        A failed call counts as declared, and the query goes to the next most probable
        LLM.

        Returns
        -------
        Answer

        Raises
        ------
        InputError
            Every LLM failed; the last one's error is named.
        """
        watch = _Stopwatch()
        with watch:
            picked = self.router.pick()
        failed: list[str] = []
        last: Exception | None = None
        for model in [picked, *self._others(picked)]:
            start = time.perf_counter()
            try:
                text, cost = self.clients[model](prompt)
            except Exception as error:  # whatever a client raises, the query goes on
                last = error
                failed.append(model)
                with watch:
                    self.router.learn(model, self.failure_reward)
                continue
            latency = 1000 * (time.perf_counter() - start)
            accuracy = self._score(text, reference, prompt)
            with watch:
                self._learn(model, accuracy, cost, latency)
            if self.state:
                self.router.save(self.state)
            return Answer(
                text,
                model,
                accuracy,
                cost,
                latency,
                failed=tuple(failed),
                locked=self.router.locked,
                router_us=1e6 * watch.seconds,
            )
        raise InputError(
            f"LiveSession: every LLM failed, the last one with {type(last).__name__}:"
            f" {last}; look at the endpoints"
        ) from last

    async def ask_async(self, prompt: str, reference: str | None = None) -> Answer:
        """`ask` without blocking the event loop."""
        return await asyncio.to_thread(self.ask, prompt, reference)

    def _others(self, picked: str) -> list[str]:
        """Return the LLMs to ask where the one picked fails, most probable first."""
        chances = self.router.probabilities
        ranked = sorted(chances, key=lambda model: chances[model], reverse=True)
        unasked = {picked, *self.router.withdrawn}
        return [model for model in ranked if model not in unasked]

    def _score(self, text: str, reference: str | None, prompt: str) -> float | None:
        if getattr(self.scorer, "sees_prompt", False):
            return self.scorer(text, reference, prompt)
        return self.scorer(text, reference)

    def _learn(
        self, model: str, accuracy: float | None, cost_usd: float, latency_ms: float
    ) -> None:
        if accuracy is None:
            return
        floor = self.router.limits.latency_floor_ms  # faster ones are not told apart
        self.router.update(
            model,
            accuracy=accuracy,
            cost_usd=cost_usd,
            latency_ms=max(latency_ms, floor),
        )


class _Stopwatch:
    """Seconds spent in its blocks, added up."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start


def clients(models_file: str | Path, **defaults: Any) -> dict[str, Client]:
    """Return a callable per LLM of a models file, as `LiveSession` takes them.

    Each makes one attempt: where it fails, the session asks the next LLM at once. Where
    an endpoint does not say what it used, the cost is estimated by the texts' lengths,
    with a warning the first time.

    Parameters
    ----------
    models_file : path
    **defaults
        As in `read_models`.

    Returns
    -------
    dict of str to callable
        ``client(prompt) -> (text, cost_usd)``; it raises `CallFailed`.

    Raises
    ------
    InputError, MissingFileError
        As in `read_models`; an LLM without a price, or whose key is not in the
        environment.
    """
    models = read_models(models_file, **defaults)
    for name, endpoint in models.items():
        if endpoint.price is None:
            raise InputError(
                f"{models_file}: LLM '{name}' has no price, and a session learns from"
                f" costs; add {' and '.join(USD_KEYS)} (0 where it is free)"
            )
    return {name: _client(endpoint) for name, endpoint in models.items()}


def _client(endpoint: Endpoint) -> Client:
    key = endpoint.key()
    warned = False

    def client(prompt: str) -> tuple[str, float]:
        nonlocal warned
        reply = ask(endpoint, prompt, key)
        cost = reply.cost_usd(endpoint.price)
        if cost is not None:
            return reply.response, cost
        if not warned:
            warned = True
            warnings.warn(
                f"LLM '{endpoint.name}' does not say how many tokens it used; its"
                " costs are estimated",
                stacklevel=2,
            )
        output_tokens = len(reply.response.encode()) / BYTES_PER_TOKEN
        return reply.response, endpoint.expected_usd(prompt, output_tokens) or 0.0

    return client
