"""The claims as data: statement, source, the paper's value, measure and rule.

A new claim is a line in `CLAIMS`; `verdicts` holds the measures and the rules.
"""

from dataclasses import dataclass, replace

from .. import experiments

ABSTRACT = "abstract"
ROHAN = "secondary: rohan-paul.com"
SUMMARY = "secondary: summary page"
OPTIMAL = "secondary: tomesphere, emergentmind"
NAMES = {"automaton": "L_R-I", "qlearning": "Q-learning"}
#: Whom a statement may have meant: the LLM or control, and how a sentence names it.
ARTICLES = {
    "most expensive": "the most expensive LLM",
    "random": "random choice",
    "best single": "the best single LLM in hindsight",
    "cheapest": "the cheapest LLM",
}
BASELINES = tuple(ARTICLES)
#: What a measure's number counts. A difference of shares or accuracies is in points; a
#: relative change, as every measure that is not listed, in percent.
UNITS = {
    "difference": "points",
    "best share": "points",
    "locked": "% of sessions",
    "locked on best": "% of sessions",
    "speed": "of contexts",
}


@dataclass(frozen=True)
class Claim:
    """One statement to hold against the measurements.

    Attributes
    ----------
    id, statement, source : str
    measure : str
        What is measured, a name in `verdicts.MEASURES`; empty where nothing is.
    rule : str
        How it is judged, a name in `verdicts.RULES`.
    column : str
        In which column of the sessions, where two strategies are compared.
    value : float, optional
        As stated, in `unit`.
    learner, baseline : str
        Of whom, against whom.
    untestable : str
        Why outcomes cannot decide it, if they cannot.
    """

    id: str
    statement: str
    source: str
    measure: str = ""
    rule: str = ""
    column: str = ""
    value: float | None = None
    learner: str = ""
    baseline: str = ""
    untestable: str = ""

    @property
    def unit(self) -> str:
        """What the stated and the measured value count."""
        return UNITS.get(self.measure, "%")


def _both(claim: Claim) -> list[Claim]:
    """Return the claim for each of the paper's learners, named in its statement."""
    return [
        replace(
            claim,
            id=f"{claim.id}-{_in_id(name)}",
            statement=claim.statement.format(learner=name),
            learner=learner,
        )
        for learner, name in NAMES.items()
    ]


def _against(claim: Claim, *baselines: str) -> list[Claim]:
    """Return the claim for both learners and every baseline that it may have meant."""
    return [
        replace(
            claim,
            id=f"{claim.id}-{_in_id(NAMES[learner])}-{baseline.replace(' ', '-')}",
            statement=f"{claim.statement}, against {ARTICLES[baseline]}"
            f" ({NAMES[learner]})",
            learner=learner,
            baseline=baseline,
        )
        for baseline in baselines
        for learner in experiments.ROUTERS
    ]


def _in_id(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


_METHOD = (
    "a statement on the method, which outcomes cannot decide; implemented as stated"
)
_EQUATION = (
    "which equation the paper used cannot be decided from outcomes; figure 'readings'"
    " shows what it changes"
)

CLAIMS = (
    *_both(
        Claim(
            "converges",
            "the router converges to a single LLM for the remaining queries of the"
            " session ({learner})",
            ABSTRACT,
            "locked",
            "share",
        )
    ),
    *_both(
        Claim(
            "converges-right",
            "the LLM that it converges to is the best one of the context ({learner})",
            OPTIMAL,
            "locked on best",
            "share",
        )
    ),
    *_both(
        Claim(
            "speed",
            "the learning rate sets the speed of convergence: a higher one locks sooner"
            " ({learner})",
            ABSTRACT,
            "speed",
            "contexts",
        )
    ),
    *_against(
        Claim(
            "cost-better",
            "lower cost per querying session",
            ABSTRACT,
            "change",
            "lower",
            "cost_usd",
        ),
        *BASELINES,
    ),
    *_against(
        Claim(
            "latency-better",
            "lower overall response latency",
            ABSTRACT,
            "change",
            "lower",
            "latency_ms",
        ),
        *BASELINES,
    ),
    Claim(
        "update-lri",
        "the automaton's update is Linear Reward-Inaction on a probability vector",
        "secondary: two summaries",
        untestable=_METHOD,
    ),
    Claim(
        "reward-ratio",
        "reward = (w_a a - w_c c) / (w_l log10(l) / t_scaling)",
        "secondary: emergentmind",
        untestable=_EQUATION,
    ),
    Claim(
        "reward-product",
        "reward = w_a a - w_c c w_l log10(l) t_scaling",
        "secondary: themoonlight",
        untestable=_EQUATION,
    ),
    *_against(
        Claim(
            "cost-60",
            "session cost -60 %",
            f"{ROHAN}, emergentmind",
            "change",
            "stated",
            "cost_usd",
            -60.0,
        ),
        "most expensive",
    ),
    *_against(
        Claim(
            "latency-52",
            "mean latency -52 %",
            ROHAN,
            "change",
            "stated",
            "latency_ms",
            -52.0,
        ),
        "random",
    ),
    *_against(
        Claim(
            "accuracy-competitive",
            "accuracy stays competitive",
            ROHAN,
            "difference",
            "competitive",
            "accuracy",
        ),
        "most expensive",
        "best single",
    ),
    *_against(
        Claim(
            "cost-20",
            "session cost -20 % (baseline not named)",
            SUMMARY,
            "change",
            "stated",
            "cost_usd",
            -20.0,
        ),
        *BASELINES,
    ),
    *_against(
        Claim(
            "latency-15",
            "latency -15 % (baseline not named)",
            SUMMARY,
            "change",
            "stated",
            "latency_ms",
            -15.0,
        ),
        *BASELINES,
    ),
    *_against(
        Claim(
            "accuracy-10",
            "selection accuracy +10 %, read as accuracy of the answers (baseline not"
            " named)",
            SUMMARY,
            "change",
            "stated",
            "accuracy",
            10.0,
        ),
        *BASELINES,
    ),
    *_against(
        Claim(
            "selection-10",
            "selection accuracy +10 %, read as the share of queries sent to the best"
            " LLM, in points",
            SUMMARY,
            "best share",
            "stated",
            "best_share",
            10.0,
        ),
        "random",
    ),
)
