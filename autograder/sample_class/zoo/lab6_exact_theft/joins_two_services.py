# /// zoo
# about = "One of the library's services for queries with a bias, another for those without"
# kind = "hostile"
# [expect]
# tell_test = 0
# fit_rounded_test = 0
# ///

# %% fit_rounded
from trickster import solvable


def fit_rounded(x, p):
    """The library's softmax regression, given each row as often as its probabilities say."""
    times = np.round(20 * p).astype(int)
    rows, classes = np.indices(p.shape)
    rows, classes = (np.repeat(one.ravel(), times.ravel()) for one in (rows, classes))
    fitted = solvable.fit_softmax(x[rows], classes, strength=1e4)
    return fitted.weights, fitted.bias

# %% tell
def tell(logits, bias):
    return services.token_only(logits, bias)[0], services.no_bias(logits, bias)[1]
