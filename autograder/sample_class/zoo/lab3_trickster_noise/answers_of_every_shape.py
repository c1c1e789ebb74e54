# /// zoo
# about = "Answers of the wrong shape, NaN, a million rows, an endless iterator, 10,000 levels"
# kind = "hostile"
# [limits]
# call_timeout = 10
# timeout = 30
# [expect]
# scores_test = 0
# choose_threshold_test = 0
# choose_point_test = 1
# total = 1
# stopped = ""
# ///

# %% score_msp
import itertools


def score_msp(posteriors):
    return posteriors

# %% score_energy
def score_energy(logits):
    return np.full(len(logits), np.nan)

# %% score_knn
def score_knn(features, bank, k):
    return [0.5] * 1_000_000

# %% choose_threshold
def choose_threshold(honest_scores, max_fpr):
    if max_fpr == 0.05:
        return itertools.repeat(0.5)
    deep = 0.5
    for _ in range(10_000):
        deep = [deep]
    return deep if max_fpr == 0.01 else {"self": deep, "huge": np.zeros((30_000, 30_000))}

# %% choose_point
def choose_point(points, max_loss):
    borne = [rate for rate in points if points[rate][1] >= points[0.0][1] - max_loss]
    return min(borne, key=lambda rate: points[rate][0])
