"""Convergence without the lock, against a loop in plain Python."""

import numpy as np
import pandas as pd
import pytest
import reference
from reference import IDENTITY, trace_of

import pickllm as pk
from pickllm.analysis import unfrozen
from pickllm.errors import InputError

REWARDS = (np.random.default_rng(5).random((40, 3)) < [0.5, 0.6, 0.3]).astype(float)
TRACE = trace_of(REWARDS.tolist())
GRID = [100, 150, 260]
LEARNERS = {
    "automaton": (
        pk.LinearRewardInaction(0.2),
        reference.automaton(0.2),
        reference.sure(),
    ),
    "qlearning": (
        pk.QLearning(0.05, 0.2),
        reference.q_learning(0.05, 0.2),
        reference.settled(),
    ),
}


def by_hand(name, number, queries=260):
    """Locked at, whether it changed, what stayed, and whom it prefers after each."""
    _, learner, rule = LEARNERS[name]
    options = {"seed": 4, "number": number, "queries": queries, "order": "bootstrap"}
    *_, at, model = reference.session(REWARDS.tolist(), learner, rule, **options)
    asked, _, chances, *_ = reference.session(
        REWARDS.tolist(), learner, None, **options
    )
    prefers = [p.index(max(p)) for p in chances]
    if at < 0 or at == queries:
        return at, False, np.nan, prefers
    later = asked[at:]
    changed = any(prefers[t] != model for t in range(at, queries))
    return at, changed, sum(m == model for m in later) / len(later), prefers


@pytest.mark.parametrize("name", LEARNERS)
def test_sessions_are_those_of_a_loop_in_plain_python(name, monkeypatch):
    monkeypatch.setattr(unfrozen, "AT_A_TIME", 7 * 260)  # in parts of seven
    learner, *_ = LEARNERS[name]
    found = unfrozen.watched(TRACE, IDENTITY, learner, 20, 260, seed=4)
    prefers = unfrozen.preferred(TRACE, IDENTITY, learner, GRID, 20, seed=4)
    expected = [by_hand(name, number) for number in range(20)]
    assert found.locked_at.tolist() == [at for at, *_ in expected]
    assert found.changed.tolist() == [changed for _, changed, *_ in expected]
    stayed = np.array([stays for _, _, stays, _ in expected])
    assert found.stayed == pytest.approx(stayed, nan_ok=True)
    assert prefers.tolist() == [[p[t] for t in GRID] for *_, p in expected]
    assert (found.locked_at >= 0).sum() > 10


def test_tables_count_those_sessions():
    learner, *_ = LEARNERS["qlearning"]
    learners = {"mine": learner}
    options = {"sessions": 20, "queries": 260, "seed": 4}
    after = unfrozen.after_the_lock(TRACE, IDENTITY, learners, **options)
    expected = [by_hand("qlearning", number) for number in range(20)]
    met = [(changed, stays) for _, changed, stays, _ in expected if stays == stays]
    rows = after[after.context == "c"].set_index("measure")
    assert rows.value["changed"] == pytest.approx(np.mean([c for c, _ in met]))
    assert rows.value["stayed"] == pytest.approx(np.mean([s for _, s in met]))
    assert (rows.sessions == len(met)).all()
    curves = unfrozen.convergence(TRACE, IDENTITY, learners, points=3, **options)
    best = REWARDS.mean(axis=0).argmax()
    last = curves[(curves["query"] == 260) & (curves.context == "c")]
    share = np.mean([p[260] == best for *_, p in expected])
    assert last.set_index("measure").value["best"] == pytest.approx(share)
    for frame in (after, curves):
        assert ((frame.low <= frame.value) & (frame.value <= frame.high)).all()
        means = frame[frame.context == "mean"].value.to_numpy()
        assert means == pytest.approx(frame[frame.context == "c"].value.to_numpy())


def test_near_the_best_is_within_one_percent_of_its_mean_reward():
    trace = trace_of([[0.5, 0.496, 0.49]] * 4)
    learners = {"random": pk.QLearning(0.1, 1.0)}
    found = unfrozen._good(trace, IDENTITY)
    assert found["best"].tolist() == [True, False, False]
    assert found["within 1 %"].tolist() == [True, True, False]
    curves = unfrozen.convergence(trace, IDENTITY, learners, 10, 120, points=2)
    shares = curves[curves.context == "mean"].groupby("measure").value.min()
    assert shares["within 1 %"] >= shares["best"]


def test_a_sentence_a_learner_with_its_numbers():
    learners = {name: own[0] for name, own in LEARNERS.items()}
    options = {"sessions": 20, "queries": 260, "seed": 4}
    after = unfrozen.after_the_lock(TRACE, IDENTITY, learners, **options)
    curves = unfrozen.convergence(TRACE, IDENTITY, learners, **options)
    said = unfrozen.describe(curves, after)
    assert [s.split(",")[0] for s in said] == ["automaton", "qlearning"]
    mean = after[(after.context == "mean") & (after.measure == "stayed")]
    assert all(
        f"{100 * value:.1f} % of their later queries" in sentence
        for value, sentence in zip(mean.value, said, strict=True)
    )
    never = after.assign(value=np.nan)
    assert "nan" not in " ".join(unfrozen.describe(curves, never))


def test_sessions_that_never_meet_the_rule_have_no_row_numbers():
    learners = {"slow": pk.LinearRewardInaction(1e-6)}
    after = unfrozen.after_the_lock(TRACE, IDENTITY, learners, 5, 120)
    assert after.value.isna().all()
    assert (after.sessions == 0).all()
    assert isinstance(after, pd.DataFrame)


def test_short_sessions_are_refused():
    with pytest.raises(InputError, match="queries must be >= 100, got 99"):
        unfrozen.convergence(TRACE, IDENTITY, queries=99)
