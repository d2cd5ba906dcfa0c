"""The reward: one function per reading of the disputed equation, and the mapping to [0, 1].

The paper's abstract states a weighted reward of accuracy, cost and latency; the equation itself is
known from two summaries that disagree (READINGS.md, "reward"). Each reading is one function here with
one signature, and nothing else in the kit knows which is in use.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product as every_corner

import numpy as np

from ..errors import InputError, nearest
from .pool import default_limits


def _ratio(a, c, l, w_a, w_c, w_l, t):
    """(w_a a - w_c c) / (w_l log10(l) / t): a summary with the equation in full (emergentmind)."""
    return (w_a * a - w_c * c) / (w_l * (np.log10(l) / t))


def _product(a, c, l, w_a, w_c, w_l, t):
    """w_a a - w_c c w_l log10(l) t: another summary (themoonlight), where the fraction bar may be lost."""
    return w_a * a - w_c * c * w_l * np.log10(l) * t


def _linear(a, c, l, w_a, w_c, w_l, t):
    """w_a a - w_c c - w_l log10(l) / t: ours, the abstract's "weighted reward" in its plainest form."""
    return w_a * a - w_c * c - w_l * (np.log10(l) / t)


FORMS = {"ratio": _ratio, "product": _product, "linear": _linear}


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
        Scale of the latency term, > 0. 3 = log10(1000 ms), so that one second counts as
        1.
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
    bounds: tuple = None
    limits: object = None

    def __post_init__(self):
        if self.form not in FORMS:
            raise InputError(
                f"reward: unknown reading {self.form!r}; {nearest(self.form, FORMS)}"
            )
        for name in ("w_accuracy", "w_cost", "w_latency", "t_scaling"):
            value = getattr(self, name)
            if (
                not isinstance(value, (int, float, np.number))
                or isinstance(value, bool)
                or not np.isfinite(value)
                or value < 0
            ):
                raise InputError(
                    f"reward: {name} must be a finite number >= 0, got {value!r};"
                    " correct it"
                )
        if self.t_scaling == 0 or (self.form == "ratio" and self.w_latency == 0):
            zero = "t_scaling" if self.t_scaling == 0 else "w_latency"
            raise InputError(
                f"reward: {zero} must be > 0 in the reading '{self.form}', got 0; the"
                " equation divides by it"
            )
        terms = {
            "ratio": (self.w_accuracy, self.w_cost),
            "product": (self.w_accuracy, self.w_cost * self.w_latency),
        }
        if not any(
            terms.get(self.form, (self.w_accuracy, self.w_cost, self.w_latency))
        ):
            raise InputError(
                "reward: all weights are 0, so every answer scores the same; set one"
                " above 0"
            )
        if self.bounds is not None:
            try:
                low, high = (float(b) for b in self.bounds)
            except (TypeError, ValueError):
                raise InputError(
                    "reward: bounds must be two numbers (low, high), got"
                    f" {self.bounds!r}; give both"
                ) from None
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise InputError(
                    f"reward: bounds must be finite with low < high, got ({low},"
                    f" {high}); give raw rewards in order"
                )
            object.__setattr__(self, "bounds", (low, high))

    def raw(self, accuracy, cost_usd, latency_ms):
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
        # [()] makes a number of an array without axes, which is worth a microsecond to
        # a live session
        a, c, l = (
            np.asarray(accuracy, float)[()],
            100.0 * np.asarray(cost_usd, float)[()],
            np.asarray(latency_ms, float)[()],
        )
        floor = 1.0 if self.form == "ratio" else 0.0
        if l.size and not (l if l.ndim == 0 else l.min()) > floor:
            raise InputError(
                f"reward: latency_ms must be > {floor:g} in the reading '{self.form}',"
                " got"
                f" {l.min():g}{'; log10(1 ms) = 0 divides by zero' if floor else ''}:"
                " give milliseconds, or another reading"
            )
        return FORMS[self.form](
            a, c, l, self.w_accuracy, self.w_cost, self.w_latency, self.t_scaling
        )

    def declared_bounds(self):
        """(low, high) of the raw reward: those given, else its extremes over the declared limits.

        Every reading is monotone in each of its three arguments while the other two stand still, so
        its extremes over the box of limits lie on the box's corners.
        """
        return self.bounds if self.bounds is not None else _extremes(self)

    def unit(self, accuracy, cost_usd, latency_ms):
        """Return the reward mapped to [0, 1], which Linear Reward-Inaction needs: affine, then clipped.

        Rounded to 12 decimals, so that the last bit of a processor's log10 cannot turn a choice.

        Examples
        --------
        >>> float(Reward(w_cost=0.1, bounds=(0.0, 1.3)).unit(1.0, 0.01, 1000.0))
        0.692307692308
        """
        low, high = self.declared_bounds()
        unit = (self.raw(accuracy, cost_usd, latency_ms) - low) / (high - low)
        if (
            isinstance(unit, float) and abs(unit) < 1000
        ):  # one answer of a live session: the same rounding, at a fifth of its price
            return np.float64(min(max(0.0, round(unit * 1e12) / 1e12), 1.0))
        return unit.round(12).clip(0.0, 1.0)

    def clipped(self, accuracy, cost_usd, latency_ms):
        """Where the raw reward leaves the bounds, so that `unit` clips it (array of bool)."""
        low, high = self.declared_bounds()
        raw = self.raw(accuracy, cost_usd, latency_ms)
        return (raw < low) | (raw > high)

    def within(self, limits):
        """Return this reward with its bounds taken from the given limits, unless bounds or limits are set."""
        return (
            self
            if self.bounds is not None or self.limits is not None
            else replace(self, limits=limits)
        )

    @property
    def label(self):
        """A short name: the reading and the weights that differ from 1."""
        weights = [
            f"{s}={v:g}"
            for s, v in (
                ("w_a", self.w_accuracy),
                ("w_c", self.w_cost),
                ("w_l", self.w_latency),
            )
            if s == "w_c" or v != 1
        ]
        return f"{self.form} {' '.join(weights)}"


@lru_cache(maxsize=256)
def _extremes(reward):
    """(low, high) of a reward over its limits' corners; kept, as a live router asks for them at every answer."""
    box = reward.limits or default_limits()
    corners = list(
        every_corner(
            (0.0, 1.0),
            (0.0, box.max_cost_usd),
            (box.latency_floor_ms, box.latency_ceiling_ms),
        )
    )
    values = reward.raw(*np.array(corners).T)
    return float(values.min()), float(values.max())
