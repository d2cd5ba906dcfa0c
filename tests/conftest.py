"""What several tests share: the measured rows, where they can be had."""

import os
import pathlib

import pytest
from hypothesis import settings

from pickllm.core.pool import declared_pools
from pickllm.traces import coderouterbench, leaderboard

settings.register_profile("kit", deadline=None, derandomize=True, database=None)
settings.load_profile("kit")


@pytest.fixture(scope="session")
def rows_folder():
    """The leaderboard's files: a mirror, a copy beside the checkout, or the cache."""
    mirror = os.environ.get("PICKLLM_MIRROR")
    around = pathlib.Path(__file__).resolve().parents[2]
    beside = around / "shared" / "data" / "bfcl-result"
    for folder in (mirror, beside):
        if folder and (pathlib.Path(folder) / leaderboard.DAY).is_dir():
            return pathlib.Path(folder).resolve()
    if leaderboard.fetched():
        return leaderboard.cache_folder()
    pytest.skip(
        f"the measured rows are not here: run `pickllm fetch {leaderboard.NAME}`, or"
        " set PICKLLM_MIRROR to a folder of them"
    )


@pytest.fixture(scope="session")
def rows(rows_folder):
    """The measured rows of each pool with joint accuracies: name -> Trace."""
    return {
        name: leaderboard.read(rows_folder, name)
        for name, pool in declared_pools().items()
        if pool.get("joint", True)
    }


@pytest.fixture(scope="session")
def measured_table():
    """CodeRouterBench's table: a copy beside the checkout."""
    around = pathlib.Path(__file__).resolve().parents[2]
    table = around / "shared" / "data" / "coderouterbench" / coderouterbench.FILE
    if not table.exists():
        pytest.skip("CodeRouterBench's table is not beside the checkout")
    return table


@pytest.fixture(scope="session")
def all_rows(rows_folder):
    """The measured rows of every LLM of the leaderboard."""
    return leaderboard.read(rows_folder, leaderboard.EVERY)
