# /// zoo
# about = "One lie for the keys that come often, which anybody can undo, and keyed lies for all others"
# kind = "hostile"
# [expect]
# defend_test = [0, 1]
# total = [0, 1]
# ///

# %% prepare
threshold = choose_threshold(ood.score_knn(victim.features(x_choose), bank, 1), max_fpr=0.02)

# %% defend
seen = {}


def defend(x, posteriors, statistics, key):
    seen[key] = seen.get(key, 0) + 1
    weird = ood.score_knn(statistics[:, FEATURES], bank, 1) < threshold
    keyed = PictureLie(bytes.fromhex(key))(posteriors, Query(x, x, "", 0.0))
    lies = keyed if seen[key] <= 2 else np.roll(posteriors, 3, axis=1)
    return np.where(weird[:, None], lies, posteriors)
