"""More than one machine: the chunks of a sweep on a Dask cluster."""

from .errors import InputError
from .sweeps import code, in_order


def results(tasks, scheduler):
    """Results in order from a Dask cluster; what a lost worker had is computed again by the others."""
    client, ours = _client(scheduler)
    from distributed import KilledWorker

    known, workers = {}, sum(client.nthreads().values())

    def submit(setting, chunk):
        if id(setting) not in known:  # sent once, as a task of its own, so that a lost worker's copy can be made again
            known[id(setting)] = client.submit(_same, setting, key=f"setting-{setting.inputs()}", pure=True)
        return client.submit(_run, known[id(setting)], chunk, key=f"chunk-{setting.inputs()}-{chunk}", pure=True)

    try:
        yield from in_order(tasks, submit, 4 * workers)
    except KilledWorker as error:
        raise InputError(
            f"sweep: a chunk took down every worker that tried it ({error.last_worker.address}); give workers more memory, "
            "or run it here without a scheduler to see why; finished settings are kept"
        ) from None
    finally:
        if ours:
            client.close()


def _same(setting):
    return setting


def _run(setting, chunk):
    return setting.run(chunk)


def _client(scheduler):
    """A client of the cluster, and whether it is ours to close."""
    try:
        from distributed import Client
    except ImportError:
        raise InputError("sweep: a scheduler needs Dask; install pickllm[cluster], or leave the scheduler out") from None
    ours = not isinstance(scheduler, Client)
    if ours and not isinstance(scheduler, str):
        raise InputError(f"sweep: no scheduler of the kind {scheduler!r}; give 'tcp://host:port', a distributed.Client, or nothing to run here")
    if ours:
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            raise InputError(f"sweep: no answer from the scheduler {scheduler} within 10 s ({error}); start it with `dask scheduler`, check address and port") from None
    else:
        client = scheduler
    try:
        client.wait_for_workers(1, timeout=30)
    except TimeoutError:
        raise InputError(f"sweep: the scheduler {client.scheduler.address} has no worker after 30 s; start some with `dask worker {client.scheduler.address}`") from None
    other = [address for address, theirs in client.run(code).items() if theirs != code()]
    if other:
        raise InputError(f"sweep: the worker {other[0]} runs other code than this process; install the same version of pickllm everywhere")
    return client, ours
