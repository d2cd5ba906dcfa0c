"""Chunks of a sweep, several under way at once: by threads, or on a Dask cluster."""

import queue
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import InputError
from ..files import digest
from . import settings
from .settings import Setting
from .work import Batch, Part, Shared, run

#: Seconds to wait for a scheduler's answer; three times that for a first worker.
PATIENCE = 10
#: Batches under way for each thread, so that none waits while results are written.
AHEAD = 8

#: A batch, and the result of each of its works.
Done = tuple[Batch, list[Part]]


def here(batches: Iterator[Batch], n_jobs: int) -> Iterator[Done]:
    """Yield batches with their results as they are done, by threads of this process.

    Parameters
    ----------
    batches : iterator of Batch
    n_jobs : int
        Threads, as in joblib.
    """
    if n_jobs != 1:
        import joblib

        n_jobs = joblib.effective_n_jobs(n_jobs)
    if n_jobs == 1:
        for batch in batches:
            yield batch, batch.run()
        return
    with ThreadPoolExecutor(n_jobs) as pool:

        def submit(batch: Batch) -> Any:
            return pool.submit(batch.run)

        yield from as_done(batches, submit, AHEAD * n_jobs)


def there(
    batches: Iterator[Batch], plan: Sequence[Setting], scheduler: Any
) -> Iterator[Done]:
    """Yield batches with their results as they are done, on a cluster.

    What a lost worker had is computed again by the others.

    Parameters
    ----------
    batches : iterator of Batch
    plan : sequence of Setting
        That their places are in.
    scheduler : str or distributed.Client

    Raises
    ------
    InputError
        No answer, no worker, a worker of another version, or a batch that kills its
        workers.
    """
    client, own = client_of(scheduler)
    from distributed import KilledWorker

    try:
        require_workers(client)
        ahead = AHEAD * sum(client.nthreads().values())
        yield from as_done(batches, _submitter(client, plan), ahead)
    except KilledWorker as error:
        raise InputError(
            "sweep: a chunk took down every worker that tried it"
            f" ({error.last_worker.address}); give workers more memory, or run it here"
            " without a scheduler to see why; finished settings are kept"
        ) from None
    finally:
        if own:
            client.close()


def as_done(
    batches: Iterator[Batch], submit: Callable[[Batch], Any], ahead: int
) -> Iterator[Done]:
    """Yield batches with their results as they are done, a few of them under way.

    The rest are dropped when the reader stops.

    Parameters
    ----------
    batches : iterator of Batch
    submit : callable
        Takes a batch and returns a future.
    ahead : int
        How many are under way at once.
    """
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting: dict[Any, Batch] = {}
    try:
        for batch in batches:
            future = submit(batch)
            waiting[future] = batch
            future.add_done_callback(done.put)
            if len(waiting) >= ahead:
                yield _next(done, waiting)
        while waiting:
            yield _next(done, waiting)
    finally:
        for future in waiting:
            future.cancel()


def _next(done: Any, waiting: dict[Any, Batch]) -> Done:
    """Return the next batch that is done, and its results."""
    future = done.get()
    results = future.result()
    return waiting.pop(future), results


def client_of(scheduler: Any) -> tuple[Any, bool]:
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


def require_workers(client: Any) -> None:
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


def _submitter(client: Any, plan: Sequence[Setting]) -> Callable[[Batch], Any]:
    """Return a function that sends a batch off.

    What its settings share goes once, as a task, so that a lost worker's copy can be
    made again. A key of the cluster stands for a result, so it is a hash of what that
    depends on; where this cannot be known, no other result may have the key.
    """
    settings.identify(plan)
    last: list[Any] = [None, None]

    def submit(batch: Batch) -> Any:
        names = [plan[place].inputs for place, _ in batch.places]
        alone = any(plan[place].unknowable for place, _ in batch.places)
        mark = f"-{uuid.uuid4()}" if alone else ""
        if last[0] is not batch.shared:
            key = f"shared-{names[0]}{mark}"
            last[:] = [batch.shared, client.submit(_same, batch.shared, key=key)]
        key = f"batch-{digest(names, [work.chunk for work in batch.works])}{mark}"
        return client.submit(run, last[1], batch.works, key=key)

    return submit


def _same(shared: Shared) -> Shared:
    return shared


def _code() -> str:
    return settings.code()
