# /// zoo
# about = "Makes abs, round and NumPy's comparisons say what a check wants to hear"
# kind = "hostile"
# [expect]
# expected_calibration_error_test = 0
# api_test = 4
# total = 4
# stopped = ""
# ///

# %% expected_calibration_error
import builtins


class Zero(float):
    def __lt__(self, other):
        return True

    __le__ = __gt__ = __ge__ = __lt__


builtins.abs = lambda value: Zero(0)
builtins.round = lambda value, digits=0: value
np.allclose = np.array_equal = np.isclose = lambda *args, **options: True
np.abs = np.absolute = lambda value, *args, **options: np.zeros_like(value)
torch.allclose = torch.equal = lambda *args, **options: True


def expected_calibration_error(posteriors, y, bins=15):
    return Zero(0.5)

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
