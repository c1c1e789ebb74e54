# /// zoo
# about = "Hands in the library's own functions: they refuse in their own exercises"
# [expect]
# solve_softmax_test = 0
# fit_rounded_test = 0
# find_kinks_test = 0
# neuron_at_test = 0
# fit_outputs_test = 0
# hidden_size_test = 0
# logits_through_top_k_test = 0
# output_projection_test = 0
# tell_test = 0
# total = 0
# shows = ["is the library's, and this exercise asks for your own"]
# ///

# %% solve_softmax
def solve_softmax(query, d, k, n=None):
    found = exact.solve_softmax(query, d, k, queries=n)
    return found.weights, found.bias

# %% fit_rounded
from trickster.exact import fit_rounded as fitting


def fit_rounded(x, p):
    found = fitting(x, p)
    return found.weights, found.bias

# %% find_kinks
from trickster.exact import find_kinks

# %% neuron_at
from trickster.exact import neuron_at

# %% fit_outputs
def fit_outputs(query, neurons):
    found = exact.fit_outputs(query, neurons)
    return np.column_stack([found.weights, found.bias]), found.out, found.constant

# %% hidden_size
from trickster.exact import hidden_size

# %% logits_through_top_k
logits_through_top_k = exact.logits_by_banning

# %% output_projection
from trickster.exact import output_projection

# %% tell
tell = services.close_the_hole
