# /// zoo
# about = "No column for the bias, kinks wherever two lines cross, neurons as they are, each row's constant kept"
# [expect]
# solve_softmax_test = 0
# find_kinks_test = 0
# fit_outputs_test = 0
# hidden_size_test = 2.25
# output_projection_test = 0
# total = 2.25
# shows = ["column of ones", "may face the wrong way", "mean out before anything else", "pushes the weakest direction"]
# ///

# %% solve_softmax
def solve_softmax(query, d, k, n=None):
    x = np.random.default_rng(1).random((n or d + 1, d))
    return np.linalg.lstsq(x, np.log(query(x)), rcond=None)[0].T, np.zeros(k)

# %% find_kinks
def find_kinks(f, low, high):
    step = 1e-3 * (high - low)
    a, b, c, d = f(np.array([low, low + step, high - step, high]))
    left, right = (b - a) / step, (d - c) / step
    return [low + (d - a - right * (high - low)) / (left - right)]

# %% fit_outputs
def fit_outputs(query, neurons):
    x = 3 * np.random.default_rng(0).normal(size=(200, neurons.shape[1] - 1))
    hidden = np.maximum(x @ neurons[:, :-1].T + neurons[:, -1], 0)
    both = np.linalg.lstsq(np.column_stack([hidden, np.ones(200)]), query(x), rcond=None)[0]
    return neurons, both[:-1], both[-1]

# %% hidden_size
def hidden_size(logits):
    values = np.linalg.svd(np.asarray(logits, float), compute_uv=False)
    falls = values[1:-1] / values[2:]
    return int(falls.argmax()) + 2 if falls.max() > 10 else None

# %% output_projection
def output_projection(logits, size):
    return np.linalg.svd(logits, full_matrices=False)[2][:size].T
