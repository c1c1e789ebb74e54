# /// zoo
# about = "Changes the probabilities of weird inputs but never the class on top"
# sample = true
# [expect]
# trickster_test = 3
# total = 3
# ///

# %% trickster
from trickster import ood

bank_of_mine = victim.features(dataset.x_train)
line = ood.choose_threshold(ood.score_knn(victim.features(x_choose), bank_of_mine, 1), 0.02)


def trickster(x, posteriors, features):
    weird = ood.score_knn(features, bank_of_mine, 1) < line
    flat = 0.5 * np.eye(10)[posteriors.argmax(axis=1)] + 0.05
    return np.where(weird[:, None], flat, posteriors)
