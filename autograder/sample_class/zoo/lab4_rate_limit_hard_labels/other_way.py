# /// zoo
# about = "Right in its own way: loops, arrival times, a running total, a bucket, the tenth neighbour"
# [expect]
# ladder_test = 4
# counterexample_test = 1
# reverse_sigmoid_test = 3
# token_bucket_test = 4
# ablation_test = 2
# leave_one_out_test = 2
# layered_test = 5
# total = 21
# [marks]
# audit_verdict = 2
# recommendation = 2
# ///

# %% hard_labels
def hard_labels(p):
    answers = []
    for row in np.asarray(p).tolist():
        best = row.index(max(row))
        answers.append([float(i == best) for i in range(len(row))])
    return answers

# %% top_k
def top_k(p, k):
    answers = []
    for row in np.asarray(p).tolist():
        best = sorted(range(len(row)), key=lambda i: -row[i])[:k]
        total = sum(row[i] for i in best)
        answers.append([row[i] / total if i in best else 0.0 for i in range(len(row))])
    return np.array(answers)

# %% round_posteriors
def round_posteriors(p, decimals):
    answers = []
    for row, label in zip(np.asarray(p, dtype=float), np.asarray(hard_labels(p))):
        steps = np.rint(row * 10**decimals)
        answers.append(steps / steps.sum() if steps.any() else label)
    return np.array(answers)

# %% counterexample
def counterexample():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(10), size=20)

# %% reverse_sigmoid
def reverse_sigmoid(p, beta=1.0, gamma=0.1):
    y = np.minimum(np.maximum(np.asarray(p, dtype=float), 1e-9), 1 - 1e-9)
    up, down = y**gamma, (1 - y) ** gamma
    bent = y + beta * (down / (up + down) - 0.5)
    bent[bent < 0] = 0
    return np.stack([row / row.sum() for row in bent])

# %% token_bucket
class TokenBucket:
    """At most `burst` answers at once for each key, and `rate` a second in the long run."""

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self.keys = {}  # when the bucket will be full again, and the latest time seen

    def look(self, key, now, n):
        full, seen = self.keys.get(key, (now, now))
        now = max(now, seen)
        full = max(full, now) + n / self.rate
        return full - now - self.burst / self.rate, full, now

    def allow(self, key, now, n=1):
        """Take n tokens of `key` at `now` seconds if they are there: True, else False."""
        early, full, now = self.look(key, now, n)
        if early <= 1e-6:
            self.keys[key] = (full, now)
        return early <= 1e-6

    def retry_after(self, key, now, n=1):
        """Seconds until allow(key, ..., n) will say True: 0.0 if now, math.inf if never."""
        if n > self.burst:
            return float("inf")
        return max(0.0, self.look(key, now, n)[0])

# %% ablation
def ablation(run, mechanisms, seeds):
    table = {}
    for seed in seeds:
        for name in ["none", *mechanisms, "all"]:
            on = {"none": (), "all": tuple(mechanisms)}.get(name, (name,))
            table.setdefault(name, []).append(run(on, seed))
    return table

# %% leave_one_out
def leave_one_out(run, mechanisms, seeds, what):
    taken = {name: [] for name in mechanisms}
    for seed in seeds:
        whole = run(mechanisms, seed)[what]
        for i, name in enumerate(mechanisms):
            taken[name].append(run(mechanisms[:i] + mechanisms[i + 1 :], seed)[what] - whole)
    return {name: np.array(values) for name, values in taken.items()}

# %% make_layered
def make_layered(bank, honest):
    unit = bank / np.linalg.norm(bank, axis=1, keepdims=True)

    def score(features):
        similar = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-9) @ unit.T
        return np.sort(np.partition(similar, -10, axis=1)[:, -10:], axis=1)[:, 0]

    level = np.quantile(score(honest), 0.02)
    bucket = TokenBucket(rate=400 / 86_400, burst=500)

    def layered(x, posteriors, features, key, now):
        wait = bucket.retry_after(key, now, len(x))
        if wait > 0 or not bucket.allow(key, now, len(x)):
            raise RateLimited(key, len(x), wait)
        answers = np.array(hard_labels(posteriors))
        weird = score(features) < level
        answers[weird] = np.eye(10)[posteriors[weird].argmin(axis=1)]
        return answers

    return layered

# %% [markdown] audit_verdict
# Noise works (.44 to .21 alone); rounding, hard labels and renormalising do nothing, since the thief
# takes the argmax. Honest users fall from .974 to .90, all of it through the noise.

# %% [markdown] recommendation
# Labels and 300 a day: ten accounts need one day and 80 in money, so expect nothing of it. Mislead weird
# inputs at 2 %: fidelity .7 falls to about .3, honest users lose half a point. No global limit: it
# refuses the shops. It does not stop a thief with real pictures.
