# /// zoo
# about = "Takes the threshold from the request itself, and so flags 2 % of whatever comes"
# [expect]
# trickster_test = [0, 2.5]
# total = [0, 2.5]
# shows = ["always flags the same share of it, whoever asks"]
# ///

# %% trickster
from trickster import defenses, ood

bank_of_mine = victim.features(dataset.x_train)


def trickster(x, posteriors, features):
    scores = ood.score_knn(features, bank_of_mine, 1)
    weird = scores < np.quantile(scores, 0.02)
    return np.where(weird[:, None], defenses.misinform(posteriors), posteriors)
