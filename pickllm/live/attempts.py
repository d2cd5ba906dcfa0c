"""Attempts: one request to one endpoint, and what came of it."""

import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..core.pool import Price
from .endpoints import Endpoint, is_number

#: What stands where a key stood.
MASK = "***"
#: Keys below this length may be words of other texts: only messages are masked of them.
SHORTEST_KEY = 8
#: What the errors of the client, its HTTP library and JSON mean, by their names, as
#: versions of the client build on other libraries: names, kind, whether it may have
#: been charged. The first row that holds a name counts.
KINDS = (
    ({"ConnectError", "ConnectTimeout", "PoolTimeout"}, "no connection", False),
    ({"TimeoutException", "TimeoutError"}, "timeout", True),
    ({"TransportError"}, "cut", True),
    ({"TextGenerationError"}, "error in the stream", True),
    ({"_CutStreamError"}, "cut", True),
    (
        {
            "_MalformedError",
            "JSONDecodeError",
            "UnicodeDecodeError",
            "AttributeError",
            "KeyError",
            "TypeError",
        },
        "malformed answer",
        True,
    ),
)


@dataclass(frozen=True)
class Reply:
    """What one attempt brought back.

    Attributes
    ----------
    response : str
    finish_reason, returned_model : str or None
    input_tokens, output_tokens, reasoning_tokens : int or None
        None where the endpoint did not say.
    latency_ms : float
        Wall time from sending the request to the answer's last byte.
    first_token_ms : float or None
        Wall time to the first token of any kind; None when not streamed.
    started : str
        UTC, ISO 8601.
    """

    response: str
    finish_reason: str | None
    returned_model: str | None
    input_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    latency_ms: float
    first_token_ms: float | None
    started: str

    def cost_usd(self, price: Price | None) -> float | None:
        """Return what the answer cost, None where its price or tokens are not known."""
        if price is None or self.input_tokens is None or self.output_tokens is None:
            return None
        return price.cost_usd(self.input_tokens, self.output_tokens)


class CallFailed(RuntimeError):  # noqa: N818 - it is an outcome, as a Reply is
    """An attempt without an answer.

    Parameters
    ----------
    text : str
        One line for the user, without a key.
    kind : str
        What happened, without a word of the endpoint's own.
    status : int or None
        Of the HTTP response, where there was one.
    transient : bool
        Whether another attempt makes sense.
    billed : bool
        Whether the endpoint may have charged for it.
    wait_s : float or None
        How long the endpoint asked to be left alone.

    Attributes
    ----------
    started : str or None
        As in `Reply`.
    """

    def __init__(
        self,
        text: str,
        kind: str,
        *,
        status: int | None = None,
        transient: bool = False,
        billed: bool = False,
        wait_s: float | None = None,
    ):
        super().__init__(text)
        self.kind = kind
        self.status = status
        self.transient = transient
        self.billed = billed
        self.wait_s = wait_s
        self.started: str | None = None


class _MalformedError(ValueError):
    """An answer that is not one."""


class _CutStreamError(ValueError):
    """A stream that ended before its end."""


def masked(text: str, key: str | None) -> str:
    """Return a text without the key.

    Examples
    --------
    >>> masked("your header was Bearer sk-1234", "sk-1234")
    'your header was Bearer ***'
    """
    return text.replace(key, MASK) if key else text


