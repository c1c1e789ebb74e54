# /// zoo
# base = "solution"
# about = "Draws its own key when the notebook runs, and leaves the service's alone"
# [expect]
# keyed_lie_test = [1, 2]
# defend_test = [0.75, 1.25]
# shows = ["does not depend on the key"]
# ///

# %% keyed_lie
ORDER = np.random.default_rng(2024).permutation(10)


def keyed_lie(posteriors, features, key):
    lies = np.empty_like(posteriors)
    lies[:, ORDER] = posteriors[:, np.roll(ORDER, 1)]
    return lies
