"""Endpoints: LLMs that answer over HTTP, one attempt at one call at a time.

Any OpenAI-compatible endpoint, or one of the Hub's inference providers. Keys come from
the environment, and no file ever holds one.
"""

import math
import os
import pathlib
import re
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..core.pool import PRICE_COLUMNS, Limits, Price
from ..errors import InputError, MissingFileError, nearest
from ..files import digest

#: What a models file may say of an LLM.
KEYS = (
    "model",
    "base_url",
    "provider",
    "key_env",
    *PRICE_COLUMNS[1:],
    "temperature",
    "seed",
    "max_tokens",
    "stream",
    "timeout",
    "system",
    "extra",
)
#: Tokens that a chat template may add to a prompt, in the worst case that a budget
#: counts with.
TEMPLATE_TOKENS = 256
#: Bytes of text that a token stands for on average, where a cost is expected rather
#: than known.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Endpoint:
    """An LLM behind a chat-completion endpoint, and how it is asked.

    Parameters
    ----------
    name : str
        What the LLM is called in the log and the trace.
    model : str
        Its id at the endpoint.
    base_url : str, optional
        An OpenAI-compatible endpoint; else the Hub's `provider` is asked.
    provider : str, optional
        One of the Hub's inference providers.
    key_env : str, optional
        The environment variable that holds the key. Without it, a `base_url` gets none
        and a provider gets the Hub's login.
    price : Price, optional
    temperature : float
        >= 0.
    seed, max_tokens : int
        Always sent.
    stream : bool
        Whether the answer is streamed, which gives the time to the first token.
    timeout : float
        Seconds without a byte, and seconds for a streamed answer as a whole, > 0.
    system : str, optional
        A system prompt.
    extra : dict
        Further fields of the request, like ``top_p``.
    """

    name: str
    model: str
    base_url: str = None
    provider: str = None
    key_env: str = None
    price: Price = None
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 512
    stream: bool = True
    timeout: float = 120.0
    system: str = None
    extra: dict = field(default_factory=dict)

    @property
    def place(self):
        """Where it is asked: the provider's name, or the endpoint's address."""
        return self.base_url or self.provider

    @property
    def settings(self):
        """A hash of everything that its answers depend on; prices, keys and patience are not among it."""
        names = (
            "model",
            "base_url",
            "provider",
            "temperature",
            "seed",
            "max_tokens",
            "stream",
            "system",
            "extra",
        )
        return digest({name: getattr(self, name) for name in names})[:12]

    def messages(self, prompt):
        """Return the conversation that is sent for a prompt."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": prompt}]

    def key(self):
        """Return the key from the environment (for a provider without a variable of its own, the Hub's login), or None.

        Raises
        ------
        InputError
            The variable is not set, or holds what cannot be sent.
        """
        if self.key_env is None:
            if self.base_url:
                return None
            from huggingface_hub import get_token

            if (token := get_token()) is None:
                raise InputError(
                    f"LLM '{self.name}': the provider {self.provider} needs a key; set"
                    " HF_TOKEN, or name a variable with key_env"
                )
            return token
        value = os.environ.get(self.key_env, "").strip()
        if not value:
            raise InputError(
                f"LLM '{self.name}': the environment variable {self.key_env} is not"
                " set; export the endpoint's key in it"
            )
        if not (value.isascii() and value.isprintable()):
            raise InputError(
                f"LLM '{self.name}': the environment variable {self.key_env} holds"
                " letters that no key has; copy the key again"
            )
        return value

    def worst_usd(self, prompt):
        """US dollars that one attempt can cost at most: a token per byte of the prompt, and `max_tokens`; None without a price."""
        if self.price is None:
            return None
        return self.price.cost_usd(
            _size(self.messages(prompt)) + TEMPLATE_TOKENS, self.max_tokens
        )

    def expected_usd(self, prompt, output_tokens=None):
        """US dollars that one call is expected to cost, by the prompt's length; half of `max_tokens` without a better guess."""
        if self.price is None:
            return None
        answer = self.max_tokens / 2 if output_tokens is None else output_tokens
        return self.price.cost_usd(
            _size(self.messages(prompt)) / BYTES_PER_TOKEN, answer
        )


def _size(messages):
    return sum(len(m["content"].encode()) for m in messages)


def read_models(path, **defaults):
    """Return the LLMs of a models file (YAML), in its order: ``{name: Endpoint}``.

    Parameters
    ----------
    path : path
        For each LLM's name a mapping with `KEYS`: ``model``, and ``base_url`` or
        ``provider``; optionally ``key_env``, the fields of a price file, and settings
        of its own.
    **defaults
        Settings of the LLMs that do not say: ``temperature``, ``seed``, ``max_tokens``,
        ``stream``, ``timeout``.

    Raises
    ------
    InputError, MissingFileError
        No such file, not YAML, an unknown key, or a value that breaks its rule.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "models.yaml"
    ...     _ = path.write_text("small: {model: tiny-1, base_url: 'http://localhost:8000/v1', max_tokens: 64}")
    ...     read_models(path, temperature=0.7)["small"].max_tokens
    64
    """
    import yaml

    path = pathlib.Path(path)
    if not path.exists():
        raise MissingFileError(
            f"no models file {path}; write one in YAML, like `small: {{model: tiny-1,"
            " base_url: http://localhost:8000/v1}`"
        )
    try:
        text = path.read_text("utf-8")
        values, twice = (
            yaml.safe_load(text),
            _twice(yaml.compose(text, Loader=yaml.SafeLoader)),
        )
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not YAML: {str(error).splitlines()[0]}; write `NAME:` and below"
            " it one `key: value` a line"
        ) from None
    if twice:
        raise InputError(
            f"{path}: '{twice[0]}' stands twice, in line {twice[1]} again; keep one of"
            " the two"
        )
    if not isinstance(values, dict) or not values:
        raise InputError(
            f"{path} must hold an LLM's name and below it {', '.join(KEYS[:4])}, got"
            f" {type(values).__name__}; add one"
        )
    return {
        str(name): _endpoint(path, str(name), said, defaults)
        for name, said in values.items()
    }


