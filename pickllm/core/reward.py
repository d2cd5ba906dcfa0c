"""The reward: one function per reading of the disputed equation, mapped to [0, 1].

The paper's abstract states a weighted reward of accuracy, cost and latency; the
equation itself is known from two summaries that disagree (READINGS.md, "reward"). Each
reading is one function here, in `FORMS`, and nothing else in the kit knows which is in
use.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product as every_corner
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, nearest
from .pool import Limits, default_limits

CENTS_PER_USD = 100.0
#: Decimals of a unit reward, so that the last bit of a processor's log10 turns no
#: choice.
DECIMALS = 12
#: Size up to which Python's own rounding of a number is NumPy's.
ROUNDED_ALIKE = 1000


class Weights(NamedTuple):
    """The equation's parameters, by the letters of the summaries."""

    w_a: float
    w_c: float
    w_l: float
    t: float


def _ratio(a: Any, c: Any, l: Any, w: Weights) -> Any:  # noqa: E741
    """(w_a a - w_c c) / (w_l log10(l) / t), in full in one summary (emergentmind)."""
    return (w.w_a * a - w.w_c * c) / (w.w_l * (np.log10(l) / w.t))


def _product(a: Any, c: Any, l: Any, w: Weights) -> Any:  # noqa: E741
    """w_a a - w_c c w_l log10(l) t, in another summary (themoonlight).

    It is what is left of the ratio when the fraction bar is lost.
    """
    return w.w_a * a - w.w_c * c * w.w_l * np.log10(l) * w.t


def _linear(a: Any, c: Any, l: Any, w: Weights) -> Any:  # noqa: E741
    """w_a a - w_c c - w_l log10(l) / t: ours, the abstract's words made plain."""
    return w.w_a * a - w.w_c * c - w.w_l * (np.log10(l) / w.t)


#: Readings of the equation; a, c and l are accuracy, US cents and milliseconds.
FORMS: dict[str, Callable[[Any, Any, Any, Weights], Any]] = {
    "ratio": _ratio,
    "product": _product,
    "linear": _linear,
}


