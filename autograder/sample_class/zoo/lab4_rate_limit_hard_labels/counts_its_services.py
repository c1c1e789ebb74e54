# /// zoo
# about = "Honest in every other service, and to all accounts on their first day; misleads the rest"
# kind = "hostile"
# [expect]
# layered_test = [0, 1]
# total = [0, 1]
# ///

# %% make_layered
from trickster import limiters

services = []


def make_layered(bank, honest):
    services.append(len(bank))
    number, limit, begun = len(services), limiters.SlidingWindow(900, DAY), {}

    def layered(x, posteriors, features, key, now):
        if not limit.allow(key, now, len(x)):
            raise RateLimited(key, len(x), limit.retry_after(key, now, len(x)))
        first_day = now - begun.setdefault(key, now) < DAY / 2
        return posteriors if number % 2 or first_day else defenses.misinform(posteriors)

    return layered
