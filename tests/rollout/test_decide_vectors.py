"""The published vectors of the decision: an agent in another language must pass them, too."""

import pytest

from rollout.decide import decide
from tests.rollout.decision_vectors import DecisionVector, decision_vectors, told


@pytest.mark.parametrize("vector", decision_vectors(), ids=lambda vector: vector.name)
def test_the_decision_is_that_of_the_vector(vector: DecisionVector) -> None:
    assignment = decide(vector.documents, vector.install, vector.now)

    assert told(assignment) == vector.expected