def masked_texts(record: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    """Return a record whose texts are `masked`, but for a key that may be a word."""
    if not key or len(key) < SHORTEST_KEY:
        return dict(record)
    return {
        name: masked(value, key) if isinstance(value, str) else value
        for name, value in record.items()
    }


def ask(endpoint: Endpoint, prompt: str, key: str | None = None) -> Reply:
    """Make one attempt at one call.

    Parameters
    ----------
    endpoint : Endpoint
    prompt : str
    key : str, optional
        From `Endpoint.key`.

    Returns
    -------
    Reply
        Its texts without the key, should the endpoint have repeated it.

    Raises
    ------
    CallFailed
        Nothing in it, nor in the errors it is chained to, holds the key.
    """
    from huggingface_hub import InferenceClient
    from huggingface_hub.utils import get_session

    get_session()  # its first use reads certificates: none of the endpoint's latency
    if key is None and endpoint.provider:
        key = endpoint.key()
    handled = sys.exception()  # what a caller is handling is not this call's
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    start = time.perf_counter()
    try:
        with InferenceClient(  # one a call: its streams are not for many threads
            base_url=endpoint.base_url,
            provider=endpoint.provider,  # pyright: ignore[reportArgumentType]
            token=key or "none",  # without one the Hub's login would be sent
            timeout=endpoint.timeout,
        ) as client:
            answer: Any = client.chat_completion(**_request(endpoint, prompt))
            if endpoint.stream:
                parts = _streamed(answer, start, endpoint.timeout)
            else:
                parts = _whole(answer)
        latency = round(1000 * (time.perf_counter() - start), 3)
        return Reply(**masked_texts(parts, key), latency_ms=latency, started=started)
    except Exception as error:  # the client, its HTTP library and JSON have their own
        failure = _failure(error, key, handled)
    failure.started = started
    # Outside the handler: chained to the client's error it would show what the endpoint
    # said, the key included.
    raise failure


def _request(endpoint: Endpoint, prompt: str) -> dict[str, Any]:
    request = {
        "messages": endpoint.messages(prompt),
        "model": endpoint.model,
        "temperature": endpoint.temperature,
        "seed": endpoint.seed,
        "max_tokens": endpoint.max_tokens,
        "stream": endpoint.stream,
        "extra_body": endpoint.extra or None,
    }
    if endpoint.stream:
        request["stream_options"] = {"include_usage": True}
    return request


def _whole(answer: Any) -> dict[str, Any]:
    """Return the parts of an answer that came at once."""
    if not answer.choices or not isinstance(answer.choices, list):
        raise _MalformedError("the answer holds no choices")
    choice = answer.choices[0]
    if choice.message is None:
        raise _MalformedError("the answer holds no message")
    text = choice.message.content or ""
    parts = _parts(text, choice.finish_reason, answer.model, answer.usage)
    return parts | {"first_token_ms": None}


def _streamed(chunks: Iterable[Any], start: float, timeout: float) -> dict[str, Any]:
    """Return the parts of an answer that comes in chunks, timed from `start`."""
    texts: list[str] = []
    reason = model = usage = first_token_ms = None
    for chunk in chunks:
        seconds = time.perf_counter() - start
        if seconds > timeout:
            raise TimeoutError(f"no end after {timeout:g} s")
        model = chunk.model or model
        usage = chunk.usage or usage
        for choice in chunk.choices or []:
            delta = choice.delta or {}
            if first_token_ms is None and _holds_token(delta):
                first_token_ms = round(1000 * seconds, 3)
            texts.append(delta.get("content") or "")
            reason = choice.finish_reason or reason
    if reason is None:  # closed early, which is not always an HTTP library's error
        raise _CutStreamError("the stream ended before its end")
    parts = _parts("".join(texts), reason, model, usage)
    return parts | {"first_token_ms": first_token_ms}


def _holds_token(delta: Mapping[str, Any]) -> bool:
    names = ("content", "reasoning", "reasoning_content", "tool_calls")
    return any(delta.get(name) for name in names)


def _parts(text: Any, reason: Any, model: Any, usage: Any) -> dict[str, Any]:
    """Return the fields of `Reply` that do not depend on how the answer came."""
    if not isinstance(text, str):
        raise _MalformedError(
            f"the answer's content is no text but {type(text).__name__}"
        )
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("completion_tokens_details") or {}
    tokens = {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "reasoning_tokens": details.get(
            "reasoning_tokens", usage.get("reasoning_tokens")
        ),
    }
    return {
        "response": _joined_halves(text),
        "finish_reason": None if reason is None else _joined_halves(str(reason)),
        "returned_model": None if model is None else _joined_halves(str(model)),
        **{
            name: value if is_number(value, kind=int) else None
            for name, value in tokens.items()
        },
    }


def _joined_halves(text: str) -> str:
    r"""Join halves of a letter that came in two pieces.

    A half that stands alone is in no encoding, and is replaced.

    Examples
    --------
    >>> _joined_halves("\ud83d" + "\ude00") == "\U0001f600"
    True
    >>> _joined_halves("a\ud83d").isprintable()
    True
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _failure(
    error: BaseException, key: str | None, handled: BaseException | None
) -> CallFailed:
    """Return what went wrong, as `CallFailed`."""
    chain = _chain(error, handled)
    responses = [getattr(one, "response", None) for one in chain]
    response = next((one for one in responses if one is not None), None)
    if response is not None:
        status = response.status_code
        kind = f"HTTP {status}"
        return CallFailed(
            _line(kind, _refusal(response), key),
            kind,
            status=status,
            transient=status in (408, 429) or status >= 500,
            wait_s=retry_after(response.headers.get("retry-after")),
        )
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    for known, kind, billed in KINDS:
        if names & known:
            told = chain[-1] if kind == "no connection" else error
            line = _line(kind, str(told), key)
            return CallFailed(line, kind, transient=True, billed=billed)
    kind = type(error).__name__
    return CallFailed(_line(kind, str(error), key), kind)


def _chain(error: BaseException, handled: BaseException | None) -> list[BaseException]:
    """Return an error and those beneath it, down to what the caller was handling."""
    chain = [error]
    while True:
        beneath = chain[-1].__cause__ or chain[-1].__context__
        if beneath is None or beneath is handled:
            return chain
        chain.append(beneath)


def _refusal(response: Any) -> str:
    """Return what an endpoint says of its refusal."""
    try:
        error = response.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError, RuntimeError):
        pass
    try:
        return response.text
    except RuntimeError:  # a body that was never read
        return ""


def _line(kind: str, text: str, key: str | None) -> str:
    """Return one short line without the key, whatever an endpoint says."""
    words = masked(text, key).split()
    line = " ".join([f"{kind}:", *words]).removesuffix(":")
    return masked(_joined_halves(line), key)[:300]


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds to wait by a Retry-After header, or None.

    The header holds seconds, or an HTTP date.

    Examples
    --------
    >>> retry_after("2")
    2.0
    >>> now = datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)
    >>> retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now)
    30.0
    >>> retry_after("soon")
    """
    from email.utils import parsedate_to_datetime

    if not value:
        return None
    if re.fullmatch(r"\s*\d+(\.\d*)?\s*", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    seconds = (until - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds)
