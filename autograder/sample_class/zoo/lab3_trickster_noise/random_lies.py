# /// zoo
# about = "Misleads weird inputs with another random class each time"
# [expect]
# trickster_test = [2, 3.5]
# total = [2, 3.5]
# ///

# %% trickster
from trickster import ood

bank_of_mine = victim.features(dataset.x_train)
line = ood.choose_threshold(ood.score_knn(victim.features(x_choose), bank_of_mine, 1), 0.02)
draws = np.random.default_rng(0)


def trickster(x, posteriors, features):
    weird = ood.score_knn(features, bank_of_mine, 1) < line
    return np.where(weird[:, None], np.eye(10)[draws.integers(10, size=len(x))], posteriors)
