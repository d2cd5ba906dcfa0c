"""The live router: what replay does, one query at a time, and what live use adds."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pickllm as pk
from pickllm.core.replay import choose
from pickllm.live.router import _chosen
from pickllm.live.saved import state_from_json, state_to_json

LEARNERS = [
    pk.LinearRewardInaction(0.2),
    pk.QLearning(0.3, epsilon=0.2),
    pk.UniformRandom(),
    pk.QLearning(0.1, initial_value=1.0),
]


@pytest.fixture(scope="module")
def trace():
    return pk.load_trace("bfcl-2024-08-11").select(context="rest")


def follow(router, trace, queries):
    """Route queries with the trace's outcomes as feedback; gives the LLMs picked."""
    picked = []
    for q in queries:
        model = router.pick()
        j = trace.models.index(model)
        router.update(
            model,
            accuracy=trace.accuracy[q, j],
            cost_usd=trace.cost_usd[q, j],
            latency_ms=trace.latency_ms[q, j],
        )
        picked.append(j)
    return picked


@given(
    p=st.lists(st.floats(0, 0.3), min_size=2, max_size=6).filter(any),
    u=st.floats(0, 1, exclude_max=True),
)
@example(
    p=[0.5, 0.25, 0.0], u=0.999
)  # the sum falls short of the draw, and the last LLM cannot be chosen
@example(p=[0.5, 0.5], u=0.5)
def test_one_choice_is_the_loops_choice(p, u):
    assert _chosen(p, u) == choose(np.array([p]), np.array([u]))[0]


@pytest.mark.parametrize("learner", LEARNERS, ids=repr)
@pytest.mark.parametrize(
    "lock", [True, False, pk.MaxProbability(0.6)], ids=["own", "none", "0.6"]
)
def test_picks_and_locks_exactly_as_replay(trace, learner, lock):
    s = pk.replay(
        trace,
        pk.Reward(),
        learner,
        sessions=4,
        queries=300,
        seed=7,
        lock=lock,
        checkpoints=[300],
    )
    for session in range(4):
        router = pk.Router(
            trace.models,
            learner,
            pk.Reward(),
            seed=7,
            session=session,
            lock=lock,
            limits=trace.limits,
        )
        assert follow(router, trace, s.queries[session]) == s.choices[session].tolist()
        assert (
            list(router.probabilities.values()) == s.probabilities[session, 0].tolist()
        )
        assert router.locked == (
            trace.models[s.locked_model[session]] if s.locked_at[session] >= 0 else None
        )


@pytest.mark.parametrize("learner", LEARNERS, ids=repr)
def test_a_saved_router_goes_on_as_if_never_interrupted(trace, learner, tmp_path):
    queries = np.arange(200) % trace.n_queries
    whole = pk.Router(trace.models, learner, pk.Reward(), seed=3)
    halved = pk.Router(trace.models, learner, pk.Reward(), seed=3)
    expected = follow(whole, trace, queries)
    first = follow(halved, trace, queries[:77])
    halved.save(tmp_path / "state.json")
    restored = pk.Router.load(tmp_path / "state.json", models=trace.models)
    assert first + follow(restored, trace, queries[77:]) == expected
    assert restored.locked == whole.locked
    assert restored.probabilities == whole.probabilities


def test_late_feedback_changes_nothing_but_later_picks(trace):
    prompt = pk.Router(trace.models, pk.LinearRewardInaction(0.1), pk.Reward(), seed=1)
    late = pk.Router(trace.models, pk.LinearRewardInaction(0.1), pk.Reward(), seed=1)
    picks = [late.pick() for _ in range(5)]
    assert late.probabilities == dict.fromkeys(
        trace.models, 0.25
    )  # nothing is known yet
    assert picks[0] == prompt.pick()
    for model in reversed(picks):
        late.update(model, accuracy=1.0, cost_usd=1e-4, latency_ms=500.0)
    assert sum(late.probabilities.values()) == pytest.approx(1)
    assert late.probabilities != prompt.probabilities


