# /// zoo
# about = "Reads answers by their order, takes the largest fall for the cliff, tells raised tokens' own values"
# [expect]
# hidden_size_test = 1.5
# logits_through_top_k_test = 0
# tell_test = 1.5
# total = 3
# shows = ["right numbers beside the wrong tokens", "that drop is no cliff, however large it is", "as if no bias were in them"]
# ///

# %% hidden_size
def hidden_size(logits):
    values = np.linalg.svd(np.asarray(logits, float) - logits.mean(axis=1, keepdims=True), compute_uv=False)
    return int((values[:-1] / values[1:]).argmax()) + 1

# %% logits_through_top_k
def logits_through_top_k(api, prompt):
    token, told = api.query(prompt)
    others = [t for t in range(api.vocabulary_size) if t != token]
    logits, k = np.zeros(api.vocabulary_size), len(told) - 1
    for i in range(0, len(others), k):
        _, told = api.query(prompt, {t: 100 for t in others[i : i + k]})
        ranked = sorted((value for t, value in told.items() if t != token), reverse=True)
        for t, value in zip(others[i : i + k], ranked):
            logits[t] = value - 100 - told[token]
    return logits

# %% tell
def tell(logits, bias):
    changed = logits.copy()
    for t, value in bias.items():
        changed[t] += value
    best = np.argsort(-changed)[:5]
    plain = log_softmax(logits)
    return int(best[0]), {int(t): float(plain[t]) for t in best}
