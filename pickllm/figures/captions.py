"""Titles of the figures, and what each shows."""

#: The figures in reading order: name -> (title, what it shows). Findings with numbers
#: are written by the runs.
FIGURES = {
    "overview": (
        "The loop",
        (
            "A query goes to the learner, the learner asks one LLM of the pool and sees"
            " only that answer's accuracy, cost and latency; their weighted reward,"
            " mapped to [0, 1], updates the learner, until the session is locked to one"
            " LLM."
        ),
    ),
    "pool-outcomes": (
        "The pool and its contexts",
        (
            "Accuracy, cost and latency of every LLM in every context, as measured. The"
            " LLMs differ in price by more than an order of magnitude, and no LLM leads"
            " in every context."
        ),
    ),
    "latency-tail": (
        "Latency and its tail",
        (
            "How often an answer takes longer than a time. Tails differ by LLM more"
            " than means do, and the logarithm in the reward plays them down."
        ),
    ),
    "rows-and-summary": (
        "A sample of the summary against the measured rows",
        (
            "The default study replays a sample drawn from published statistics. Each"
            " point compares one LLM in one context: the rows' value against the"
            " sample's."
        ),
    ),
    "reward-shape": (
        "The three readings of the reward",
        (
            "Raw reward against latency, for right and wrong answers at a low and a"
            " high cost. In the ratio a negative numerator turns the latency term"
            " round: the slower wrong answer scores higher."
        ),
    ),
    "convergence-automaton": (
        "Convergence of the learning automaton",
        (
            "Mean probability of asking the context's best LLM along a session, for"
            " each learning rate. A fast rate flattens early because its sessions have"
            " locked, rightly or wrongly."
        ),
    ),
    "convergence-qlearning": (
        "Convergence of stateless Q-learning",
        (
            "The same for Q-learning. Slow rates stay on the LLM tried first, which is"
            " chance, long enough to be declared converged."
        ),
    ),
    "locking": (
        "When sessions lock, and on what",
        (
            "Top: share of sessions locked by each query, sessions that never lock"
            " being censored. Bottom: share of sessions that locked on the best LLM."
        ),
    ),
    "speed-accuracy": (
        "The learning rate trades speed for being right",
        (
            "Each line is one learner's front over its learning rates: queries needed"
            " to lock against the share of sessions locked on the best LLM."
        ),
    ),
    "exploration": (
        "What exploration cost",
        (
            "What a session paid and waited beyond sending the same queries to the LLM"
            " it ended with; negative where it explored cheaper or faster LLMs."
        ),
    ),
    "session-cost": (
        "Cost per session",
        (
            "Total cost of a session for both routers and every control, per context"
            " and weight setting."
        ),
    ),
    "session-latency": (
        "Latency per session",
        "Mean latency of a session's answers for both routers and every control.",
    ),
    "session-accuracy": (
        "Accuracy per session",
        "Mean accuracy of a session's answers for both routers and every control.",
    ),
    "weights": (
        "Which LLM wins for which weights",
        (
            "The LLM with the highest mean reward as the weight of cost grows, from the"
            " outcomes alone."
        ),
    ),
    "readings": (
        "What the open points change",
        (
            "Share of sessions locked on the best LLM and time to lock when one"
            " declared choice is changed at a time."
        ),
    ),
    "claims": (
        "The claims",
        (
            "Every claim with a number, the value stated for the paper and ours, with"
            " its 95 % interval for these queries and, thin, for queries like these."
        ),
    ),
    "frontier": (
        "What a router trades",
        (
            "Accuracy against what is paid for it, for weights of cost from 0 to 2 per"
            " cent (the numbers at the ends), with 95 % intervals over sessions; each"
            " LLM alone; and the most that any router reaches that does not see the"
            " query, context by context."
        ),
    ),
    "frontier-coderouterbench": (
        "What a router trades, on CodeRouterBench",
        "The same on eight LLMs of 2026 and nine contexts of coding tasks.",
    ),
    "multiverse-claims": (
        "Every reading, every pool: where claims hold",
        (
            "In which share of all specifications each claim holds: one candidate of"
            " every point that the paper leaves open, and every pool of four. Rules"
            " stand in analysis/worlds.py. Each specification has sessions of its own;"
            " 95 % intervals over specifications."
        ),
    ),
    "multiverse-curve": (
        "Specification curves of the two stated savings",
        (
            "Worlds in order of an effect, with the interval over sessions that is"
            " typical there, and a stated number; below, how much more often each"
            " choice stands there than in all worlds. Of the first trace of figure"
            " multiverse-claims."
        ),
    ),
    "multiverse-decides": (
        "What decides",
        (
            "Total Sobol' indices: the share of an outcome's variance over all"
            " specifications that stays when all other choices are known. 0 is a"
            " choice that never matters. Of the first trace of figure"
            " multiverse-claims."
        ),
    ),
    "variants": (
        "What others would try",
        (
            "The paper's two learners and what others would try, in every context: the"
            " mean over contexts with its 95 % interval (often narrower than its"
            " marker), and each context. Thin lines mark the paper's two; 'beyond' is a"
            " median beyond the session's end. No learner was tuned on these traces."
        ),
    ),
    "variants-gains": (
        "What a variant gains on the paper's learners",
        (
            "Each variant's change against either learner of the paper: means over"
            " contexts, paired by session, with 95 % intervals. Left of 0 is less"
            " regret, cost or latency. An open marker is a change that Holm-corrected"
            " tests do not tell from none."
        ),
    ),
    "lock-times": (
        "Locking is to identify the best LLM",
        (
            "Mean queries to lock against the least that a learner with the same share"
            " of wrong locks in every pool needs, with 95 % intervals, for learners"
            " that lock in at least half of their sessions. In the shade a learner"
            " locks sooner than that: it is lucky here, and errs more elsewhere."
        ),
    ),
    "mixed-contexts": (
        "Sessions that mix contexts",
        (
            "What a learner that sees the context of each query gains on the paper's"
            " automaton, which does not, when all contexts meet in one session; 95 %"
            " intervals over sessions."
        ),
    ),
    "scenarios": (
        "When the world changes",
        (
            "Halfway through each session of one context something happens: another"
            " context, another price, an LLM that slows down, fails or appears; or"
            " feedback is late or missing all along. Means over sessions with 95 %"
            " intervals; open markers are sessions that never lock."
        ),
    ),
}
