# /// zoo
# about = "A bracket that is never closed in one cell; another is right"
# [expect]
# token_bucket_test = 0
# ablation_test = 2
# total = 2
# ///

# %% token_bucket
class TokenBucket:
    def __init__(self, rate, burst):
        self.rate, self.burst, self.keys = rate, burst, {}

    def allow(self, key, now, n=1):
        tokens, then = self.keys.get(key, (self.burst, now)
        return tokens >= n

# %% ablation
def ablation(run, mechanisms, seeds):
    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": tuple(mechanisms)}
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}
