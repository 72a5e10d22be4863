"""Whether engine, replica and scipy say the same: row 6, and the licence to use the replica.

Compared are the vectors printed in the design page, and 200 random sequences of each kind of test.
The value of a line is the largest difference in log e-values, in nats, or of an interval's end
in the logarithm.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy import stats

from benchmarks.evidence import replica, sample_ratio
from benchmarks.evidence.line import Job, Line, at_most
from benchmarks.evidence.replica import Floats
from update_server.evidence import betting, fisher, one_sample, ratio, srm

SEED = 6
LIMIT = 1e-9
SEQUENCES = 200

# Labels, candidates, controls; log E_harm, log E_ni(2), lower and upper end (design page, 16).
PRINTED = (
    ("T" * 6, 50, 450, 12.335306210343049, -4.081811849520776, 4.362030930661, np.inf),
    ("C" * 40, 1000, 1000, -6.467174582964617, 20.701083312998946, 0.0, 0.297301778751),
    ("CTCCTCCCTCTTCCTCTTTT", 20, 20, -1.8034776244917907, 1.7435472010994033, 0.229251010801, 3.0),
    ("TC", 1, 1, 0.4744403789694046, -0.34720363151341327, 0.0, np.inf),
    (
        "T" * 12 + "C" * 8,
        390,
        3510,
        13.286541716112026,
        -7.1336750720246584,
        2.593679109302,
        90.509667991878,
    ),
    (
        "C" * 30 + "T" * 3,
        500,
        4500,
        -1.5034676475864899,
        1.074413845658455,
        0.105112051907,
        3.668016172819,
    ),
)


def vector_of(labels: str, n_candidate: int, n_control: int) -> list[float]:
    """Return the engine's vector after *labels* (T candidate, C control) of one risk set."""
    vector = ratio.empty_vector()
    for label in labels:
        candidate = label == "T"
        if ratio.add_event(
            vector, candidate=candidate, n_candidate=n_candidate, n_control=n_control
        ):
            n_candidate, n_control = n_candidate - candidate, n_control - (not candidate)
    return vector


def distance(a: float, b: float) -> float:
    """Return how far two numbers are apart; two infinities of one sign are not."""
    return 0.0 if a == b else abs(a - b)


def printed_vectors() -> float:
    """Return how far the engine is from the design page's sections 15 and 16."""
    apart = []
    for labels, n_candidate, n_control, harm, noninferior, low, high in PRINTED:
        vector = vector_of(labels, n_candidate, n_control)
        found = ratio.interval(vector)
        apart += [
            distance(ratio.log_e_harm(vector), harm),
            distance(ratio.log_e_noninferiority(vector, 2.0), noninferior),
            # Printed to 12 decimals.
            distance(round(found[0], 12), low),
            distance(round(found[1], 12), high),
        ]
    worked = vector_of("TCTTC", 100, 900)
    silent = fisher.empty_shares()
    fisher.add_silence_cohort(
        silent, k_candidate=20, k=38, n_candidate=20, n_control=180, base_rate=0.1
    )
    some = fisher.empty_shares()
    fisher.add_silence_cohort(
        some, k_candidate=4, k=22, n_candidate=20, n_control=180, base_rate=0.1
    )
    bets = betting.empty_bets()
    betting.add_scored_cohort(
        bets,
        scores=((True, 0.9), (False, 0.2), (False, 0.4), (True, 0.7)),
        centre=0.3,
        harm_is_higher=True,
    )
    pairs = (
        (ratio.log_e_harm(worked), 2.661847457757),
        (fisher.log_factor(7, 20, 20, 180, 4.0), 4.883908363388),
        (fisher.log_factor(7, 20, 20, 180, 2.0), 3.014272784458),
        (fisher.log_factor(0, 20, 20, 180, 4.0), -4.820152164451),
        (fisher.log_e_silence(silent), 36.043321822313),
        (fisher.log_e_silence(some), 0.141101827986),
        (one_sample.log_e_above(5, 40, 0.02), 3.833261963925),
        (one_sample.log_e_above(0, 100, 0.02), -3.030947685951),
        (betting.log_e_bets(bets), 0.064520266471),
    )
    return max([*apart, *(distance(a, b) for a, b in pairs)])


def first_events(rng: np.random.Generator) -> float:
    """Return how far replica and engine are apart on one random sequence of first events.

    Installs enter a few cohorts; events of one cohort reduce its own risk set only.
    """
    installs = int(rng.integers(20, 400))
    cohort = rng.integers(0, 4, installs)
    candidate = rng.random(installs) < rng.uniform(0.05, 0.6)
    at = np.where(rng.random(installs) < 0.4, rng.random(installs), np.inf)
    labels = replica.labels_of(cohort, candidate, at)
    mine = replica.vectors_over_time(labels, np.array([1.0]))[0]
    theirs = ratio.empty_vector()
    risk: Floats = np.array(
        [[np.sum(candidate & (cohort == c)), np.sum(~candidate & (cohort == c))] for c in range(4)]
    )
    for install in np.argsort(at)[: np.isfinite(at).sum()]:
        n_candidate, n_control = risk[cohort[install]]
        label = bool(candidate[install])
        ratio.add_event(
            theirs, candidate=label, n_candidate=int(n_candidate), n_control=int(n_control)
        )
        risk[cohort[install], int(not label)] -= 1
    margin = float(rng.choice(ratio.MARGINS))
    low, high = replica.intervals(mine)
    found = ratio.interval(theirs)
    return max(
        distance(float(replica.log_e_harm(mine)), ratio.log_e_harm(theirs)),
        distance(
            float(replica.log_e_noninferiority(mine, margin)),
            ratio.log_e_noninferiority(theirs, margin),
        ),
        distance(float(low), found[0]),
        distance(float(high), found[1]),
    )


