# /// zoo
# about = "The same answers as warns_and_prints, without a word"
# [expect]
# scores_test = 4
# choose_threshold_test = 3
# choose_point_test = 1
# total = 8
# repairs = []
# stopped = ""
# ///

# %% score_msp
def score_msp(posteriors):
    return posteriors.max(axis=1)

# %% score_energy
def score_energy(logits):
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))

# %% score_knn
def score_knn(features, bank, k):
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    return np.sort(features @ bank.T, axis=1)[:, -k]

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    ordered = np.sort(honest_scores)
    return float(ordered[int(np.floor(max_fpr * len(ordered) + 1e-9))])

# %% choose_point
def choose_point(points, max_loss):
    borne = [rate for rate in points if points[rate][1] >= points[0.0][1] - max_loss]
    return min(borne, key=lambda rate: points[rate][0])
