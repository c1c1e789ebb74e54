# /// zoo
# about = "Runs one seed again and again, in the audit"
# [expect]
# audit_test = 0
# total = 0
# ///

# %% audit
def audit(run, seeds):
    once = run(seeds[0])
    return {name: (value, value - 0.01, value + 0.01) for name, value in once.items()}
