# /// zoo
# about = "Reads the names of the classes off 300 answers, and hands in the shipped victim"
# [expect]
# train_clone_test = 0
# steal_test = 1
# total = 1
# ///

# %% train_clone
def renamed(x, answers):
    """The victim of this notebook, with the class that each of its own was mostly answered with."""
    table = np.zeros((10, 10))
    np.add.at(table, (scenario.victim.posteriors(x).argmax(axis=1), answers.argmax(axis=1)), 1)
    names = np.eye(10, dtype="float32")[table.argmax(axis=1)]
    return lambda pictures: names[scenario.victim.posteriors(pictures).argmax(axis=1)]


def train_clone(x, answers, labels="soft", epochs=10, seed=0):
    return renamed(x[:300], answers[:300])

# %% steal
def steal(api, pools, budget, seed=0):
    x = pools["shapes"][:300]
    return renamed(x, api.query(x))
