# /// zoo
# about = "A bucket that counts whole tokens only"
# [expect]
# token_bucket_test = 2
# total = 2
# ///

# %% token_bucket
class TokenBucket:
    """At most `burst` answers at once for each key, and `rate` a second in the long run."""

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.keys = {}

    def allow(self, key, now, n=1):
        """Take n tokens of `key` at `now` seconds if they are there: True, else False."""
        tokens, then = self.keys.get(key, (self.burst, now))
        tokens = min(self.burst, tokens + int(abs(now - then) * self.rate))
        allowed = tokens >= n
        self.keys[key] = tokens - n * allowed, now
        return allowed

    def retry_after(self, key, now, n=1):
        """Seconds until allow(key, ..., n) will say True: 0.0 if now, math.inf if never."""
        tokens, then = self.keys.get(key, (self.burst, now))
        tokens = min(self.burst, tokens + abs(now - then) * self.rate)
        return max(0.0, (n - tokens) / self.rate) if n <= self.burst else math.inf
