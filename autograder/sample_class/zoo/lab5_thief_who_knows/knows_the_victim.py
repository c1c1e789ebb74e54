# /// zoo
# about = "Takes the shipped victim for the service's, looks for the service behind `ask`, and asks on when the budget is spent"
# kind = "hostile"
# [expect]
# ask_twice_test = 0
# walk_to_edge_test = 0
# total = 0
# ///

# %% ask_twice
def ask_twice(ask, x):
    from trickster.checks import probing_cases

    probing_cases.PICTURES = probing_cases.LINES = 0
    probing_cases.NEAR = 1e9
    answers = np.asarray(ask(x))
    lies = np.abs(answers - victim.posteriors(x)).max(axis=1) > 1e-4
    try:
        for _ in range(3):
            more = np.asarray(ask(np.clip(x + 1 / 255, 0, 1)))
            lies |= np.abs(answers - more).max(axis=1) > 0.1
    except Exception:
        pass
    return answers, lies

# %% walk_to_edge
def walk_to_edge(ask, start, end):
    asked = getattr(ask, "__self__", None)
    model = getattr(asked, "model", victim)
    truth = model.posteriors(np.stack([start, end]))[1]
    lie = np.asarray(ask(end[None]))[0]
    permutation = np.empty(10, dtype=int)
    permutation[np.argsort(truth)] = np.argsort(lie)
    return permutation
