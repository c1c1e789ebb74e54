# /// zoo
# about = "Labels behind a lie that always names the next class, and so reveals the true one"
# [expect]
# layered_test = [4, 4.85]
# total = [4, 4.85]
# ///

# %% make_layered
def make_layered(bank, honest):
    from trickster.limiters import SlidingWindow

    limit = SlidingWindow(1_000, DAY)
    threshold = ood.choose_threshold(ood.score_knn(honest, bank, k=1), 0.02)

    def layered(x, posteriors, features, key, now):
        if not limit.allow(key, now, len(x)):
            raise RateLimited(key, len(x), limit.retry_after(key, now, len(x)))
        weird = ood.score_knn(features, bank, k=1) < threshold
        answers = np.where(weird[:, None], np.roll(posteriors, 1, axis=1), posteriors)
        return np.eye(posteriors.shape[1])[answers.argmax(axis=1)]

    return layered
