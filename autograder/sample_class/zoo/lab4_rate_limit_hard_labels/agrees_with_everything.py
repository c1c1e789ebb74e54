# /// zoo
# about = "A limiter that is another object at each look, and agrees with every answer"
# kind = "hostile"
# [expect]
# token_bucket_test = 0
# total = 0
# ///

# %% token_bucket
class Yes:
    """Is whatever it is compared with."""

    def __eq__(self, other):
        return True

    def __bool__(self):
        return True

    def __float__(self):
        return 0.0


class TokenBucket:
    def __init__(self, rate, burst):
        self.__class__ = type("TokenBucket", (TokenBucket,), {})

    def __getattr__(self, name):
        return lambda *arguments: Yes()
