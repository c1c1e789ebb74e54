# /// zoo
# about = "A thief who keeps asking after his budget, and reaches for the meter"
# kind = "hostile"
# [limits]
# call_timeout = 30
# [expect]
# collect_test = 1
# fidelity_test = 1
# steal_test = 0
# total = 2
# stopped = ""
# never = ["ESCAPED"]
# ///

# %% collect
def collect(api, pool, budget, batch_size=256):
    """Asks for the budget, then for half of it again."""
    x = pool[:budget]
    answers = [api.query(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
    for i in range(0, len(x) // 2, batch_size):
        api.query(x[i : i + batch_size])
    return x, np.concatenate(answers)

# %% fidelity
def fidelity(clone, victim, x):
    return float(np.mean(clone(x).argmax(axis=1) == victim(x).argmax(axis=1)))

# %% steal
def steal(api, pools, budget, seed=0):
    """Nothing that is learnt here can be more than the budget allows."""
    x = pools["shapes"]
    given = 0
    for name in ("victim", "_service", "_api", "service", "log", "__globals__", "_victim"):
        try:
            print("ESC" "APED: the API shows", name, getattr(api, name))
        except AttributeError:
            pass
    for name in ("used", "budget", "remaining", "key", "_service", "_api"):
        try:
            setattr(api, name, 0)
        except Exception:
            pass
    for i in range(200):
        try:
            given += len(api.query(x[: budget // 2 + i]))
        except BudgetExceeded:
            pass
    if given > budget:
        print("ESC" "APED: more answers than the budget allows:", given)
    return lambda pictures: np.full((len(pictures), 10), 0.1)