@dataclass(frozen=True)
class Reward:
    """Weighted reward of accuracy, cost and latency of one answer.

    Parameters
    ----------
    form : {"ratio", "product", "linear"}
        The reading of the equation (see the module's functions and READINGS.md).
    w_accuracy, w_cost, w_latency : float
        Weights, finite and >= 0; in the ratio `w_latency` > 0.
    t_scaling : float
        Scale of the latency term, > 0. 3 = log10(1000 ms), so that one second counts
        as 1.
    bounds : (float, float), optional
        The raw rewards mapped to 0 and 1. Without them they are those of `limits`.
    limits : Limits, optional
        Declared for the pool; by default those of the trace replayed, or of the study's
        main pool.

    Raises
    ------
    InputError
        An unknown reading, a weight that is negative or not finite, bounds that are not
        ordered.

    Examples
    --------
    >>> reward = Reward(form="ratio", w_cost=0.1, bounds=(0.0, 1.3))
    >>> float(reward.raw(accuracy=1.0, cost_usd=0.01, latency_ms=1000.0))
    0.9
    """

    form: str = "ratio"
    w_accuracy: float = 1.0
    w_cost: float = 0.1
    w_latency: float = 1.0
    t_scaling: float = 3.0
    bounds: tuple[float, float] | None = None
    limits: Limits | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise InputError(
                f"reward: unknown reading {self.form!r}; {nearest(self.form, FORMS)}"
            )
        self._check_weights()
        if self.bounds is not None:
            object.__setattr__(self, "bounds", _ordered(self.bounds))

    def _check_weights(self) -> None:
        for name in ("w_accuracy", "w_cost", "w_latency", "t_scaling"):
            value = getattr(self, name)
            if not _is_weight(value):
                raise InputError(
                    f"reward: {name} must be a finite number >= 0, got {value!r};"
                    " correct it"
                )
        divisors = {"t_scaling": self.t_scaling}
        if self.form == "ratio":
            divisors["w_latency"] = self.w_latency
        for name, value in divisors.items():
            if value == 0:
                raise InputError(
                    f"reward: {name} must be > 0 in the reading '{self.form}', got 0;"
                    " the equation divides by it"
                )
        terms = {
            "ratio": (self.w_accuracy, self.w_cost),
            "product": (self.w_accuracy, self.w_cost * self.w_latency),
            "linear": (self.w_accuracy, self.w_cost, self.w_latency),
        }
        if not any(terms[self.form]):
            raise InputError(
                "reward: all weights are 0, so every answer scores the same; set one"
                " above 0"
            )

    def raw(
        self, accuracy: ArrayLike, cost_usd: ArrayLike, latency_ms: ArrayLike
    ) -> Any:
        """Return the equation itself; arguments broadcast.

        Parameters
        ----------
        accuracy : array_like
            In [0, 1].
        cost_usd : array_like
            US dollars per query; the equation takes them in US cents (READINGS.md,
            "units").
        latency_ms : array_like
            Milliseconds; > 1 in the ratio, whose denominator is 0 at 1 ms.

        Returns
        -------
        ndarray of float

        Raises
        ------
        InputError
            A latency that is not positive, or at most 1 ms in the ratio.
        """
        # [()] makes a number of an array without axes: a live session is quicker by it
        a = np.asarray(accuracy, float)[()]
        c = CENTS_PER_USD * np.asarray(cost_usd, float)[()]
        l = np.asarray(latency_ms, float)[()]  # noqa: E741
        floor = 1.0 if self.form == "ratio" else 0.0
        if l.size and not (l if l.ndim == 0 else l.min()) > floor:
            why = "; log10(1 ms) = 0 divides by zero" if floor else ""
            raise InputError(
                f"reward: latency_ms must be > {floor:g} in the reading '{self.form}',"
                f" got {l.min():g}{why}: give milliseconds, or another reading"
            )
        weights = Weights(self.w_accuracy, self.w_cost, self.w_latency, self.t_scaling)
        return FORMS[self.form](a, c, l, weights)

    def declared_bounds(self) -> tuple[float, float]:
        """Return (low, high) of the raw reward: those given, else those of the limits.

        Every reading is monotone in each of its three arguments while the other two
        stand still, so its extremes over the box of limits lie on the box's corners.
        """
        return self.bounds if self.bounds is not None else _extremes(self)

    def unit(
        self, accuracy: ArrayLike, cost_usd: ArrayLike, latency_ms: ArrayLike
    ) -> Any:
        """Return the reward mapped to [0, 1], which Linear Reward-Inaction needs.

        Affine, then clipped, and rounded to `DECIMALS`. Parameters as in `raw`.

        Examples
        --------
        >>> float(Reward(w_cost=0.1, bounds=(0.0, 1.3)).unit(1.0, 0.01, 1000.0))
        0.692307692308
        """
        low, high = self.declared_bounds()
        unit = (self.raw(accuracy, cost_usd, latency_ms) - low) / (high - low)
        if isinstance(unit, float) and abs(unit) < ROUNDED_ALIKE:
            # one answer of a live session: the same rounding at a fifth of its price
            scale = 10.0**DECIMALS
            return np.float64(min(max(0.0, round(unit * scale) / scale), 1.0))
        return np.round(unit, DECIMALS).clip(0.0, 1.0)

    def clipped(
        self, accuracy: ArrayLike, cost_usd: ArrayLike, latency_ms: ArrayLike
    ) -> NDArray[np.bool_]:
        """Return where the raw reward leaves the bounds, so that `unit` clips it."""
        low, high = self.declared_bounds()
        raw = self.raw(accuracy, cost_usd, latency_ms)
        return (raw < low) | (raw > high)

    def within(self, limits: Limits) -> "Reward":
        """Return this reward with bounds taken from limits, unless it has its own."""
        if self.bounds is not None or self.limits is not None:
            return self
        return replace(self, limits=limits)

    @property
    def label(self) -> str:
        """A short name: the reading and the weights that differ from 1."""
        parts = [self.form]
        if self.w_accuracy != 1:
            parts.append(f"w_a={self.w_accuracy:g}")
        parts.append(f"w_c={self.w_cost:g}")
        if self.w_latency != 1:
            parts.append(f"w_l={self.w_latency:g}")
        return " ".join(parts)


def _is_weight(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return False
    return bool(0 <= value < math.inf)


def _ordered(bounds: Any) -> tuple[float, float]:
    """Return bounds as two numbers in order."""
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        raise InputError(
            f"reward: bounds must be two numbers (low, high), got {bounds!r}; give both"
        ) from None
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(
            f"reward: bounds must be finite with low < high, got ({low}, {high}); give"
            " raw rewards in order"
        )
    return low, high


@lru_cache(maxsize=256)
def _extremes(reward: Reward) -> tuple[float, float]:
    """Return (low, high) of a reward over its limits' corners.

    Kept, as a live router asks for them at every answer.
    """
    box = reward.limits or default_limits()
    latencies = box.latency_floor_ms, box.latency_ceiling_ms
    corners = np.array(
        list(every_corner((0.0, 1.0), (0.0, box.max_cost_usd), latencies))
    )
    values = reward.raw(*corners.T)
    return float(values.min()), float(values.max())
