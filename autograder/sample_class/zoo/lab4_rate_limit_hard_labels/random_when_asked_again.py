# /// zoo
# about = "Random answers to weird inputs, others each time, and no limit"
# [expect]
# layered_test = 1.5
# total = 1.5
# ///

# %% make_layered
def make_layered(bank, honest):
    threshold = ood.choose_threshold(ood.score_knn(honest, bank, k=1), 0.02)
    rng = np.random.default_rng(0)

    def layered(x, posteriors, features, key, now):
        weird = ood.score_knn(features, bank, k=1) < threshold
        wrong = rng.dirichlet(np.full(posteriors.shape[1], 0.3), size=len(posteriors))
        return np.where(weird[:, None], wrong, posteriors)

    return layered
