"""What the study and the tests take: seconds, and peak memory of all processes."""

import contextlib
import json
import shutil
import sys
import tempfile
import time

import pandas as pd
import psutil

from pickllm.files import root


def run(*arguments: str) -> tuple[float, float]:
    """Return the seconds and peak MiB of a command in the checkout.

    Memory is resident, summed over the process and its children.
    """
    start = time.perf_counter()
    peak = 0
    with tempfile.TemporaryFile("w+") as said:
        process = psutil.Popen(arguments, cwd=root(), stdout=said, stderr=said)
        while process.poll() is None:
            peak = max(peak, _resident(process))
            time.sleep(0.1)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(arguments)} failed:\n{said.read()[-3000:]}")
    return time.perf_counter() - start, peak / 2**20


def _resident(process: psutil.Process) -> int:
    """Bytes; a process that has just ended counts as none."""
    family = [process]
    total = 0
    with contextlib.suppress(psutil.Error):
        family += process.children(recursive=True)
    for member in family:
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return total


def measure() -> pd.DataFrame:
    """Return ``what, seconds, mib``.

    The first study is cold: no result and no compiled loop is there.
    """
    python = [sys.executable, "-m"]
    study = [*python, "pickllm", "run", "study", "--jobs", "2"]
    tests = [*python, "pytest", "-q", "-n", "2", "--dist", "loadgroup"]
    shutil.rmtree(root() / "build" / "results", ignore_errors=True)
    for cache in (root() / "pickllm").rglob("__pycache__/*.nb[ic]"):
        cache.unlink()
    steps = {
        "make reproduce, cold caches": study,
        "make reproduce, nothing changed": study,
        "make lint": ["make", "lint"],
        "make smoke": [*study, "--size", "smoke", "--force"],
        "make test": tests,
    }
    rows = [(what, *run(*arguments)) for what, arguments in steps.items()]
    return pd.DataFrame(rows, columns=["what", "seconds", "mib"])


def stages() -> pd.DataFrame:
    """Return ``run, notebook, seconds`` of the study's runs, from their own stamps."""
    rows = []
    for path in sorted((root() / "build" / "results").glob("*.stamp")):
        stamp = json.loads(path.read_text("utf-8"))
        rows.append((path.stem, stamp["notebook"], stamp["seconds"]))
    return pd.DataFrame(rows, columns=["run", "notebook", "seconds"])
