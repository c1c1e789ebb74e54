# /// zoo
# about = "A missing colon in one cell; two others are right"
# [expect]
# collect_test = 2
# train_clone_test = 0
# fidelity_test = 1
# total = 3
# ///

# %% collect
def collect(api, pool, budget, batch_size=256):
    x = pool[:budget]
    return x, np.concatenate([api.query(x[i:i + batch_size]) for i in range(0, len(x), batch_size)])

# %% train_clone
def train_clone(x, answers, labels="soft", epochs=10, seed=0)
    network = models.mlp(seed=seed)
    training.fit(network, x, answers, epochs=epochs, seed=seed)
    return models.Classifier(network).posteriors

# %% fidelity
def fidelity(clone, victim, x):
    return (clone(x).argmax(1) == victim(x).argmax(1)).mean()
