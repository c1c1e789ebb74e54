# /// zoo
# about = "Answers in copies of cells, as JupyterLab makes them: every name is there twice"
# kind = "clumsy"
# sample = true
# mutations = ["duplicate fidelity", "duplicate audit", "duplicate fidelity_test", "duplicate imports", "jupyterlab"]
# [expect]
# repairs = ["duplicated"]
# fidelity_test = 2
# audit_test = 2
# total = 4
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
