# /// zoo
# about = "A threshold that catches 90 % of the shapes, whatever honest users pay"
# [expect]
# trickster_test = [1, 2.5]
# total = [1, 2.5]
# ///

# %% trickster
from trickster import defenses, ood

bank_of_mine = victim.features(dataset.x_train)
line = np.quantile(ood.score_knn(pool("shapes", 0)[1], bank_of_mine, 1), 0.9)


def trickster(x, posteriors, features):
    weird = ood.score_knn(features, bank_of_mine, 1) < line
    return np.where(weird[:, None], defenses.misinform(posteriors), posteriors)
