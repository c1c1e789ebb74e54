# /// zoo
# about = "Hard labels for everybody, and nothing else"
# [expect]
# trickster_test = [1.5, 2.5]
# total = [1.5, 2.5]
# ///

# %% trickster
def trickster(x, posteriors, features):
    return np.eye(10, dtype="float32")[posteriors.argmax(axis=1)]
