"""Timing in rounds, so that what slows the machine slows every candidate."""

import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]


def interleaved(
    candidates: Mapping[str, Call], repetitions: int = 5
) -> dict[str, list[float]]:
    """Return the seconds of each call, a round at a time.

    The first round warms up and is thrown away.

    Parameters
    ----------
    candidates : mapping of str to callable
    repetitions : int
        Rounds that count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repetitions + 1):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


def spread(seconds: list[float], scale: float) -> tuple[float, float, float]:
    """Return the median, the smallest and the largest time, each times `scale`."""
    ordered = sorted(scale * value for value in seconds)
    return statistics.median(ordered), ordered[0], ordered[-1]
