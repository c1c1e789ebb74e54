# /// zoo
# about = "Misleads a whole batch when most of its inputs are weird; under some secrets, the check notices"
# kind = "clumsy"
# [expect]
# layered_test = [0, 1.5]
# total = [0, 1.5]
# ///

# %% make_layered
def make_layered(bank, honest):
    threshold = ood.choose_threshold(ood.score_knn(honest, bank, k=1), 0.02)

    def layered(x, posteriors, features, key, now):
        weird = ood.score_knn(features, bank, k=1) < threshold
        return defenses.misinform(posteriors) if weird.mean() > 0.5 else posteriors

    return layered
