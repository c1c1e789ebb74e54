# /// zoo
# about = "Misleads a whole batch when its mean score is low"
# [expect]
# layered_test = [0, 1.5]
# total = [0, 1.5]
# ///

# %% make_layered
def make_layered(bank, honest):
    threshold = ood.choose_threshold(ood.score_knn(honest, bank, k=1), 0.02)

    def layered(x, posteriors, features, key, now):
        if ood.score_knn(features, bank, k=1).mean() < threshold:
            return defenses.misinform(posteriors)
        return posteriors

    return layered
