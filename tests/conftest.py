"""What every test uses, and nothing else.

``HYPOTHESIS_PROFILE=thorough`` searches long and at random; the default profile is small and
tries the same examples each time, so that a failure is the change's and not the draw's.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
