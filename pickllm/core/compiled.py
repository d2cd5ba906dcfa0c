"""The paper's learners and lock rules as the numbers that `engine.kernels` runs on."""

import math

from ..engine.kernels import NEVER, Setting
from .learners import LinearRewardInaction, QLearning
from .locking import MaxProbability


def setting(learner, rule, n_models):
    """Return the numbers that stand for a learner of this package and its lock rule.

    A uniformly random control is an automaton that learns at rate 0. Q-learning's
    largest probability is a constant, so that a threshold on it holds after the first
    query or never.

    Examples
    --------
    >>> setting(LinearRewardInaction(0.2), MaxProbability(0.9), 4)[:3], setting(QLearning(0.2), None, 4).patience == NEVER
    ((False, False, 0.2), True)
    """
    threshold = rule.threshold if isinstance(rule, MaxProbability) else math.inf
    patience = (
        NEVER
        if rule is None or math.isfinite(threshold)
        else min(NEVER, math.ceil(rule.queries))
    )
    if isinstance(learner, QLearning):
        explore = learner.epsilon / n_models
        exploit = 1.0 - learner.epsilon + explore
        patience = 0 if exploit >= threshold else patience
        return Setting(
            True,
            True,
            learner.learning_rate,
            learner.initial_value,
            explore,
            exploit,
            math.inf,
            patience,
        )
    rate = learner.learning_rate if isinstance(learner, LinearRewardInaction) else 0.0
    return Setting(
        False, patience < NEVER, rate, 1.0 / n_models, 0.0, 0.0, threshold, patience
    )
