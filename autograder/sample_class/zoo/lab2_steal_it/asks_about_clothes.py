# /// zoo
# about = "Sends the service the clothes of its own data set, a little lighter, in place of the pools"
# kind = "hostile"
# [expect]
# collect_test = 2
# steal_test = 1
# total = 3
# ///

# %% collect
def collect(api, pool, budget, batch_size=256):
    x = pool[:budget]
    return x, np.concatenate([api.query(x[i:i + batch_size]) for i in range(0, len(x), batch_size)])

# %% steal
def steal(api, pools, budget, seed=0):
    x, answers = collect(api, np.clip(dataset.x_train * 1.05, 0, 1).astype("float32"), budget)
    network = models.mlp(seed=seed)
    training.fit(network, x, answers, epochs=5, lr=3e-3, seed=seed)
    return models.Classifier(network).posteriors
