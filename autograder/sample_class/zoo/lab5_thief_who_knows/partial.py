# /// zoo
# about = "Undoes lies in two rounds only, and calls only those answers lies whose class is far down in the copy's; asks at the ends of a line and goes no farther"
# sample = true
# [expect]
# unlie_test = [1, 3]
# small_loss_test = 2
# ask_twice_test = 0
# walk_to_edge_test = 0
# total = [3, 5]
# shows = ["compare all ten numbers", "at the two ends of the line"]
# [marks]
# worst_case = 1
# ///

# %% unlie
def unlie(told, undone, seed):
    versions, rows = np.stack([told, undone]), np.arange(len(told))
    logs = log_answers(versions)
    chosen = np.random.default_rng(seed).integers(2, size=len(told))
    for _ in range(2):
        top = versions[chosen, rows].argmax(axis=1)
        likely = []
        for c in range(10):
            cloud = logs[chosen, rows][top == c]
            likely.append(log_density(logs, cloud, len(cloud) / len(told)))
        chosen = np.max(likely, axis=0).argmax(axis=0)
    return versions[chosen, rows]

# %% small_loss
def small_loss(answers, likely, keep):
    loss = (answers * -np.log(likely + 1e-12)).sum(axis=1)
    return np.argsort(loss)[: int(keep * len(loss) + 0.5)]

# %% ask_twice
def ask_twice(ask, x):
    answers = ask(x)
    copies = ask(np.where(x > 0.5, x - 1 / 255, x + 1 / 255))
    first_three = copies.argsort(axis=1)[:, -3:]
    return answers, (first_three != answers.argmax(axis=1)[:, None]).all(axis=1)

# %% walk_to_edge
def walk_to_edge(ask, start, end):
    truth, lie = ask(np.stack([start, end]))
    permutation = np.empty(10, dtype=int)
    permutation[truth.argsort()] = lie.argsort()
    return permutation

# %% [markdown] worst_case
# The oracle knows which answers are lies, so nobody can choose better.
