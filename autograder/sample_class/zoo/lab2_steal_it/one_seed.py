# /// zoo
# about = "Runs one seed again and again, in the curve and in the audit"
# [expect]
# budget_curve_test = 0
# audit_test = 0
# total = 0
# ///

# %% budget_curve
def budget_curve(steal_once, budgets, seeds):
    return {budget: [steal_once(budget, 0)] for budget in budgets}

# %% audit
def audit(run, seeds):
    once = run(seeds[0])
    return {name: (value, value - 0.01, value + 0.01) for name, value in once.items()}
