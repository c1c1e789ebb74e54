# /// zoo
# about = "The same uniform answer to everybody"
# [expect]
# trickster_test = 1
# total = 1
# ///

# %% trickster
def trickster(x, posteriors, features):
    return np.full_like(posteriors, 0.1)
