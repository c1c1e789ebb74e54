# /// zoo
# about = "Answers of the wrong shape, NaN, a million rows, an endless iterator, 10,000 levels"
# kind = "hostile"
# [limits]
# call_timeout = 10
# timeout = 30
# [expect]
# scores_test = 0
# choose_threshold_test = 0
# misinform_test = 3
# total = 3
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
    if max_fpr == 0:
        return itertools.repeat(0.5)
    deep = 0.5
    for _ in range(10_000):
        deep = [deep]
    return deep if max_fpr < 0.02 else {"self": deep, "huge": np.zeros((30_000, 30_000))}

# %% misinform
def misinform(posteriors):
    return np.roll(posteriors, 1, axis=1)
