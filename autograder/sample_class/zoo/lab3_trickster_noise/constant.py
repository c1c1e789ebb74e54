# /// zoo
# about = "The same uniform answer to everybody"
# [expect]
# trickster_test = 0
# total = 0
# ///

# %% trickster
def trickster(x, posteriors, features):
    return np.full_like(posteriors, 0.1)
