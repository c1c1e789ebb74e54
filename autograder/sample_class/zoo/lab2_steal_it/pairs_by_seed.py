# /// zoo
# about = "Compares seed by seed, but counts only the pairs with the same seed"
# [expect]
# audit_test = 3
# compare_test = 0.5
# total = 3.5
# ///

# %% audit
def audit(run, seeds):
    rows = [run(seed) for seed in seeds]
    return {name: interval([row[name] for row in rows]) for name in rows[0]}


def interval(values):
    rng, values = np.random.default_rng(0), np.array(values)
    means = rng.choice(values, (9_999, len(values))).mean(axis=1)
    return values.mean(), *np.percentile(means, [2.5, 97.5])


# %% compare
def compare(undefended, defended, claimed):
    drops = np.array(undefended) - np.array(defended)
    return interval(drops), np.mean(drops >= claimed)