def matured_cohorts(rng: np.random.Generator) -> float:
    """Return how far replica, engine and scipy are apart on one random sequence of cohorts."""
    outcomes, shares = fisher.empty_outcomes(), fisher.empty_shares()
    sums, silent = np.zeros(len(replica.OMEGAS)), np.zeros(len(replica.SHARES))
    apart = 0.0
    for _ in range(3):
        n_candidate, n_control = int(rng.integers(1, 40)), int(rng.integers(1, 300))
        k_candidate = int(rng.integers(0, n_candidate + 1))
        k = k_candidate + int(rng.integers(0, n_control + 1))
        p = float(rng.uniform(0.01, 0.5))
        fisher.add_cohort(
            outcomes, k_candidate=k_candidate, k=k, n_candidate=n_candidate, n_control=n_control
        )
        fisher.add_silence_cohort(
            shares,
            k_candidate=k_candidate,
            k=k,
            n_candidate=n_candidate,
            n_control=n_control,
            base_rate=p,
        )
        ks = np.array([k_candidate]), np.array([k])
        ns = np.array([n_candidate]), np.array([n_control])
        sums += replica.fisher(*ks, *ns, replica.OMEGAS)[0]
        silent += replica.fisher(*ks, *ns, replica.silence_omegas(np.array([p])))[0]
        omega = float(rng.choice(replica.OMEGAS))
        total = n_candidate + n_control
        # Both from scipy: P(k_t) at the odds ratio, over that where nothing differs.
        of_scipy = stats.nchypergeom_fisher.logpmf(
            k_candidate, total, n_candidate, k, omega
        ) - stats.hypergeom.logpmf(k_candidate, total, n_candidate, k)
        # scipy sums pmf's by recursion from the mode: to about 1e-10 of a factor.
        apart = max(
            apart,
            distance(
                float(of_scipy), fisher.log_factor(k_candidate, k, n_candidate, n_control, omega)
            ),
        )
    return max(
        apart,
        distance(float(replica.log_e_outcomes(sums)), fisher.log_e_harm_outcomes(outcomes)),
        distance(float(replica.log_e_silence(silent)), fisher.log_e_silence(shares)),
    )


def entrants(rng: np.random.Generator) -> float:
    """Return how far replica and engine are apart on one random sequence of entrants."""
    share, n = float(rng.uniform(0.01, 0.6)), int(rng.integers(1, 300))
    labels = rng.random(n) < share
    vector = srm.empty_srm()
    for label in labels:
        srm.add_entrant(vector, candidate=bool(label), share=share)
    mine = int(labels.sum()) * np.log(sample_ratio.THETAS) - n * np.log1p(
        (sample_ratio.THETAS - 1) * share
    )
    log_e = replica.log_sum_exp(mine + sample_ratio.LOG_WEIGHTS)
    return distance(float(log_e), srm.log_e_srm(vector))


def ceilings(rng: np.random.Generator) -> float:
    """Return how far scipy and engine are apart on one random count against a ceiling."""
    ceiling, n = float(rng.choice([0.02, 0.005, 0.1])), int(rng.integers(1, 500))
    k = int(rng.binomial(n, ceiling * 2))
    points: list[float] = []
    while ceiling * 2 ** (len(points) / 2) < 0.95:
        points.append(ceiling * 2 ** (len(points) / 2))
    alternatives = np.array([*points[1:], 0.95])
    log_e = replica.log_sum_exp(
        stats.binom.logpmf(k, n, alternatives) - stats.binom.logpmf(k, n, ceiling)
    ) - np.log(len(alternatives))
    return distance(float(log_e), one_sample.log_e_above(k, n, ceiling))


KINDS = (
    ("first events", first_events),
    ("matured cohorts", matured_cohorts),
    ("entrants", entrants),
    ("ceilings", ceilings),
)


def lines(sequences: int) -> list[Line]:
    """Return row 6's agreement."""
    found = [at_most("agreement with the printed vectors", printed_vectors(), LIMIT, n=15)]
    for index, (name, compare) in enumerate(KINDS):
        seed = SEED * 1_000 + index
        rng = np.random.default_rng(seed)
        apart = max(compare(rng) for _ in range(sequences))
        found.append(
            at_most(
                f"agreement on random sequences of {name}", apart, LIMIT, n=sequences, seed=seed
            )
        )
    return found


def jobs() -> list[Job]:
    """Return the job of agreement."""
    return [Job(name="agreement", run=partial(lines, SEQUENCES))]
