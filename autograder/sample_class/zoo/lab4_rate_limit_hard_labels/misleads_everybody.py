# /// zoo
# about = "A stack that misleads every input, weird or not"
# [expect]
# layered_test = 0
# total = 0
# ///

# %% make_layered
def make_layered(bank, honest):
    def layered(x, posteriors, features, key, now):
        return defenses.misinform(posteriors)

    return layered
