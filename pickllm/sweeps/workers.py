"""More than one machine: the chunks of a sweep on a Dask cluster."""

from ..errors import InputError
from . import run

PATIENCE = (
    10  # seconds to wait for a scheduler's answer; three times that for a first worker
)


def results(tasks, scheduler):
    """Results in the order of the tasks; what a lost worker had is computed again by the others.

    Parameters
    ----------
    tasks : list of (Setting, chunk)
    scheduler : str or distributed.Client

    Raises
    ------
    InputError
        No answer, no worker, a worker of another version, or a chunk that kills its workers.
    """
    client, own = _client(scheduler)
    from distributed import KilledWorker

    try:
        _require_workers(client)
        yield from run.in_order(
            tasks, _submitter(client), 4 * sum(client.nthreads().values())
        )
    except KilledWorker as error:
        raise InputError(
            "sweep: a chunk took down every worker that tried it"
            f" ({error.last_worker.address}); give workers more memory, or run it here"
            " without a scheduler to see why; finished settings are kept"
        ) from None
    finally:
        if own:
            client.close()


def _client(scheduler):
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


def _require_workers(client):
    """At least one worker, and all of them with this code."""
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=3 * PATIENCE)
    except TimeoutError:
        raise InputError(
            f"sweep: the scheduler {address} has no worker after {3 * PATIENCE} s;"
            f" start some with `dask worker {address}`"
        ) from None
    other = [
        worker for worker, theirs in client.run(_code).items() if theirs != _code()
    ]
    if other:
        raise InputError(
            f"sweep: the worker {other[0]} runs other code than this process; install"
            " the same version of pickllm everywhere"
        )


def _submitter(client):
    """Return a function that sends a chunk off; its setting goes once, as a task, so that a lost worker's copy can be made again."""
    sent = {}

    def submit(setting, chunk):
        name = (
            setting.inputs()
            if id(setting) not in sent
            else sent[id(setting)].key.removeprefix("setting-")
        )
        if id(setting) not in sent:
            sent[id(setting)] = client.submit(_same, setting, key=f"setting-{name}")
        return client.submit(
            _run, sent[id(setting)], chunk, key=f"chunk-{name}-{chunk}"
        )

    return submit


def _same(setting):
    return setting


def _run(setting, chunk):
    return setting.run(chunk)


def _code():
    return run.code()
