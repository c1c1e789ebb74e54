# /// zoo
# about = "A stack that gives everybody the same uniform answer"
# [expect]
# layered_test = 0
# total = 0
# ///

# %% make_layered
def make_layered(bank, honest):
    def layered(x, posteriors, features, key, now):
        return np.full(posteriors.shape, 1 / posteriors.shape[1])

    return layered
