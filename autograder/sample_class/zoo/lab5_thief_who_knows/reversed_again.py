# /// zoo
# base = "solution"
# about = "The new detector with the old lie: whoever reads the code undoes it"
# [expect]
# keyed_lie_test = [0, 1]
# defend_test = [0.75, 1.25]
# shows = ["whoever reads your code"]
# ///

# %% keyed_lie
def keyed_lie(posteriors, features, key):
    return misinform(posteriors)
