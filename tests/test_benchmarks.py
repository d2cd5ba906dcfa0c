"""What is timed beside ours does learn, in sessions as long, and rounds are counted."""

import collections

import numpy as np
import pandas as pd
import pytest

from benchmarks import learners, peers
from benchmarks.learners import OURS, Candidate

PAIRS = [
    (package, learner)
    for package, peer in peers.PEERS.items()
    for learner in peer.learners
]


def plain_pool(best, n_models=4, n_queries=500):
    """One LLM is right nine times in ten, the others twice."""
    rng = np.random.default_rng(1)
    chance = np.where(np.arange(n_models) == best, 0.9, 0.2)
    rewards = (rng.random((n_queries, n_models)) < chance).astype(float)
    features = np.eye(2)[rng.integers(2, size=n_queries)]
    return peers.Pool(rewards.tolist(), features.tolist())


@pytest.mark.filterwarnings("ignore")  # those of packages that are not ours
@pytest.mark.parametrize("best", [0, 3])
@pytest.mark.parametrize(("package", "learner"), PAIRS)
def test_a_peer_asks_the_llm_that_is_plainly_best_most(package, learner, best):
    pytest.importorskip(package)
    play = peers.PEERS[package].build(learner, plain_pool(best), 0)
    asked = np.random.default_rng(2).integers(500, size=600).tolist()
    counts = collections.Counter(play(asked[:100]) + play(asked[100:]))
    assert counts.total() == 600
    assert counts[best] > 300


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["river", "mabwiser"])
def test_the_two_peers_of_the_engines_table_are_the_same_calls(name):
    pytest.importorskip(name)
    pool = plain_pool(2)
    choices = getattr(peers, f"{name}_greedy")(np.array(pool.rewards), 400, seed=3)
    asked = np.random.default_rng(3).integers(500, size=400).tolist()
    assert choices == peers.PEERS[name].build(peers.GREEDY, pool, 3)(asked)


def test_every_learner_of_ours_there_has_a_peer_and_each_peers_learner_is_ours():
    assert {learner for _, learner in PAIRS} == set(learners.LEARNERS)
    assert set(learners.LOOKS) == {OURS, *peers.PEERS}
    for learner in learners.LEARNERS:
        assert learners.packages(learner)[0] == OURS


def test_all_meet_the_same_rewards_and_features():
    trace = learners.made_up(5)
    pool = learners.pool_of(trace)
    assert pool.n_models == 5
    assert pool.rewards == trace.accuracy.tolist()
    assert np.shape(pool.features) == (learners.N_QUERIES, len(learners.CONTEXTS) + 1)
    assert {answer for row in pool.rewards for answer in row} == {0.0, 1.0}


def test_a_peers_session_goes_on_from_round_to_round_and_ends_after_1000(monkeypatch):
    lengths = []

    def build(*_):
        lengths.append(0)

        def play(asked):
            lengths[-1] += len(asked)
            return asked

        return play

    monkeypatch.setitem(peers.PEERS, "fake", peers.Peer(build, ()))
    timed = learners.theirs("fake", "any", plain_pool(0))
    rounds = [1, 700, 299, 2500, 7]
    assert [timed(decisions)[0] for decisions in rounds] == rounds
    assert lengths == [1000, 1000, 1000, 507]


@pytest.mark.parametrize(
    ("decisions", "taken"), [(1, 1), (40, 32), (3200, 3200), (40_500, 40_000)]
)
def test_our_decisions_are_those_that_replay_made(monkeypatch, decisions, taken):
    made = []

    def replay(*_, sessions, queries, engine, **options):
        assert options["lock"] is False
        made.append(sessions * queries)

    monkeypatch.setattr(learners.pk, "replay", replay)
    timed = learners.ours(peers.UCB, learners.made_up(4))
    assert timed(decisions)[0] == made[-1] == taken


def test_a_round_takes_about_as_long_as_wanted(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(learners.time, "process_time", lambda: now[0])

    def timed(decisions):
        now[0] += 0.002 * decisions + (1.0 if not now[0] else 0.0)  # the first imports
        return decisions, 0.0

    assert learners.decisions_of_a_round(timed) == round(learners.ROUND / 0.002)


def test_a_candidate_runs_in_a_process_of_its_own():
    candidate = Candidate(OURS, peers.GREEDY, 4)
    try:
        assert candidate.answer() == "ready"
        rounds = [candidate.round(), candidate.round()]
    finally:
        candidate.close()
    assert all(1e-9 < seconds < 1e-3 for seconds in rounds)


def test_a_candidate_that_fails_is_named(capfd):
    candidate = Candidate("no-such-package", peers.GREEDY, 4)
    with pytest.raises(RuntimeError, match="no-such-package: its process ended"):
        candidate.answer()
    candidate.close()
    assert "KeyError: 'no-such-package'" in capfd.readouterr().err


def times(*rows):
    columns = ["learner", "package", "models", "ns"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(ns_min=0.9 * frame.ns, ns_max=1.1 * frame.ns)


def test_a_lead_is_the_least_over_pools_and_of_the_fastest_peer():
    frame = times(
        ("UCB1", OURS, 4, 10.0),
        ("UCB1", "river", 4, 900.0),
        ("UCB1", "coba", 4, 500.0),
        ("UCB1", OURS, 16, 20.0),
        ("UCB1", "river", 16, 800.0),
        ("UCB1", "coba", 16, 1600.0),
        ("Exp3", OURS, 4, 10.0),
    )
    assert learners.leads(frame) == [("UCB1", 40.0, "river", 16)]


def test_times_become_a_table_and_a_figure(monkeypatch, tmp_path):
    def rounds(learner, n_models, repetitions):
        return {OURS: [1e-9, 3e-9, 2e-9], "river": [5e-6] * repetitions}

    monkeypatch.setattr(learners, "seconds_a_decision", rounds)
    frame = learners.measure(3, [peers.UCB, peers.EXP3], [4, 16])
    assert frame.iloc[0].tolist() == [peers.UCB, OURS, 4, 2.0, 1.0, 3.0]
    assert len(frame) == 8
    learners.draw(frame, tmp_path / "peers.png")
    assert (tmp_path / "peers.png").read_bytes().startswith(b"\x89PNG")


def test_names_at_the_ends_of_lines_stand_apart():
    heights = learners._apart([1.0, 1.1, 100.0])
    assert heights == pytest.approx([1.0, 2.2, 100.0])
