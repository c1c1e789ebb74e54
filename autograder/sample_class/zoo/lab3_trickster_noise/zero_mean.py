# /// zoo
# about = "Adds zero-mean noise to what looks weird, fresh each time"
# [expect]
# trickster_test = [1.5, 3]
# total = [1.5, 3]
# ///

# %% trickster
from trickster import defenses, ood

line = ood.choose_threshold(ood.score_knn(victim.features(x_choose), victim.features(dataset.x_train), 1), 0.02)
bank_of_mine = victim.features(dataset.x_train)
draws = np.random.default_rng(0)


def trickster(x, posteriors, features):
    weird = ood.score_knn(features, bank_of_mine, 1) < line
    noisy = defenses.zero_mean_noise(posteriors, 2.0, draws)
    return np.where(weird[:, None], noisy, posteriors)
