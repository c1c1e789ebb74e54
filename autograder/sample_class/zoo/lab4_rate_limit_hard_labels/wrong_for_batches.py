# /// zoo
# about = "The library's labels, rounding without normalising, ties kept, a batch that shows nothing"
# [expect]
# ladder_test = 0
# counterexample_test = 0
# total = 0
# ///

# %% hard_labels
def hard_labels(p):
    answers = np.zeros_like(p)
    answers[:, np.argmax(p, axis=1)] = 1
    return answers

# %% top_k
def top_k(p, k):
    return np.where(p >= np.sort(p, axis=1)[:, [-k]], p, 0)

# %% round_posteriors
def round_posteriors(p, decimals):
    return np.round(p, decimals)

# %% counterexample
def counterexample():
    return np.array([[0.7, 0.1, 0.1, 0.1, 0, 0, 0, 0, 0, 0]])
