# /// zoo
# about = "Steals with one changed argument, 40 epochs in place of ten"
# [expect]
# collect_test = 2
# train_clone_test = 4
# steal_test = [2.9, 6.3]
# total = [8.9, 12.3]
# ///

# %% collect
def collect(api, pool, budget, batch_size=256):
    x = pool[:budget]
    return x, np.concatenate(
        [api.query(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
    )


# %% train_clone
def train_clone(x, answers, labels="soft", epochs=10, seed=0):
    network = models.mlp(seed=seed)
    targets = answers if labels == "soft" else answers.argmax(axis=1)
    training.fit(network, x, targets, epochs=epochs, lr=3e-3, seed=seed)
    return models.Classifier(network).posteriors


# %% steal
def steal(api, pools, budget, seed=0):
    x, answers = collect(api, pools["shapes"], budget)
    return train_clone(x, answers, epochs=40, seed=seed)
