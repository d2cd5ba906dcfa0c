"""Chunks of a sweep, several under way at once: by threads, or on a Dask cluster."""

import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import InputError
from . import settings
from .settings import Chunk, Setting, Task

#: Seconds to wait for a scheduler's answer; three times that for a first worker.
PATIENCE = 10


def results(tasks: Sequence[Task], scheduler: Any) -> Iterator[Any]:
    """Yield results in the order of the tasks.

    What a lost worker had is computed again by the others.

    Parameters
    ----------
    tasks : sequence of (Setting, chunk)
    scheduler : str or distributed.Client

    Raises
    ------
    InputError
        No answer, no worker, a worker of another version, or a chunk that kills its
        workers.
    """
    client, own = _client(scheduler)
    from distributed import KilledWorker

    try:
        _require_workers(client)
        ahead = 4 * sum(client.nthreads().values())
        yield from in_order(tasks, _submitter(client), ahead)
    except KilledWorker as error:
        raise InputError(
            "sweep: a chunk took down every worker that tried it"
            f" ({error.last_worker.address}); give workers more memory, or run it here"
            " without a scheduler to see why; finished settings are kept"
        ) from None
    finally:
        if own:
            client.close()


def _client(scheduler: Any) -> tuple[Any, bool]:
    """Return a client of the cluster, and whether it is ours to close."""
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "sweep: a scheduler needs Dask; install pickllm[cluster], or leave the"
            " scheduler out"
        ) from None
    if isinstance(scheduler, Client):
        return scheduler, False
    if not isinstance(scheduler, str):
        raise InputError(
            f"sweep: no scheduler of the kind {scheduler!r}; give 'tcp://host:port', a"
            " distributed.Client, or nothing to run here"
        )
    try:
        return Client(scheduler, timeout=PATIENCE), True
    except (OSError, ValueError) as error:
        raise InputError(
            f"sweep: no answer from the scheduler {scheduler} within {PATIENCE} s"
            f" ({error}); start it with `dask scheduler`, check address and port"
        ) from None


def _require_workers(client: Any) -> None:
    """Refuse a cluster without a worker, or with one that runs other code."""
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=3 * PATIENCE)
    except TimeoutError:
        raise InputError(
            f"sweep: the scheduler {address} has no worker after {3 * PATIENCE} s;"
            f" start some with `dask worker {address}`"
        ) from None
    here = _code()
    other = [worker for worker, there in client.run(_code).items() if there != here]
    if other:
        raise InputError(
            f"sweep: the worker {other[0]} runs other code than this process; install"
            " the same version of pickllm everywhere"
        )


def _submitter(client: Any) -> Callable[[Setting, Chunk], Any]:
    """Return a function that sends a chunk off.

    Its setting goes once, as a task, so that a lost worker's copy can be made again. A
    key of the cluster stands for a result, so it is a hash of what that depends on;
    where this cannot be known, no other result may have the key.
    """
    sent: dict[int, tuple[str, Any]] = {}

    def submit(setting: Setting, chunk: Chunk) -> Any:
        if id(setting) not in sent:
            name = setting.inputs
            if setting.unknowable:
                name = f"{name}-{uuid.uuid4()}"
            there = client.submit(_same, setting, key=f"setting-{name}")
            sent[id(setting)] = name, there
        name, there = sent[id(setting)]
        return client.submit(_run, there, chunk, key=f"chunk-{name}-{chunk}")

    return submit


def _same(setting: Setting) -> Setting:
    return setting


def _run(setting: Setting, chunk: Chunk) -> Any:
    return setting.run(chunk)


def _code() -> str:
    return settings.code()


def in_order(
    tasks: Sequence[Task], submit: Callable[[Setting, Chunk], Any], ahead: int
) -> Iterator[Any]:
    """Yield results in the order of the tasks, with a few tasks under way.

    The rest are dropped when the reader stops.

    Parameters
    ----------
    tasks : sequence of (Setting, chunk)
    submit : callable
        Takes a setting and a chunk, and returns a future.
    ahead : int
        How many tasks are under way at once.
    """
    waiting: deque[Any] = deque()
    try:
        for setting, chunk in tasks:
            waiting.append(submit(setting, chunk))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
