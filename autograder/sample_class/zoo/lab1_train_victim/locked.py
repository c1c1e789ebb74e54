# /// zoo
# about = "Checks and charges under a lock, as the lab says that a real service does"
# [expect]
# api_test = 4
# total = 4
# ///

# %% api
from threading import Lock


class API:
    def __init__(self, predict, budget):
        self.predict, self.budget, self.used, self.lock = predict, budget, 0, Lock()

    def query(self, x):
        if x.ndim != 4 or x.shape[1:] != (1, 28, 28) or len(x) == 0 or x.dtype.kind != "f":
            raise InvalidQuery("not pictures")
        if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
            raise InvalidQuery("not in [0, 1]")
        with self.lock:
            if self.used + len(x) > self.budget:
                raise BudgetExceeded("you", len(x), self.budget - self.used)
            self.used += len(x)
        return self.predict(x)
