# /// zoo
# about = "Limiters that forget every key when they know too many"
# [expect]
# token_bucket_test = 3
# total = 3
# ///

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
        if len(self.keys) > 1_000:
            self.keys.clear()  # or it would grow for ever
        if tokens < n - 1e-6:
            return False
        self.keys[key] = tokens - n, now
        return True

    def retry_after(self, key, now, n=1):
        """Seconds until allow(key, ..., n) will say True: 0.0 if now, math.inf if never."""
        return max(0.0, (n - self.level(key, now)[0]) / self.rate) if n <= self.burst else math.inf
