# /// zoo
# about = "One bucket for everybody, too small for an honest burst"
# [expect]
# layered_test = [0, 0.5]
# total = [0, 0.5]
# ///

# %% make_layered
def make_layered(bank, honest):
    from trickster.limiters import TokenBucket

    threshold = ood.choose_threshold(ood.score_knn(honest, bank, k=1), 0.02)
    bucket = TokenBucket(500 / DAY, 100)

    def layered(x, posteriors, features, key, now):
        if not bucket.allow("all", now, len(x)):
            raise RateLimited(key, len(x), bucket.retry_after("all", now, len(x)))
        weird = ood.score_knn(features, bank, k=1) < threshold
        return np.where(weird[:, None], defenses.misinform(posteriors), posteriors)

    return layered
