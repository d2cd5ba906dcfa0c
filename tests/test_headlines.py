"""The eight headline claims: what each takes from the record, recounted."""

import pandas as pd
import pytest

from pickllm.analysis import headlines, worlds
from pickllm.analysis.claims import CLAIMS
from pickllm.publish.wording import headline_rows

LEARNERS = ("automaton", "qlearning")


def claims(**verdicts):
    return pd.DataFrame(
        [(claim.id, verdicts.get(claim.id, "partly")) for claim in CLAIMS],
        columns=["id", "verdict"],
    )


def shares(trace, base):
    rules = [*worlds.RULES, "rate"]
    return pd.DataFrame(
        [
            (trace, rule, name, base + i / 1000 + j / 100)
            for i, rule in enumerate(rules)
            for j, name in enumerate(LEARNERS)
        ],
        columns=["trace", "claim", "learner", "share"],
    )


BOTH = pd.concat([shares("one", 0.2), shares("other", 0.5)])
INDICES = pd.DataFrame(
    [
        (learner, measure, choice, total)
        for learner in LEARNERS
        for measure in worlds.DECIDED
        for choice, total in (("pool", 0.2), ("q_lock", 0.7), ("form", 0.1))
    ],
    columns=["learner", "measure", "choice", "total"],
)


def test_there_are_eight_and_each_names_what_there_is():
    assert len(headlines.HEADLINES) == 8
    ids = {claim.id for claim in CLAIMS}
    for headline in headlines.HEADLINES:
        assert headline.rule in {"", "rate", *worlds.RULES}
        assert headline.measure in {"", *worlds.DECIDED}
        for learner in headlines.IN_IDS.values():
            assert set(headline.claim.format(learner).split()) <= ids


def test_shares_are_the_ends_over_traces_and_what_decides_is_the_largest_index():
    table = headlines.headlines(claims(), BOTH, INDICES).set_index(["id", "learner"])
    place = list(worlds.RULES).index("cheaper than random")
    row = table.loc[("cheaper", "qlearning")]
    ends = 21 + place / 10, 51 + place / 10
    assert (row.least, row.most) == pytest.approx(ends)
    assert row.decided_by == "the lock rule, the pool"
    assert table.loc[("light", "automaton")].verdict == "32 bytes"


def test_of_several_claims_the_worst_verdict_counts():
    found = claims(
        **{
            "cost-60-lri-most-expensive": "reproduced",
            "latency-52-lri-random": "not reproduced",
        }
    )
    table = headlines.headlines(found, BOTH, INDICES).set_index(["id", "learner"])
    assert table.verdict["stated", "automaton"] == "not reproduced"
    assert table.verdict["stated", "qlearning"] == "partly"


def test_without_a_multiverse_the_worlds_are_left_blank():
    table = headlines.headlines(claims(), BOTH.head(0), INDICES.head(0))
    rows = headline_rows(table)
    assert len(rows) == 8
    assert all(row[2] == row[4] == row[5] == "" for row in rows)


def test_a_saving_that_random_choice_has_too_is_said_to_be_no_evidence():
    said = headlines.gain(BOTH)
    assert "no evidence for a learner" in said
    place = list(worlds.RULES).index("gain")
    low, high = 20 + place / 10, 50 + place / 10
    assert f"{low:.0f} to {high:.0f} % (L_R-I)" in said