def _twice(node):
    """Return a key that a mapping holds twice and its line, as YAML itself says nothing about it."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                return key.value, key.start_mark.line + 1
            seen.add(key.value)
            if found := _twice(value):
                return found
    return None


def _endpoint(path, name, said, defaults):
    where = f"{path}: LLM '{name}'"
    if not isinstance(said, dict):
        raise InputError(
            f"{where}: must hold `key: value` lines, got {type(said).__name__}; give at"
            " least model and base_url"
        )
    for key in said:
        if key not in KEYS:
            raise InputError(f"{where}: unknown key {key!r}; {nearest(key, KEYS)}")
    said = {key: value for key, value in said.items() if value is not None}
    if not isinstance(said.get("model"), str):
        raise InputError(
            f"{where}: model must be the LLM's id at its endpoint, got"
            f" {said.get('model')!r}; add it"
        )
    if ("base_url" in said) == ("provider" in said):
        raise InputError(
            f"{where}: needs either base_url (an OpenAI-compatible endpoint) or"
            " provider (one of the Hub's); give one of the two"
        )
    values = {
        key: value
        for key, value in (defaults | said).items()
        if key not in PRICE_COLUMNS[1:]
    }
    for key, value in values.items():
        rule, holds = _RULES[key]
        if not holds(value):
            shown = (
                "what is there" if key in ("key_env", "base_url") else repr(value)
            )  # either may hold a key by mistake
            raise InputError(f"{where}: {key} must be {rule}, got {shown}; correct it")
    return Endpoint(name=name, price=_price(where, name, said), **values)


def _address(value):
    from urllib.parse import urlsplit

    if not isinstance(value, str):
        return False
    parts = urlsplit(value)
    secret = (
        parts.username
        or parts.password
        or re.search(r"key|token|secret|sig", parts.query, re.I)
    )
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not secret


def is_number(value, low=0.0, kind=(int, float), strict=False):
    return (
        isinstance(value, kind)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (value > low if strict else value >= low)
    )


def _variable(value):
    return isinstance(value, str) and bool(re.fullmatch("[A-Z_][A-Z0-9_]*", value))


_SENT = (
    "model",
    "messages",
    "temperature",
    "seed",
    "max_tokens",
    "stream",
    "stream_options",
    "n",
)
_RULES = {
    "model": ("a text", lambda v: isinstance(v, str) and bool(v)),
    "base_url": (
        (
            "an address that begins with http:// or https:// and holds no key (see"
            " key_env)"
        ),
        _address,
    ),
    "provider": ("a provider's name", lambda v: isinstance(v, str) and bool(v)),
    "key_env": (
        "the name of an environment variable, in capitals, and never a key itself",
        _variable,
    ),
    "temperature": ("a number >= 0", is_number),
    "seed": ("a whole number >= 0", lambda v: is_number(v, kind=int)),
    "max_tokens": ("a whole number >= 1", lambda v: is_number(v, 1, int)),
    "stream": ("true or false", lambda v: isinstance(v, bool)),
    "timeout": ("a number of seconds > 0", lambda v: is_number(v, strict=True)),
    "system": ("a text", lambda v: isinstance(v, str)),
    "extra": (
        f"a mapping without {', '.join(_SENT)}",
        lambda v: isinstance(v, dict) and not set(v) & set(_SENT),
    ),
}


def _price(where, name, said):
    usd = [said.get(column) for column in PRICE_COLUMNS[2:4]]
    if usd == [None, None]:
        return None
    for column, value in zip(PRICE_COLUMNS[2:4], usd, strict=True):
        if not is_number(value):
            raise InputError(
                f"{where}: {column} must be a number >= 0, got {value!r}; give both"
                " prices, or neither"
            )
    vendor, as_of, source = (
        str(said.get(column, "")) for column in ("vendor", "as_of", "source")
    )
    return Price(name, vendor, float(usd[0]), float(usd[1]), as_of, source)


# One attempt at one call


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
    finish_reason: str
    returned_model: str
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    latency_ms: float
    first_token_ms: float
    started: str

    def cost_usd(self, price):
        """Return what the answer cost at a price, or None where a price or the tokens are not known."""
        if price is None or self.input_tokens is None or self.output_tokens is None:
            return None
        return price.cost_usd(self.input_tokens, self.output_tokens)


class CallFailed(RuntimeError):
    """An attempt without an answer.

    Attributes
    ----------
    status : int or None
        Of the HTTP response, where there was one.
    transient : bool
        Whether another attempt makes sense.
    billed : bool
        Whether the endpoint may have charged for it.
    wait_s : float or None
        How long the endpoint asked to be left alone.
    kind : str
        What happened, without a word of the endpoint's own.
    started : str
        As in `Reply`.
    """

    def __init__(
        self, text, kind, status=None, transient=False, billed=False, wait_s=None
    ):
        super().__init__(text)
        self.kind, self.status, self.transient, self.billed, self.wait_s = (
            kind,
            status,
            transient,
            billed,
            wait_s,
        )
        self.started = None


class _Malformed(ValueError):
    """An answer that is not one."""


def ask(endpoint, prompt, key=None):
    """One attempt at one call.

    Parameters
    ----------
    endpoint : Endpoint
    prompt : str
    key : str, optional
        From `Endpoint.key`.

    Returns
    -------
    Reply

    Raises
    ------
    CallFailed
    """
    from huggingface_hub import InferenceClient
    from huggingface_hub.utils import get_session

    get_session()  # its first use reads certificates, which is none of the endpoint's latency
    # without a key of its own, an address that the user named must not be sent the
    # Hub's
    token = key if key or endpoint.provider else "none"
    place = (
        {"base_url": endpoint.base_url}
        if endpoint.base_url
        else {"provider": endpoint.provider}
    )
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
    outer = sys.exception()  # what a caller is handling is not this call's
    started, start = (
        datetime.now(UTC).isoformat(timespec="milliseconds"),
        time.perf_counter(),
    )
    try:
        with InferenceClient(
            **place, token=token, timeout=endpoint.timeout
        ) as client:  # one a call: its streams are not for many threads
            answer = client.chat_completion(**request)
            parts = (
                _streamed(answer, start, endpoint.timeout)
                if endpoint.stream
                else _whole(answer)
            )
            latency = round(1000 * (time.perf_counter() - start), 3)
    except (
        Exception
    ) as error:  # the client, its HTTP library and JSON each have errors of their own
        failure = _failure(error, key, outer)
        failure.started = started
        raise failure from error
    return Reply(**parts, latency_ms=latency, started=started)


def _whole(answer):
    if not answer.choices or not isinstance(answer.choices, list):
        raise _Malformed("the answer holds no choices")
    choice = answer.choices[0]
    message = choice.message
    if message is None:
        raise _Malformed("the answer holds no message")
    return _parts(
        message.content or "", choice.finish_reason, answer.model, answer.usage, None
    )


def _streamed(chunks, start, timeout):
    texts, reason, model, usage, first = [], None, None, None, None
    for chunk in chunks:
        now = time.perf_counter() - start
        if now > timeout:
            raise TimeoutError(f"no end after {timeout:g} s")
        model, usage = chunk.model or model, chunk.usage or usage
        for choice in chunk.choices or []:
            delta = choice.delta or {}
            if first is None and any(
                delta.get(name)
                for name in ("content", "reasoning", "reasoning_content", "tool_calls")
            ):
                first = round(1000 * now, 3)
            texts.append(delta.get("content") or "")
            reason = choice.finish_reason or reason
    if (
        reason is None
    ):  # a connection that closes early is not always an error to the HTTP library
        raise _Malformed("the stream ended before its end")
    return _parts("".join(texts), reason, model, usage, first)


def _parts(text, reason, model, usage, first):
    if not isinstance(text, str):
        raise _Malformed(f"the answer's content is no text but {type(text).__name__}")
    told = {"response": text, "finish_reason": reason, "returned_model": model}
    return (
        {
            name: None if value is None else _whole_text(str(value))
            for name, value in told.items()
        }
        | {"first_token_ms": first}
        | _usage(usage)
    )


def _whole_text(text):
    """Halves of a letter that came in two pieces put together; a half that stands alone is in no encoding.

    Examples
    --------
    >>> _whole_text("\\ud83d" + "\\ude00") == "\\U0001f600", _whole_text("a\\ud83d").isascii()
    (True, False)
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usage(usage):
    if not isinstance(usage, dict):
        usage = {}
    details = usage.get("completion_tokens_details") or {}
    reasoning = details.get("reasoning_tokens", usage.get("reasoning_tokens"))
    found = {
        "input_tokens": usage.get("prompt_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "reasoning_tokens": reasoning,
    }
    return {
        name: value if is_number(value, kind=int) else None
        for name, value in found.items()
    }


def _failure(error, key, outer=None):
    """Return what went wrong, told by names: the HTTP library that the Hub's client builds on changed its own between versions."""
    chain = [error]
    while (beneath := chain[-1].__cause__ or chain[-1].__context__) not in (
        None,
        outer,
    ):
        chain.append(beneath)
    response = next(
        (e.response for e in chain if getattr(e, "response", None) is not None), None
    )
    names = {kind.__name__ for e in chain for kind in type(e).__mro__}
    if response is not None:
        status = response.status_code
        transient = status in (408, 429) or status >= 500
        wait = retry_after(response.headers.get("retry-after"))
        return CallFailed(
            _line(f"HTTP {status}", _said(response), key),
            f"HTTP {status}",
            status,
            transient,
            wait_s=wait,
        )
    if names & {"ConnectError", "ConnectTimeout", "PoolTimeout"}:
        return CallFailed(
            _line("no connection", str(chain[-1]), key), "no connection", transient=True
        )
    if names & {"TimeoutException", "TimeoutError"}:
        return CallFailed(
            _line("timeout", str(error), key), "timeout", transient=True, billed=True
        )
    if names & {"TransportError"}:
        return CallFailed(
            _line("cut", str(error), key), "cut", transient=True, billed=True
        )
    if names & {"TextGenerationError"}:
        return CallFailed(
            _line("error in the stream", str(error), key),
            "error in the stream",
            transient=True,
            billed=True,
        )
    if names & {
        "_Malformed",
        "JSONDecodeError",
        "UnicodeDecodeError",
        "AttributeError",
        "KeyError",
        "TypeError",
    }:
        kind = "cut" if "ended before" in str(error) else "malformed answer"
        return CallFailed(
            _line(kind, f"{error}", key), kind, transient=True, billed=True
        )
    return CallFailed(
        _line(type(error).__name__, str(error), key), type(error).__name__
    )


def _said(response):
    """Return what an endpoint says of its refusal: the message in its JSON, else the text itself."""
    try:
        error = response.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError, RuntimeError):
        pass
    try:
        return response.text
    except RuntimeError:  # a body that was never read
        return ""


