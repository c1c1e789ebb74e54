# /// zoo
# about = "Got as far as exercise 2, and undoes lies in two rounds only"
# sample = true
# [expect]
# unlie_test = [1, 3]
# small_loss_test = 2
# total = [3, 5]
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

# %% [markdown] worst_case
# The oracle knows which answers are lies, so nobody can choose better.