def test_feedback_that_never_comes_keeps_the_draws_in_step(trace):
    silent = pk.Router(trace.models, pk.UniformRandom(), pk.Reward(), seed=5)
    heard = pk.Router(trace.models, pk.UniformRandom(), pk.Reward(), seed=5)
    expected = [trace.models[j] for j in follow(heard, trace, range(50))]
    assert [silent.pick() for _ in range(50)] == expected


def test_a_withdrawn_model_is_never_picked_and_the_rest_share_its_probability(trace):
    router = pk.Router(trace.models, pk.UniformRandom(), pk.Reward(), seed=0)
    router.withdraw(trace.models[1])
    picked = [router.pick() for _ in range(3000)]
    counts = np.array([picked.count(m) for m in trace.models])
    assert counts[1] == 0
    assert np.abs(counts[[0, 2, 3]] - 1000).max() < 4 * np.sqrt(3000 * 2 / 9)
    router.restore(trace.models[1])
    assert trace.models[1] in [router.pick() for _ in range(200)]


def test_a_session_locked_on_a_withdrawn_model_goes_to_another_and_comes_back(trace):
    router = pk.Router(
        ["a", "b"], pk.LinearRewardInaction(1.0), pk.Reward(bounds=(0, 1)), seed=0
    )
    model = router.pick()
    router.update(model, accuracy=1.0, cost_usd=0.0, latency_ms=1000.0)
    assert router.locked == model
    router.withdraw(model)
    assert router.pick() != model
    router.restore(model)
    assert router.pick() == model


def test_an_added_model_starts_the_learning_afresh():
    router = pk.Router(["a", "b"], pk.LinearRewardInaction(0.5), pk.Reward(), seed=0)
    router.update(router.pick(), accuracy=1.0, cost_usd=0.0, latency_ms=500.0)
    router.add("c")
    assert router.probabilities == dict.fromkeys("abc", 1 / 3)
    assert router.locked is None


