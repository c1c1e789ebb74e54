# /// zoo
# about = "Steals in a hurry: 900 of 3,000 queries and hard labels; an interval of single runs"
# sample = true
# [expect]
# collect_test = 2
# train_clone_test = 4
# fidelity_test = 1
# steal_test = 1
# audit_test = 1
# total = 9
# [marks]
# verdict = 1
# ///

# %% collect
def collect(api, pool, budget, batch_size=256):
    x = pool[:budget]
    return x, np.concatenate([api.query(x[i:i + batch_size]) for i in range(0, len(x), batch_size)])

# %% train_clone
def train_clone(x, answers, labels="soft", epochs=10, seed=0):
    network = models.mlp(seed=seed)
    targets = answers if labels == "soft" else answers.argmax(axis=1)
    training.fit(network, x, targets, epochs=epochs, lr=3e-3, seed=seed)
    return models.Classifier(network).posteriors

# %% fidelity
def fidelity(clone, victim, x):
    return (clone(x).argmax(1) == victim(x).argmax(1)).mean()

# %% steal
def steal(api, pools, budget, seed=0):
    x, answers = collect(api, pools["shapes"], min(budget, 900))
    return train_clone(x, answers, labels="hard", epochs=8, seed=seed)

# %% audit
def audit(run, seeds):
    runs = [run(seed) for seed in seeds]
    table = {}
    for name in runs[0]:
        values = [r[name] for r in runs]
        table[name] = (np.mean(values), min(values), max(values))
    return table

# %% [markdown] verdict
# It works somewhat, from .44 to .24. One run is not enough.
