# /// zoo
# about = "Hard labels for everybody, and nothing else"
# [expect]
# trickster_test = [2, 4]
# total = [2, 4]
# ///

# %% trickster
def trickster(x, posteriors, features):
    return np.eye(10, dtype="float32")[posteriors.argmax(axis=1)]
