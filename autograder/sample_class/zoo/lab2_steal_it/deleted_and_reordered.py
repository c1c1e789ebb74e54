# /// zoo
# about = "Deleted tests and the imports, and the cells in reverse order"
# kind = "clumsy"
# mutations = ["delete audit_test", "delete imports", "delete steal", "reverse"]
# [expect]
# repairs = ["deleted", "reordered"]
# fidelity_test = 2
# audit_test = 2
# budget_curve_test = 2
# total = 6
# stopped = ""
# ///

# %% fidelity
def fidelity(clone, victim, x):
    return float(np.mean(clone(x).argmax(axis=1) == victim(x).argmax(axis=1)))

# %% audit
def audit(run, seeds):
    rows = [run(seed) for seed in seeds]
    found = {key: bootstrap_interval(row[key] for row in rows) for key in rows[0]}
    return {key: (one.mean, one.low, one.high) for key, one in found.items()}

# %% budget_curve
def budget_curve(steal_once, budgets, seeds):
    return {budget: [steal_once(budget, seed) for seed in seeds] for budget in budgets}
