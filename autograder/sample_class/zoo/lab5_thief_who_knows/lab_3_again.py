# /// zoo
# about = "Hands in lab 3's defence: reversed answers behind the nearest neighbour"
# [expect]
# defend_test = [0.75, 1]
# total = [0.75, 1]
# shows = ["runs your code"]
# ///

# %% prepare
threshold = choose_threshold(ood.score_knn(victim.features(x_choose), bank, 1), max_fpr=0.02)

# %% defend
def defend(x, posteriors, statistics, key):
    weird = ood.score_knn(statistics[:, FEATURES], bank, 1) < threshold
    return np.where(weird[:, None], misinform(posteriors), posteriors)
