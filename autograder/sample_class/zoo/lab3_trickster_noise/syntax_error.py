# /// zoo
# about = "A bracket too many in one cell; another one is right"
# [expect]
# scores_test = 0
# choose_threshold_test = 3
# total = 3
# ///

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    return np.sort(honest_scores)[int(max_fpr * len(honest_scores) + 1e-9)]

# %% score_msp
def score_msp(posteriors):
    return posteriors.max(axis=1))