def _line(kind, said, key):
    """One short line without the key, whatever an endpoint says."""
    text = _whole_text(" ".join(f"{kind}: {said}".split())).removesuffix(":")
    return (text.replace(key, "***") if key else text)[:300]


def retry_after(value, now=None):
    """Seconds to wait by a Retry-After header (seconds, or an HTTP date), or None.

    Examples
    --------
    >>> retry_after("2"), retry_after("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)), retry_after("soon")
    (2.0, 30.0, None)
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
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


# Live use


def clients(models_file, **defaults):
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
            missing = " and ".join(PRICE_COLUMNS[2:4])
            raise InputError(
                f"{models_file}: LLM '{name}' has no price, and a session learns from"
                f" costs; add {missing} (0 where it is free)"
            )
    return {
        name: _client(endpoint, endpoint.key()) for name, endpoint in models.items()
    }


def limits(models, max_input_tokens, latency_floor_ms, latency_ceiling_ms):
    """Return what a query to these LLMs may cost and take, declared before the first answer; the reward's bounds come from it.

    Parameters
    ----------
    models : dict of str to Endpoint
        From `read_models`, each with its price and its `max_tokens`.
    max_input_tokens : int
    latency_floor_ms, latency_ceiling_ms : float
        As in `Limits`.

    Returns
    -------
    Limits

    Examples
    --------
    >>> limits({"a": Endpoint("a", "m", price=Price("a", "", 1.0, 2.0, "", ""), max_tokens=500)}, 1000, 200.0, 1e4).max_cost_usd
    0.002
    """
    dearest = max(
        (
            m.price.cost_usd(max_input_tokens, m.max_tokens)
            for m in models.values()
            if m.price
        ),
        default=0.0,
    )
    return Limits(
        dearest or 1e-9, latency_floor_ms, latency_ceiling_ms
    )  # where every LLM is free no cost is told apart


def _client(endpoint, key):
    said = []

    def client(prompt):
        reply = ask(endpoint, prompt, key)
        cost = reply.cost_usd(endpoint.price)
        if cost is None:
            if not said:
                import warnings

                warnings.warn(
                    f"LLM '{endpoint.name}' does not say how many tokens it used; its"
                    " costs are estimated",
                    stacklevel=2,
                )
                said.append(True)
            cost = endpoint.expected_usd(
                prompt, len(reply.response.encode()) / BYTES_PER_TOKEN
            )
        return reply.response, cost

    return client
