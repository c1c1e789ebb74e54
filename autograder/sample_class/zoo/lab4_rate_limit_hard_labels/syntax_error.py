# /// zoo
# about = "A bracket that is never closed in one cell; two others are right"
# [expect]
# token_bucket_test = 0
# price_of_theft_test = 2
# ablation_test = 2
# total = 4
# ///

# %% token_bucket
class TokenBucket:
    def __init__(self, rate, burst):
        self.rate, self.burst, self.keys = rate, burst, {}

    def allow(self, key, now, n=1):
        tokens, then = self.keys.get(key, (self.burst, now)
        return tokens >= n

# %% price_of_theft
def price_of_theft(queries, accounts, per_day, price, signup=0.0, everybody=None):
    daily = min(accounts * per_day, everybody or math.inf)
    return math.ceil(queries / daily), queries * price + accounts * signup

# %% ablation
def ablation(run, mechanisms, seeds):
    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": tuple(mechanisms)}
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}
