# /// zoo
# about = "Worked in Colab: no cell ids, metadata of Colab's own"
# kind = "clumsy"
# mutations = ["colab"]
# [expect]
# repairs = []
# expected_calibration_error_test = 3
# api_test = 4
# total = 7
# stopped = ""
# ///

# %% expected_calibration_error
def expected_calibration_error(posteriors, y, bins=15):
    sure = posteriors.max(axis=1)
    right = posteriors.argmax(axis=1) == y
    place = np.ceil(sure * bins).astype(int) - 1
    return sum(
        abs(right[place == b].mean() - sure[place == b].mean()) * (place == b).mean()
        for b in set(place)
    )

# %% api
class API:
    """A model behind a meter, for one customer."""

    def __init__(self, predict, budget):
        self.predict, self.budget, self.used = predict, budget, 0

    def query(self, x):
        if x.ndim != 4 or x.shape[1:] != (1, 28, 28) or len(x) == 0 or x.dtype.kind != "f":
            raise InvalidQuery("a batch of float pictures, please")
        if self.used + len(x) > self.budget:
            raise BudgetExceeded("customer", len(x), self.budget - self.used)
        if not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
            raise InvalidQuery("pixels lie in [0, 1]")
        self.used += len(x)
        return self.predict(x)
