# /// zoo
# about = "Refuses pixels above 1, but not below 0"
# [expect]
# api_test = 3.88
# total = 3.88
# ///

# %% api
class API:
    def __init__(self, predict, budget):
        self.predict, self.budget, self.used = predict, budget, 0

    def query(self, x):
        if x.ndim != 4 or x.shape[1:] != (1, 28, 28) or len(x) == 0 or x.dtype.kind != "f":
            raise InvalidQuery("not pictures")
        if not np.isfinite(x).all() or x.max() > 1:
            raise InvalidQuery("not in [0, 1]")
        if self.used + len(x) > self.budget:
            raise BudgetExceeded("you", len(x), self.budget - self.used)
        self.used += len(x)
        return self.predict(x)
