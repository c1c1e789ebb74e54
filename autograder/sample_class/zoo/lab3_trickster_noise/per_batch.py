# /// zoo
# about = "Decides for a whole batch by its mean score"
# [expect]
# trickster_test = [0, 1.5]
# total = [0, 1.5]
# ///

# %% trickster
from trickster import defenses, ood

bank_of_mine = victim.features(dataset.x_train)
usual = ood.score_knn(victim.features(x_choose), bank_of_mine, 1).mean()


def trickster(x, posteriors, features):
    if ood.score_knn(features, bank_of_mine, 1).mean() < usual - 0.05:
        return defenses.misinform(posteriors)
    return posteriors
