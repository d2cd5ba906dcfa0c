"""Endpoints: the LLMs of a models file, where they are and how they are asked.

Keys come from the environment, and no file ever holds one.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.pool import PRICE_COLUMNS, Limits, Price
from ..errors import InputError, nearest
from ..files import digest
from ..readers import read_yaml

#: What a models file may say of an LLM's price: a price file's columns, but its name.
PRICE_KEYS = PRICE_COLUMNS[1:]
#: Those of them that hold US dollars.
USD_KEYS = PRICE_COLUMNS[2:4]
#: What a models file may say of an LLM.
KEYS = (
    "model",
    "base_url",
    "provider",
    "key_env",
    *PRICE_KEYS,
    "temperature",
    "seed",
    "max_tokens",
    "stream",
    "timeout",
    "system",
    "extra",
)
#: Fields of a request that `Endpoint.extra` may not hold.
SENT = (
    "model",
    "messages",
    "temperature",
    "seed",
    "max_tokens",
    "stream",
    "stream_options",
    "n",
)
#: What an answer depends on besides the prompt: no price, no key, no patience.
SETTINGS = (
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
#: Tokens that a chat template may add to a prompt, in the worst case that a budget
#: counts with.
TEMPLATE_TOKENS = 256
#: Bytes of text that a token stands for on average, where a cost is expected rather
#: than known.
BYTES_PER_TOKEN = 4
#: The largest cost in US dollars of LLMs that are free: the reward's bounds need one.
FREE_USD = 1e-9


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
    base_url: str | None = None
    provider: str | None = None
    key_env: str | None = None
    price: Price | None = None
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 512
    stream: bool = True
    timeout: float = 120.0
    system: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str | None:
        """Where it is asked: the endpoint's address, or the provider's name."""
        return self.base_url or self.provider

    @property
    def settings(self) -> str:
        """A hash of `SETTINGS`."""
        return digest({name: getattr(self, name) for name in SETTINGS})[:12]

    def messages(self, prompt: str) -> list[dict[str, str]]:
        """Return the conversation that is sent for a prompt."""
        user = {"role": "user", "content": prompt}
        if self.system:
            return [{"role": "system", "content": self.system}, user]
        return [user]

    def key(self) -> str | None:
        """Return the key from the environment, or None where none is to be sent.

        A provider without a variable of its own gets the Hub's login.

        Raises
        ------
        InputError
            The variable is not set, or holds what cannot be sent.
        """
        if self.key_env is None:
            return None if self.base_url else self._hub_key()
        value = os.environ.get(self.key_env, "").strip()
        where = f"LLM '{self.name}': the environment variable {self.key_env}"
        if not value:
            raise InputError(f"{where} is not set; export the endpoint's key in it")
        if not (value.isascii() and value.isprintable()):
            raise InputError(
                f"{where} holds letters that no key has; copy the key again"
            )
        return value

    def _hub_key(self) -> str:
        from huggingface_hub import get_token

        token = get_token()
        if token is None:
            raise InputError(
                f"LLM '{self.name}': the provider {self.provider} needs a key; set"
                " HF_TOKEN, or name a variable with key_env"
            )
        return token

    def worst_usd(self, prompt: str) -> float | None:
        """Return the most US dollars that one attempt can cost, None without a price.

        A token for each byte of the prompt, and `max_tokens` for the answer.
        """
        if self.price is None:
            return None
        prompt_tokens = self._size(prompt) + TEMPLATE_TOKENS
        return self.price.cost_usd(prompt_tokens, self.max_tokens)

    def expected_usd(
        self, prompt: str, output_tokens: float | None = None
    ) -> float | None:
        """Return the US dollars expected for one call, None without a price.

        By the prompt's length, and half of `max_tokens` where no better guess is given.
        """
        if self.price is None:
            return None
        if output_tokens is None:
            output_tokens = self.max_tokens / 2
        return self.price.cost_usd(self._size(prompt) / BYTES_PER_TOKEN, output_tokens)

    def _size(self, prompt: str) -> int:
        """Return the bytes of the conversation that is sent."""
        messages = self.messages(prompt)
        return sum(len(message["content"].encode()) for message in messages)


def read_models(path: str | Path, **defaults: Any) -> dict[str, Endpoint]:
    """Return the LLMs of a models file (YAML) by name, in its order.

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
    ...     text = "small: {model: tiny-1, base_url: 'http://localhost:8000/v1'}"
    ...     _ = path.write_text(text)
    ...     read_models(path, max_tokens=64)["small"].max_tokens
    64
    """
    example = "`small: {model: tiny-1, base_url: http://localhost:8000/v1}`"
    models = read_yaml(path, "models file", f"write one in YAML, like {example}")
    if not isinstance(models, dict) or not models:
        raise InputError(
            f"{path} must hold an LLM's name and below it {', '.join(KEYS[:4])}, got"
            f" {type(models).__name__}; add one"
        )
    return {
        str(name): _endpoint(f"{path}: LLM '{name}'", str(name), fields, defaults)
        for name, fields in models.items()
    }


def _endpoint(
    where: str, name: str, fields: Any, defaults: Mapping[str, Any]
) -> Endpoint:
    """Return the LLM of one entry of a models file."""
    if not isinstance(fields, dict):
        raise InputError(
            f"{where}: must hold `key: value` lines, got {type(fields).__name__}; give"
            " at least model and base_url"
        )
    for key in fields:
        if key not in KEYS:
            raise InputError(f"{where}: unknown key {key!r}; {nearest(key, KEYS)}")
    fields = {key: value for key, value in fields.items() if value is not None}
    if not isinstance(fields.get("model"), str):
        raise InputError(
            f"{where}: model must be the LLM's id at its endpoint, got"
            f" {fields.get('model')!r}; add it"
        )
    if ("base_url" in fields) == ("provider" in fields):
        raise InputError(
            f"{where}: needs either base_url (an OpenAI-compatible endpoint) or"
            " provider (one of the Hub's); give one of the two"
        )
    values = {**defaults, **fields}
    settings = {key: values[key] for key in values if key not in PRICE_KEYS}
    for key, value in settings.items():
        _check_setting(where, key, value)
    return Endpoint(name=name, price=_price(where, name, fields), **settings)


def _check_setting(where: str, key: str, value: Any) -> None:
    rule, holds = RULES[key]
    if not holds(value):
        may_be_a_key = key in ("key_env", "base_url")
        shown = "what is there" if may_be_a_key else repr(value)
        raise InputError(f"{where}: {key} must be {rule}, got {shown}; correct it")


def _price(where: str, name: str, fields: Mapping[str, Any]) -> Price | None:
    usd: list[Any] = [fields.get(column) for column in USD_KEYS]
    if usd == [None, None]:
        return None
    for column, value in zip(USD_KEYS, usd, strict=True):
        if not is_number(value):
            raise InputError(
                f"{where}: {column} must be a number >= 0, got {value!r}; give both"
                " prices, or neither"
            )
    return Price(
        name,
        str(fields.get("vendor", "")),
        float(usd[0]),
        float(usd[1]),
        str(fields.get("as_of", "")),
        str(fields.get("source", "")),
    )


def limits(
    models: Mapping[str, Endpoint],
    max_input_tokens: int,
    latency_floor_ms: float,
    latency_ceiling_ms: float,
) -> Limits:
    """Return what a query to these LLMs may cost and take.

    Declared before the first answer, as the reward's bounds come from it.

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
    >>> price = Price("a", "", 1.0, 2.0, "", "")
    >>> small = Endpoint("a", "m", price=price, max_tokens=500)
    >>> limits({"a": small}, 1000, 200.0, 1e4).max_cost_usd
    0.002
    """
    costs = [
        model.price.cost_usd(max_input_tokens, model.max_tokens)
        for model in models.values()
        if model.price
    ]
    dearest = max(costs, default=0.0)
    return Limits(dearest or FREE_USD, latency_floor_ms, latency_ceiling_ms)


# Rules of a models file


def is_number(
    value: Any,
    low: float = 0.0,
    kind: type | tuple[type, ...] = (int, float),
    strict: bool = False,
) -> bool:
    """Whether a value is a finite number >= `low`, or > `low` where it is strict."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return math.isfinite(value) and (value > low if strict else value >= low)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_address(value: Any) -> bool:
    from urllib.parse import urlsplit

    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    if parts.username or parts.password:
        return False
    if re.search(r"key|token|secret|sig", parts.query, re.IGNORECASE):
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_variable(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[A-Z_][A-Z0-9_]*", value))


def _is_extra(value: Any) -> bool:
    return isinstance(value, dict) and not set(value) & set(SENT)


#: For each key of a models file: its rule in words, and whether a value keeps it.
RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "model": ("a text", _is_text),
    "base_url": (
        "an address that begins with http:// or https:// and holds no key (see"
        " key_env)",
        _is_address,
    ),
    "provider": ("a provider's name", _is_text),
    "key_env": (
        "the name of an environment variable, in capitals, and never a key itself",
        _is_variable,
    ),
    "temperature": ("a number >= 0", is_number),
    "seed": ("a whole number >= 0", lambda value: is_number(value, kind=int)),
    "max_tokens": ("a whole number >= 1", lambda value: is_number(value, 1, int)),
    "stream": ("true or false", lambda value: isinstance(value, bool)),
    "timeout": (
        "a number of seconds > 0",
        lambda value: is_number(value, strict=True),
    ),
    "system": ("a text", lambda value: isinstance(value, str)),
    "extra": (f"a mapping without {', '.join(SENT)}", _is_extra),
}
