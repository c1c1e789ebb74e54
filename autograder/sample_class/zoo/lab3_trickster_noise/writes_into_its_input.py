# /// zoo
# about = "Right but for one thing: it writes its lies into the posteriors that it is given"
# [expect]
# trickster_test = 4
# shows = ["trickster writes into the posteriors that it is given"]
# ///

# %% trickster
from trickster import defenses, ood

bank_of_mine = victim.features(dataset.x_train)
line = ood.choose_threshold(ood.score_knn(victim.features(x_choose), bank_of_mine, 1), 0.02)


def trickster(x, posteriors, features):
    weird = ood.score_knn(features, bank_of_mine, 1) < line
    posteriors[weird] = defenses.misinform(posteriors[weird])
    return posteriors
