"""The same answers found another way: plain Python, a session and a number at a time.

Nothing here imports NumPy's arithmetic or the package's streams, learners, rules or
loop; only `trace_of` builds a `Trace`, the input that both sides share.
"""

from itertools import accumulate, permutations

import pickllm as pk

WORD = 2**64 - 1
QUERY, CHOICE, POOL = 0, 1, 2

#: A reward whose unit value is the accuracy itself, so that a test states its rewards
#: as it likes.
IDENTITY = pk.Reward("linear", w_cost=0.0, w_latency=0.0, bounds=(0.0, 1.0))


def trace_of(rewards):
    """A trace of one context whose accuracies are the given rows (queries) of rewards
    (LLMs).
    """

    def constant(x):
        return [[x] * len(rewards[0])] * len(rewards)

    return pk.Trace(
        models=tuple(
            f"{chr(97 + j % 26)}{j // 26 or ''}" for j in range(len(rewards[0]))
        ),  # a, b, ..., z, a1, ...
        query_id=[f"q{i}" for i in range(len(rewards))],
        context=["c"] * len(rewards),
        accuracy=rewards,
        cost_usd=constant(0.001),
        latency_ms=constant(1000.0),
        input_tokens=constant(100.0),
        output_tokens=constant(10.0),
    )


def splitmix64(key, n):
    """The n-th output of the generator, in whole numbers of any size (Steele, Lea,
    Flood 2014).
    """
    z = (key + n * 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def uniform(seed, session, purpose, step):
    """The one draw in [0, 1) for a step of a session: seed -> session -> purpose ->
    step, 53 bits.
    """
    key = splitmix64(splitmix64(splitmix64(seed, 1), session + 1), purpose + 1)
    return (splitmix64(key, step + 1) >> 11) / 2**53


def automaton(rate):
    """L_R-I on a list of probabilities: (start, probabilities, update)."""

    def update(p, arm, reward):
        step = rate * reward
        return [
            x + step * (1.0 - x) if i == arm else x * (1.0 - step)
            for i, x in enumerate(p)
        ]

    return lambda m: [1.0 / m] * m, lambda p: p, update


def q_learning(rate, epsilon, initial=0.0):
    """Stateless Q-learning, epsilon-greedy, on a list of Q: (start, probabilities,
    update).
    """

    def probabilities(q):
        greedy = q.index(max(q))
        return [
            1.0 - epsilon + epsilon / len(q) if i == greedy else epsilon / len(q)
            for i in range(len(q))
        ]

    def update(q, arm, reward):
        return [x + rate * (reward - x) if i == arm else x for i, x in enumerate(q)]

    return lambda m: [initial] * m, probabilities, update


def sure(threshold=0.99):
    """Lock rule on the history of probabilities: one LLM is at the threshold."""
    return lambda history: max(history[-1]) >= threshold


def settled(queries=100):
    """Lock rule: the most probable LLM is the same now and at each of the last
    ``queries`` moments.
    """

    def rule(history):
        recent = [p.index(max(p)) for p in history[-queries - 1 :]]
        return len(recent) == queries + 1 and len(set(recent)) == 1

    return rule


def pool(seed, number, n_models):
    """The LLM at each place of the pool as a session is shown it: Fisher and Yates."""
    models = list(range(n_models))
    for place in range(n_models - 1):
        u = uniform(seed, number, POOL, place)
        other = place + int(u * (n_models - place))
        models[place], models[other] = models[other], models[place]
    return models


def session(unit, learner, rule, *, seed, number, queries, order):
    """One session, step by step: (choices, queries asked, history of probabilities,
    locked_at, locked_model).
    """
    shown = pool(seed, number, len(unit[0]))
    unit = [[row[model] for model in shown] for row in unit]
    places, asked, history, at, place = _session(
        unit, learner, rule, seed=seed, number=number, queries=queries, order=order
    )
    return (
        [shown[place] for place in places],
        asked,
        [[p[shown.index(model)] for model in range(len(p))] for p in history],
        at,
        shown[place] if at >= 0 else -1,
    )


def _session(unit, learner, rule, *, seed, number, queries, order):
    """One session, by the places of the LLMs."""
    start, probabilities, update = learner
    deck, n = list(range(len(unit))), len(unit)
    state = start(len(unit[0]))
    history, choices, asked, locked_at, locked_model = (
        [probabilities(state)],
        [],
        [],
        -1,
        -1,
    )
    for t in range(queries):
        u = uniform(seed, number, QUERY, t)
        if (
            order == "shuffle"
        ):  # Fisher and Yates: swap the next card with one of those left
            other = t + int(u * (n - t))
            deck[t], deck[other] = deck[other], deck[t]
        asked.append(deck[t] if order == "shuffle" else int(u * n))
        if locked_at >= 0:
            choices.append(locked_model)
            history.append(history[-1])
            continue
        u = uniform(seed, number, CHOICE, t)
        choices.append(
            next(i for i, total in enumerate(accumulate(history[-1])) if u < total)
        )
        state = update(state, choices[-1], unit[asked[-1]][choices[-1]])
        history.append(probabilities(state))
        if rule and rule(history):
            locked_at, locked_model = t + 1, history[-1].index(max(history[-1]))
    return choices, asked, history, locked_at, locked_model


def every_path(unit, learner, rule, queries, order):
    """All sessions that can happen, as (probability, choices, history, locked_at,
    locked_model), over all orders of the pool.
    """
    orders = list(permutations(range(len(unit[0]))))
    for shown in orders:
        rows = [[row[model] for model in shown] for row in unit]
        for chance, places, history, at, place in _every_path(
            rows, learner, rule, queries, order
        ):
            yield (
                chance / len(orders),
                tuple(shown[place] for place in places),
                [[p[shown.index(model)] for model in range(len(p))] for p in history],
                at,
                shown[place] if at >= 0 else -1,
            )


def _every_path(unit, learner, rule, queries, order):
    """All sessions that can happen, by the places of the LLMs."""
    start, probabilities, update = learner
    m = len(unit[0])

    def walk(chance, left, state, history, choices, locked):
        if len(choices) == queries:
            yield chance, tuple(choices), history, *locked
            return
        for i, q in enumerate(left):
            rest = left[:i] + left[i + 1 :] if order == "shuffle" else left
            for arm in range(m) if locked[0] < 0 else [locked[1]]:
                here = chance / len(left) * (history[-1][arm] if locked[0] < 0 else 1.0)
                if locked[0] >= 0:
                    yield from walk(
                        here,
                        rest,
                        state,
                        [*history, history[-1]],
                        [*choices, arm],
                        locked,
                    )
                    continue
                after = update(state, arm, unit[q][arm])
                then = [*history, probabilities(after)]
                stop = (
                    (len(choices) + 1, then[-1].index(max(then[-1])))
                    if rule and rule(then)
                    else (-1, -1)
                )
                yield from walk(here, rest, after, then, [*choices, arm], stop)

    state = start(m)
    yield from walk(
        1.0, list(range(len(unit))), state, [probabilities(state)], [], (-1, -1)
    )
