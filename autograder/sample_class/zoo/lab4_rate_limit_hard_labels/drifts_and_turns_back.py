# /// zoo
# about = "A bucket that counts whole tokens only, and limiters that follow a clock that goes back"
# [expect]
# token_bucket_test = 2.5
# sliding_window_test = 2.5
# total = 5
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

# %% sliding_window
class SlidingWindow:
    """At most `limit` answers for each key in any `seconds` seconds."""

    def __init__(self, limit, seconds):
        self.limit, self.seconds = limit, seconds
        self.keys = {}

    def allow(self, key, now, n=1):
        """Count n answers for `key` at `now` seconds if they fit: True, else False."""
        given = [then for then in self.keys.get(key, []) if then > now - self.seconds]
        if len(given) + n > self.limit:
            return False
        self.keys[key] = given + [now] * n
        return True

    def retry_after(self, key, now, n=1):
        """Seconds until allow(key, ..., n) will say True: 0.0 if now, math.inf if never."""
        if n > self.limit:
            return math.inf
        given = [then for then in self.keys.get(key, []) if now - then < self.seconds]
        over = len(given) + n - self.limit
        return 0.0 if over <= 0 else given[over - 1] + self.seconds - now
