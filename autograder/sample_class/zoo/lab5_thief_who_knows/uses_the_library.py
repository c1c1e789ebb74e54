# /// zoo
# about = "Hands in the library's own functions"
# kind = "hostile"
# [expect]
# total = 0
# shows = ["asks for your own"]
# ///

# %% unlie
def unlie(told, undone, seed):
    return adaptive_attacks.unlie(told, [lambda _: undone], seed=seed).answers

# %% make_outliers
def make_outliers(honest, seed):
    return pools.outliers(honest, len(honest), seed=seed)

# %% keyed_lie
def keyed_lie(posteriors, features, key):
    lie = CellLie.fit(bytes.fromhex(key), weird_features, planes=3)
    return lie(posteriors, Query(features, features, "", 0.0))

# %% ask_twice
def ask_twice(ask, x):
    answers = ask(x)
    return answers, probing.reordered(answers, ask(probing.one_step(x, np.random.default_rng(0))))

# %% walk_to_edge
def walk_to_edge(ask, start, end):
    return probing.walk(ask, start, end[None], points=2, halvings=18).permutations[0, -1]