def test_threads_lose_no_pick_and_no_feedback():
    router = pk.Router(
        ["a", "b", "c"], pk.QLearning(0.1), pk.Reward(), seed=0, lock=False
    )

    def work():
        for _ in range(200):
            router.update(router.pick(), accuracy=1.0, cost_usd=0.0, latency_ms=500.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert router.picks == router._updates == 1600


def test_live_session_sends_a_failed_query_to_the_next_llm(tmp_path):
    def broken(prompt):
        raise TimeoutError("no answer")

    router = pk.Router(
        ["down", "up"], pk.LinearRewardInaction(0.3), pk.Reward(), seed=0
    )
    live = pk.LiveSession(
        router,
        {"down": broken, "up": lambda p: (p.upper(), 1e-4)},
        lambda text, ref: float(text == ref),
        state=tmp_path / "state.json",
    )
    answers = [live.ask("yes", "YES") for _ in range(60)]
    assert {a.model for a in answers} == {"up"}
    assert all(a.text == "YES" for a in answers)
    assert any(a.failed == ("down",) for a in answers)
    assert router.locked == "up"
    assert pk.Router.load(tmp_path / "state.json").locked == "up"


def test_live_session_names_the_error_when_every_llm_fails():
    def broken(prompt):
        raise ConnectionError("refused")

    live = pk.LiveSession(
        pk.Router(["a", "b"], pk.UniformRandom(), pk.Reward()),
        dict.fromkeys("ab", broken),
        lambda t, r: 1.0,
    )
    with pytest.raises(
        pk.InputError, match=r"every LLM failed.*ConnectionError: refused"
    ):
        live.ask("x")


def test_live_session_runs_under_asyncio():
    live = pk.LiveSession(
        pk.Router(["a", "b"], pk.UniformRandom(), pk.Reward(), seed=2),
        {m: lambda p, m=m: (m, 0.0) for m in "ab"},
        lambda t, r: 1.0,
    )

    async def many():
        return await asyncio.gather(*(live.ask_async("x") for _ in range(40)))

    answers = asyncio.run(many())
    assert len(answers) == 40
    assert {a.model for a in answers} == {"a", "b"}


def test_an_unscored_answer_teaches_nothing():
    router = pk.Router(["a", "b"], pk.LinearRewardInaction(0.5), pk.Reward(), seed=0)
    live = pk.LiveSession(
        router, {m: lambda p: ("?", 0.0) for m in "ab"}, lambda t, r: None
    )
    assert live.ask("x").accuracy is None
    assert router.probabilities == {"a": 0.5, "b": 0.5}


def test_a_kill_between_queries_loses_no_more_than_the_query_under_way(tmp_path):
    path = tmp_path / "state.json"
    script = (
        "import sys, pickllm as pk\nrouter = pk.Router(['a', 'b'], pk.QLearning(0.1),"
        " pk.Reward(), seed=0, lock=False)\nlive = pk.LiveSession(router, {m: lambda p:"
        " (p, 0.0) for m in 'ab'}, lambda t, r: 1.0, state=sys.argv[1])\nwhile True:\n "
        "   live.ask('x'); print(router.picks, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )
    done = [int(process.stdout.readline()) for _ in range(40)][-1]
    os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate()[0].split()
    done = int(rest[-1]) if rest else done
    assert pk.Router.load(path).picks in (done, done + 1)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == [
        "state.json"
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda r: r.update("c", accuracy=1, cost_usd=0, latency_ms=5),
            "unknown model 'c'",
        ),
        (
            lambda r: r.update("a", accuracy=1.2, cost_usd=0, latency_ms=5),
            r"accuracy must be a number in \[0, 1\], got 1.2",
        ),
        (
            lambda r: r.update("a", accuracy=1, cost_usd=float("nan"), latency_ms=5),
            "cost_usd must be .* got nan",
        ),
        (lambda r: r.add("a"), "in the pool already"),
        (
            lambda r: [r.withdraw("a"), r.withdraw("b"), r.pick()],
            "every LLM has been withdrawn",
        ),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(pk.InputError, match=message) as caught:
        call(pk.Router(["a", "b"], pk.UniformRandom(), pk.Reward()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"learner": {"class": "os:system", "parameters": {}}}, "does not know"),
        (
            {"learner": {"class": "pickllm.learners:Gone", "parameters": {}}},
            "does not know",
        ),
        ({"state": None, "picks": None, "models": None}, "not a router state"),
    ],
)
def test_a_state_from_elsewhere_is_refused(tmp_path, change, message):
    path = tmp_path / "state.json"
    pk.Router(["a", "b"], pk.QLearning(0.1), pk.Reward()).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(pk.InputError, match=message):
        pk.Router.load(path)


def test_a_state_of_other_llms_is_refused(tmp_path):
    pk.Router(["a", "b"], pk.QLearning(0.1), pk.Reward()).save(tmp_path / "s.json")
    with pytest.raises(pk.InputError, match="other LLMs"):
        pk.Router.load(tmp_path / "s.json", models=["a", "x"])


# What the package wrote when its modules stood in one folder, each after 12 queries

FORMAT_1 = {
    "format": 1,
    "models": ["a", "b", "c"],
    "reward": {
        "form": "ratio",
        "w_accuracy": 1.0,
        "w_cost": 0.1,
        "w_latency": 1.0,
        "t_scaling": 3.0,
        "bounds": None,
    },
    "limits": {
        "max_cost_usd": 0.019,
        "latency_floor_ms": 200.0,
        "latency_ceiling_ms": 10000.0,
    },
    "seed": 7,
    "session": 2,
    "picks": 12,
    "updates": 12,
    "locked": None,
    "withdrawn": [],
}
Q_LEARNING = {
    "learner": {
        "class": "pickllm.learners:QLearning",
        "parameters": {"learning_rate": 0.3, "epsilon": 0.2, "initial_value": 0.0},
    },
    "lock_rule": {
        "class": "pickllm.locking:GreedyUnchanged",
        "parameters": {"queries": 100},
    },
    "state": {
        "array": [[0.047481549862799996, 0.6478226869617234, 0.14523921787782418]],
        "dtype": "<f8",
        "shape": [1, 3],
    },
    "watch": {"array": [[1, 3]], "dtype": "<i8", "shape": [1, 2]},
}
PURSUIT = {
    "learner": {
        "class": "pickllm.automata:Pursuit",
        "parameters": {"learning_rate": 0.05, "trials": 5},
    },
    "lock_rule": {
        "class": "pickllm.locking:MaxProbability",
        "parameters": {"threshold": 0.99},
    },
    "state": {
        "tuple": [
            {"array": [[1 / 3, 1 / 3, 1 / 3]], "dtype": "<f8", "shape": [1, 3]},
            {
                "array": [[0.63309773768, 1.706597560431, 0.9496403641239999]],
                "dtype": "<f8",
                "shape": [1, 3],
            },
            {"array": [[4.0, 2.0, 6.0]], "dtype": "<f8", "shape": [1, 3]},
        ],
        "class": "pickllm.automata:Pursued",
    },
    "watch": {"array": [0.0], "dtype": "<f8", "shape": [1]},
}


