# /// zoo
# about = "A keyed lie behind lab 3's detector: half of the shapes are answered truthfully"
# [expect]
# detector_test = [1.5, 3.25]
# defend_test = [1, 2.75]
# total = [2.5, 6]
# shows = ["Your detector catches"]
# ///

# %% make_outliers
def make_outliers(honest, seed):
    return np.rot90(honest, 1, (2, 3))

# %% score
def score(statistics):
    return ood.score_knn(statistics[:, FEATURES], bank, 1)

# %% prepare
threshold = choose_threshold(score(statistics_and_posteriors(x_choose)[0]), max_fpr=0.02)

# %% defend
def defend(x, posteriors, statistics, key):
    weird = score(statistics) < threshold
    features = statistics[:, FEATURES]
    lie = CellLie.fit(bytes.fromhex(key), weird_features, planes=3)
    lies = lie(posteriors, Query(x, features, "", 0.0))
    return np.where(weird[:, None], lies, posteriors)
