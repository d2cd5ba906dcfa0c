"""Imports of synthetic tables."""

import pandas as pd
import pytest

from pickllm.errors import InputError
from pickllm.importers import routerbench


def test_routerbench(tmp_path):
    path = tmp_path / "wide.csv"
    table = pd.DataFrame(
        {"sample_id": ["s1", "s2"], "prompt": "p", "eval_name": ["x", "y"],
         "a": [1, 0.5], "b": [0, 1], "a|total_cost": [0.1, 0.2], "b|total_cost": 0.3}
    )
    table.to_csv(path, index=False)
    trace = routerbench(path, {"a": 100, "b": 200})
    assert trace.accuracy.tolist() == [[1, 0], [0.5, 1]] and trace.cost_usd.tolist() == [[0.1, 0.3], [0.2, 0.3]]
    assert trace.latency_ms.tolist() == [[100, 200]] * 2
    with pytest.raises(InputError, match="no latency"):
        routerbench(path, None)
    with pytest.raises(InputError, match="'b'"):
        routerbench(path, {"a": 1})
    with pytest.raises(InputError, match="never loaded"):
        routerbench(tmp_path / "x.pkl", 1)
