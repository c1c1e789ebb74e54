# /// zoo
# about = "Half of it: no ties, no waits, means without their spread, a threshold that flags 4 % of the honest"
# sample = true
# [expect]
# ladder_test = 3
# counterexample_test = 0.5
# token_bucket_test = 3
# ablation_test = 0
# leave_one_out_test = 1
# layered_test = [3.2, 3.5]
# total = [10.7, 11]
# [marks]
# audit_verdict = 1
# ///

# %% hard_labels
def hard_labels(p):
    return np.eye(p.shape[1])[p.argmax(axis=1)]

# %% top_k
def top_k(p, k):
    level = np.sort(p, axis=1)[:, -k][:, None]
    kept = np.where(p >= level, p, 0)
    return kept / kept.sum(axis=1, keepdims=True)

# %% round_posteriors
def round_posteriors(p, decimals):
    rounded = np.round(p, decimals)
    return rounded / np.maximum(rounded.sum(axis=1, keepdims=True), 1e-9)

# %% counterexample
def counterexample():
    p = np.zeros((2, 10))
    p[0, 3] = p[1, 7] = 1
    return p

# %% token_bucket
class TokenBucket:
    """At most `burst` answers at once for each key, and `rate` a second in the long run."""

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.keys = {}

    def allow(self, key, now, n=1):
        """Take n tokens of `key` at `now` seconds if they are there: True, else False."""
        tokens, then = self.keys.get(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - then) * self.rate)
        if tokens < n:
            return False
        self.keys[key] = tokens - n, now
        return True

    def retry_after(self, key, now, n=1):
        """Seconds until allow(key, ..., n) will say True: 0.0 if now, math.inf if never."""
        return 1.0 / self.rate

# %% ablation
def ablation(run, mechanisms, seeds):
    return {name: [run((name,), seed) for seed in seeds] for name in mechanisms}

# %% leave_one_out
def leave_one_out(run, mechanisms, seeds, what):
    def mean(on):
        return np.mean([run(on, seed)[what] for seed in seeds])

    return {m: mean(tuple(o for o in mechanisms if o != m)) - mean(mechanisms) for m in mechanisms}

# %% make_layered
def make_layered(bank, honest):
    threshold = ood.choose_threshold(ood.score_knn(honest, bank, k=1), 0.04)

    def layered(x, posteriors, features, key, now):
        weird = ood.score_knn(features, bank, k=1) < threshold
        return np.where(weird[:, None], defenses.misinform(posteriors), posteriors)

    return layered

# %% [markdown] audit_verdict
# Noise works best and rounding is useless.
