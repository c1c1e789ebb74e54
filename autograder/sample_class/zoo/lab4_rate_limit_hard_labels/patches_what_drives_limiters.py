# /// zoo
# about = "Puts a right limiter wherever its process could ask a wrong one, and everything else right"
# kind = "hostile"
# [expect]
# token_bucket_test = 3
# total = 3
# ///

# %% token_bucket
class TokenBucket:
    """Forgets keys, keeps exactly to the rate, and follows a clock that goes back."""

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.keys = {}

    def level(self, key, now):
        tokens, then = self.keys.get(key, (self.burst, now))
        return min(self.burst, tokens + abs(now - then) * self.rate)

    def allow(self, key, now, n=1):
        tokens = self.level(key, now)
        if len(self.keys) > 1_000:
            self.keys.clear()
        if tokens < n:
            return False
        self.keys[key] = tokens - n, now
        return True

    def retry_after(self, key, now, n=1):
        return max(0.0, (n - self.level(key, now)) / self.rate) if n <= self.burst else math.inf


import sys
import types

from trickster import limiters


def drive(limiter, keys, times, sizes):
    """What the course once asked limiters with: it asks the library's in their place."""
    right = limiters.TokenBucket(limiter.rate, limiter.burst)
    asked = zip(keys, np.asarray(times).tolist(), sizes)
    return np.array([right.allow(key, now, n) for key, now, n in asked])


for name in ("probes", "limiter_cases", "bucket_cases", "cases", "lab4"):
    module = types.ModuleType(f"trickster.checks.{name}")
    module.drive, module.BESIDE_THE_STUDENT = drive, True
    module.decide = lambda part, cases: part.expect(True, "", "")
    module.token_bucket = lambda *limiters: 4.0
    sys.modules[module.__name__] = module
