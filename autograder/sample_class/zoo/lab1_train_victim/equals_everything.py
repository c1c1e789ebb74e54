# /// zoo
# about = "An answer that equals, converts and compares to whatever is asked"
# kind = "hostile"
# [expect]
# expected_calibration_error_test = 0
# api_test = 4
# total = 4
# stopped = ""
# ///

# %% expected_calibration_error
class Everything:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __float__(self):
        return 1e9

    def __array__(self, *args, **options):
        return np.full((1,), np.nan)

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **options):
        return self

    def __abs__(self):
        return 0.0

    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __ne__ = __eq__
    __sub__ = __rsub__ = __add__ = __radd__ = __mul__ = lambda self, other: 0.0
    __int__ = __index__ = __len__ = lambda self: 1
    __array_interface__ = property(lambda self: {"shape": (1,), "typestr": "<f8", "version": 3})
    __class__ = property(lambda self: float)
    size = property(lambda self: 1)


def expected_calibration_error(posteriors, y, bins=15):
    return Everything()

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
