# /// zoo
# about = "Deleted tests and the imports, and the cells in reverse order"
# kind = "clumsy"
# mutations = ["delete audit_test", "delete imports", "delete steal", "reverse"]
# [expect]
# repairs = ["deleted", "reordered"]
# fidelity_test = 1
# audit_test = 3
# total = 4
# stopped = ""
# ///

# %% fidelity
def fidelity(clone, victim, x):
    return float(np.mean(clone(x).argmax(axis=1) == victim(x).argmax(axis=1)))

# %% audit
def audit(run, seeds):
    rows = [run(seed) for seed in seeds]
    rng, found = np.random.default_rng(0), {}
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        means = rng.choice(values, (9_999, len(values))).mean(axis=1)
        found[key] = values.mean(), *np.percentile(means, [2.5, 97.5])
    return found

