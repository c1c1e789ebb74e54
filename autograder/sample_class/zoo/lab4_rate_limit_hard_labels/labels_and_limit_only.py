# /// zoo
# about = "The checklist: labels, one decimal, 300 a day, and nothing that misleads"
# [expect]
# layered_test = 3
# total = 3
# ///

# %% make_layered
def make_layered(bank, honest):
    from trickster.limiters import SlidingWindow

    limit = SlidingWindow(300, DAY)

    def layered(x, posteriors, features, key, now):
        if not limit.allow(key, now, len(x)):
            raise RateLimited(key, len(x), limit.retry_after(key, now, len(x)))
        return np.eye(posteriors.shape[1])[posteriors.argmax(axis=1)]

    return layered
