# /// zoo
# about = "Made from an older release, whose imports and tests name a function that is gone"
# kind = "clumsy"
# [expect]
# token_bucket_test = 4
# total = 4
# stopped = ""
# ///

# %% imports
import math
from functools import cache

import numpy as np

from trickster import attacks, defenses, evaluation, ood, plots
from trickster.api import RateLimited
from trickster.checks import lab4
from trickster.checks.probes import drive
from trickster.demos import MECHANISMS, DemoB
from trickster.evaluation import bootstrap_interval
from trickster.limiters import GlobalLimit, ManualClock
from trickster.scenario import Scenario

scenario = Scenario("fashion")
dataset = scenario.data
victim_says = scenario.victim.labels(dataset.x_test)
DAY = 86_400  # seconds

# %% token_bucket
class TokenBucket:
    """At most `burst` answers at once for each key, and `rate` a second in the long run."""

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.keys = {}

    def level(self, key, now):
        tokens, then = self.keys.get(key, (self.burst, now))
        now = max(now, then)
        return min(self.burst, tokens + (now - then) * self.rate), now

    def allow(self, key, now, n=1):
        """Take n tokens of `key` at `now` seconds if they are there: True, else False."""
        tokens, now = self.level(key, now)
        if tokens < n - 1e-6:
            return False
        self.keys[key] = tokens - n, now
        return True

    def retry_after(self, key, now, n=1):
        """Seconds until allow(key, ..., n) will say True: 0.0 if now, math.inf if never."""
        return max(0.0, (n - self.level(key, now)[0]) / self.rate) if n <= self.burst else math.inf

# %% token_bucket_test
lab4.token_bucket(TokenBucket, drive)