@pytest.mark.parametrize(
    ("saved", "picks", "chance_of_b"),
    [
        (Q_LEARNING, "bbbbabbbbbbcbabbbabcbbabcbbbbcbbabbbbbbbcbabbbbb", 0.8666666667),
        (PURSUIT, "abbaabbaabaccabababcbbabcbbaacbbabcbbbbbbbabbbbb", 0.9265445932),
    ],
    ids=["an array", "a tuple"],
)
def test_a_state_of_format_1_goes_on_as_it_went_on_then(
    tmp_path, saved, picks, chance_of_b
):
    path = tmp_path / "state.json"
    path.write_text(json.dumps(FORMAT_1 | saved))
    router = pk.Router.load(path, models=["a", "b", "c"])
    picked = []
    for query in range(12, 60):
        picked.append(router.pick())
        router.update(
            picked[-1],
            accuracy=float(picked[-1] == "b"),
            cost_usd=2e-4,
            latency_ms=600.0 + query,
        )
    assert "".join(picked) == picks
    assert router.probabilities["b"] == pytest.approx(chance_of_b, abs=1e-10)
    router.save(path)
    assert json.loads(path.read_text())["format"] == 3
    assert pk.Router.load(path).probabilities == router.probabilities


def test_a_state_comes_back_in_the_learners_form():
    state = (np.array([[1, 2]]), (np.array([0.5]), None))
    told = json.loads(json.dumps(state_to_json(state)))
    first, (second, nothing) = state_from_json(told, like=state)
    np.testing.assert_array_equal(first, state[0])
    assert first.dtype == state[0].dtype
    np.testing.assert_array_equal(second, [0.5])
    assert nothing is None


# What a live session does not tell


@pytest.mark.parametrize(
    ("learner", "says"),
    [
        (pk.Oracle(), "Oracle chooses by the rewards of all LLMs on each query"),
        (pk.Cheapest(), "Cheapest needs cost_usd of every answer"),
        (pk.MostExpensive(), "MostExpensive needs cost_usd of every answer"),
        (pk.BestSingle(), "BestSingle needs accuracy of every answer"),
        (pk.PerContext(pk.QLearning()), "PerContext sees queries"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_learner_that_needs_a_trace_is_refused(learner, says):
    with pytest.raises(pk.InputError, match=f"Router: {says}.*; ") as caught:
        pk.Router(["a", "b"], learner, pk.Reward())
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_learner_that_binds_to_the_names_alone_is_live():
    class Second(pk.QLearning):
        def bind(self, trace, reward):
            assert not hasattr(trace, "accuracy")
            return pk.Always(trace.models[1]).bind(trace, reward)

    router = pk.Router(["a", "b"], Second(), pk.Reward())
    assert {router.pick() for _ in range(20)} == {"b"}
    router.update("b", accuracy=1.0, cost_usd=0.0, latency_ms=500.0)
    assert router.probabilities == {"a": 0.0, "b": 1.0}
    with pytest.raises(pk.InputError, match="Always: unknown model 'c'"):
        pk.Router(["a", "b"], pk.Always("c"), pk.Reward())
