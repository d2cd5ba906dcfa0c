"""Timing: every candidate once a round, so that what slows the machine for a while slows them all."""

import statistics
import time


def interleaved(candidates, repetitions=5):
    """Seconds of each call, a round at a time; the first round warms up and is thrown away.

    Parameters
    ----------
    candidates : dict of str to callable
    repetitions : int
        Rounds that count.

    Returns
    -------
    dict of str to list of float
    """
    seconds = {name: [] for name in candidates}
    for _ in range(repetitions + 1):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in seconds.items()}


def summary(values):
    """Median, smallest and largest."""
    return statistics.median(values), min(values), max(values)
