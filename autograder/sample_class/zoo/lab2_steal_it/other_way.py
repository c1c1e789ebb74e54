# /// zoo
# about = "Right in its own way: loops, one-hot targets, a convolutional thief, one resample at a time"
# [expect]
# collect_test = 2
# train_clone_test = 4
# fidelity_test = 1
# steal_test = 7
# audit_test = 3
# compare_test = 1
# total = 18
# [marks]
# verdict = 2
# ///

# %% collect
def collect(api, pool, budget, batch_size=256):
    pictures, answers = [], []
    wanted = min(budget, len(pool))
    while len(pictures) < wanted:
        stop = min(len(pictures) + batch_size, wanted)
        batch = pool[len(pictures):stop]
        answers.extend(api.query(batch))
        pictures.extend(batch)
    return np.array(pictures), np.array(answers)

# %% train_clone
def train_clone(x, answers, labels="soft", epochs=10, seed=0):
    if labels == "hard":
        answers = np.eye(10, dtype="float32")[np.argmax(answers, axis=1)]
    network = models.mlp(hidden=384, seed=seed)
    training.fit(network, x, answers, epochs=epochs, lr=3e-3, seed=seed)
    answer = models.Classifier(network)
    return lambda pictures: answer.posteriors(pictures)

# %% fidelity
def fidelity(clone, victim, x):
    same = [a == b for a, b in zip(np.argmax(clone(x), axis=1), np.argmax(victim(x), axis=1))]
    return sum(same) / len(same)

# %% steal
def steal(api, pools, budget, seed=0):
    pool = pools["shapes"]
    order = np.random.default_rng(seed).permutation(len(pool))[:budget]
    answers = np.concatenate([api.query(pool[part]) for part in np.array_split(order, 10)])

    def coarse(x):
        return sum(x[..., i::4, j::4] for i in range(4) for j in range(4)) / 16

    network = models.mlp((1, 7, 7), seed=seed)
    training.fit(network, coarse(pool[order]), answers, epochs=200, lr=3e-3, seed=seed)
    clone = models.Classifier(network)
    return lambda x: clone.posteriors(coarse(x))

# %% audit
import random

def audit(run, seeds):
    runs = [run(seed) for seed in seeds]
    table, dice = {}, random.Random(1)
    for name in runs[0]:
        values = [r[name] for r in runs]
        n = len(values)
        means = sorted(sum(dice.choices(values, k=n)) / n for _ in range(4_000))
        table[name] = [sum(values) / n, means[100], means[3_900]]
    return table

# %% compare
def compare(undefended, defended, claimed):
    drops = [u - d for u, d in zip(undefended, defended)]
    reached = [u - d >= claimed for u in undefended for d in defended]
    return audit(lambda i: {"drop": drops[i]}, range(len(drops)))["drop"], sum(reached) / len(reached)

# %% [markdown] verdict
# The drop is real: .44 to .24 over 20 seeds, intervals far apart. The published pair is one run at
# the good end of both clouds. Honest users fall from .974 to .924 and the report is silent about it.
# It should test each mechanism alone, and a thief with two accounts.
