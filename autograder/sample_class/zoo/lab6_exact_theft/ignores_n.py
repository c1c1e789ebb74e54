# /// zoo
# about = "Asks d + 1 rows whatever n says, takes each token's mean out, reads against the first key"
# [expect]
# solve_softmax_test = 3
# hidden_size_test = 0
# logits_through_top_k_test = [0, 3]
# total = [3, 6]
# shows = ["Ask about n rows, and about d + 1 only if n is None", "Take each row's mean: axis=1", "sorted by number, not by likelihood"]
# ///

# %% solve_softmax
def solve_softmax(query, d, k, n=None):
    x = np.random.default_rng(0).random((d + 1, d))
    both = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), np.log(query(x)), rcond=None)[0]
    return both[:d].T, both[d]

# %% hidden_size
def hidden_size(logits):
    logits = np.asarray(logits, dtype=float)
    values = np.linalg.svd(logits - logits.mean(axis=0), compute_uv=False)
    falls = values[1:-1] / values[2:]
    return int(falls.argmax()) + 2 if falls.max() >= 10 else None

# %% logits_through_top_k
def logits_through_top_k(api, prompt):
    _, told = api.query(prompt)
    top, k = list(told)[0], len(told) - 1
    others = [t for t in range(api.vocabulary_size) if t != top]
    logits = np.zeros(api.vocabulary_size)
    for i in range(0, len(others), k):
        _, told = api.query(prompt, {t: 100 for t in others[i : i + k]})
        for t in others[i : i + k]:
            logits[t] = told[t] - 100 - told[top]
    return logits
