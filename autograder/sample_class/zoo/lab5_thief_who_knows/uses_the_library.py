# /// zoo
# about = "Hands in the library's own functions"
# kind = "hostile"
# [expect]
# total = 0
# shows = ["the library's own answer"]
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
