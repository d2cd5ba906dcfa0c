"""What `make reproduce`, its repetition, `make smoke` and `make test` take: seconds, and the peak memory of all their processes."""

import json
import shutil
import sys
import tempfile
import time

import pandas as pd
import psutil

from pickllm.files import root


def run(*arguments):
    """Seconds and peak MiB (resident, summed over the process and its children) of a command in the checkout."""
    start, peak = time.perf_counter(), 0
    said = tempfile.TemporaryFile("w+")
    process = psutil.Popen(arguments, cwd=root(), stdout=said, stderr=said)
    while process.poll() is None:
        total = 0
        for one in [process, *_children(process)]:
            try:
                total += one.memory_info().rss
            except psutil.Error:  # it has just ended
                pass
        peak = max(peak, total)
        time.sleep(0.1)
    if process.returncode:
        said.seek(0)
        raise SystemExit(f"{' '.join(arguments)} failed:\n{said.read()[-3000:]}")
    return time.perf_counter() - start, peak / 2**20


def _children(process):
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def measure(with_tests=True):
    """``what, seconds, mib``; the first study is cold: no result and no compiled loop is there."""
    study = [sys.executable, "-m", "pickllm", "run", "study", "--jobs", "2"]
    shutil.rmtree(root() / "build" / "results", ignore_errors=True)
    for cache in (root() / "pickllm" / "__pycache__").glob("kernels.*.nb*"):
        cache.unlink()
    steps = {
        "make reproduce, cold caches": study,
        "make reproduce, nothing changed": study,
        "make smoke": [*study, "--size", "smoke", "--force"],
    }
    if with_tests:
        steps["make test"] = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            "--dist",
            "loadgroup",
        ]
    return pd.DataFrame(
        [(what, *run(*arguments)) for what, arguments in steps.items()],
        columns=["what", "seconds", "mib"],
    )


def stages():
    """Seconds of each run of the study, from its own stamps."""
    rows = []
    for path in sorted((root() / "build" / "results").glob("*.stamp")):
        stamp = json.loads(path.read_text("utf-8"))
        rows.append((path.stem, stamp["notebook"], stamp["seconds"]))
    return pd.DataFrame(rows, columns=["run", "notebook", "seconds"])
