# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Lab 6: Exact theft
#
# [Open this lab in Colab]({{colab_url}})
#
# **You will**
# - recover every weight of a softmax regression from pictures of noise, and see what lab 3's Trickster could do
#   about it;
# - measure what rounding takes from a thief who solves equations, and what a better thief takes back;
# - find all neurons of a ReLU network from the points where its answers bend;
# - read the hidden size and the last layer of a language model from a service that returns five log-probabilities
#   and accepts a bias, narrow this hole, and measure what is left of it.
#
# **Time** about 130 minutes. **Points** 25. **You need** linear algebra (least squares, singular
# values) and the idea of a query budget from lab 2; no code of other labs, no GPU.
#
# **The story.** So far, thieves *learnt* an imitation of the model, and the pictures they owned
# decided how good it was. *Ostrich & Daughters* conclude: "A clone that agrees with our model on seven
# clothes in ten is not our model. And our language model knows far too much to be learnt from a few
# queries." You are asked to check.
#
# **What is allowed.** Attack only models that you own or have permission to attack. Everything you
# attack here runs inside this notebook.
#
# **Predict, run, explain.** Before most experiments you are asked to predict the result. Write your guess into
# the small cell below the question, run the experiment, and explain the difference to yourself before you open
# the fold with the result. Nobody grades a guess, but run that cell even if you have none: later cells print it.
# The results in the folds come from one machine. Yours may print other last digits, and errors of rounding several
# times as large or as small.

# %% [markdown]
# **If you are stuck**, use the library's function in place of yours and go on; you get no points for that
# exercise. Run these lines in a cell *after* your own, so that they replace what you wrote. While the check of
# an exercise runs, the library's version refuses to work; everywhere else you can use it.
#
# <details><summary>The library's functions</summary>
#
# ```python
# # Exercise 1
# def solve_softmax(query, d, k, n=None):
#     found = exact.solve_softmax(query, d, k, queries=n)
#     return found.weights, found.bias
#
# # Exercise 2
# def fit_rounded(x, p):
#     found = exact.fit_rounded(x, p)
#     return found.weights, found.bias
#
# # Exercise 3a
# find_kinks = exact.find_kinks
#
# # Exercise 3b
# neuron_at = exact.neuron_at
#
# # Exercise 3c
# def fit_outputs(query, neurons):
#     found = exact.fit_outputs(query, neurons)
#     return np.column_stack([found.weights, found.bias]), found.out, found.constant
#
# # Exercise 4
# hidden_size = exact.hidden_size
#
# # Exercise 5, the logits
# logits_through_top_k = exact.logits_through_top_k
#
# # Exercise 5, the last layer
# output_projection = exact.output_projection
#
# # Exercise 6
# tell = services.close_the_hole
#
# # Exercise 7: nothing later uses it
# ```
# </details>

# %% provided="setup"
{{setup}}

# %% provided="imports"
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from trickster import data, evaluation, exact, language_model, plots, progress, services, solvable
from trickster.api import Query
from trickster.checks import lab6
from trickster.defenses import PictureLie, misinform
from trickster.evaluation import Interval, bootstrap_interval
from trickster.ood import choose_threshold, score_knn
from trickster.services import TokenAPI, TopTokens, VectorAPI, log_softmax

one_thread = threadpool_limits(1)  # for matrices this small, threads cost more than they save

# %% [markdown]
# ## Exercise 1: equations
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 22 minutes | 4 |
#
# **Idea.** A softmax regression answers with `p = softmax(W x + b)`. The logarithm of an answer is
# `W x + b`, less one number that is the same for all classes: the logarithm of the sum that softmax
# divides by. Subtract each row's mean over the classes, and that number is gone. (Is this step needed? A later fold
# comes back to it.) What remains is a set of *linear equations* in `W` and `b`, one for each class. With `d` inputs,
# each class has `d` weights and one bias. These answers are exact, however small: take their logarithms as they are;
# no lower limit is needed (lab 5 had one).
#
# Posteriors do not reveal everything: add the same vector to the weights of *every* class (or the same
# number to every bias), and all logits of a row change by the same number, which softmax ignores. What
# can be recovered is each class's weights less their mean over the classes, and that decides every
# answer.

# %% provided="victim"
fashion = data.load("fashion")
x_train, x_test = (x.reshape(len(x), -1).astype(float) for x in (fashion.x_train, fashion.x_test))
victim = solvable.fit_softmax(x_train[:4_000], fashion.y_train[:4_000], strength=0.05)
victim_says = victim.logits(x_test).argmax(axis=1)
print(f"victim's accuracy {evaluation.accuracy(victim_says, fashion.y_test):.3f}")
print(f"{victim.weights.size + victim.bias.size:,} numbers for {x_test.shape[1]} inputs")
print(f"the largest of them, less the classes' mean: {np.abs(victim.centred()).max():.1f}")

# %% [markdown]
# > **Predict.** The thief sends pictures of pure noise, the pool that taught almost nothing in lab 2. How far will
# > the worst of the 7,850 recovered numbers be from the victim's after 700 queries? After 784? After 785?

# %%
my_errors = {700: "no guess yet", 784: "no guess yet", 785: "no guess yet"}


# %% solution="solve_softmax"
def solve_softmax(query, d, k, n=None):
    """Recover a softmax regression from its answers to random rows.

    query : from rows (n, d) with values in [0, 1] to posteriors (n, k), in float64.
    d, k : how many inputs and classes there are.
    n : how many rows to ask about, in one query; d + 1 if None. (Draw them with
        np.random.default_rng(0).random((n, d)), and your numbers will match the folds.)
    Returns weights (k, d) and bias (k,), each up to what all classes have in common.
    """
    ### BEGIN SOLUTION
    x = np.random.default_rng(0).random((d + 1 if n is None else n, d))
    logits = np.log(query(x))
    logits -= logits.mean(axis=1, keepdims=True)
    rows = np.column_stack([x, np.ones(len(x))])
    both, *_ = np.linalg.lstsq(rows, logits, rcond=None)
    return both[:d].T, both[d]
    ### END SOLUTION


# %% test="solve_softmax_test" points=4
lab6.solve_softmax(solve_softmax)

# %% [markdown]
# <details><summary>Hint 1: the number that softmax ignores</summary>
#
# <code>log p = W x + b - c</code>, with a <code>c</code> of its own for each row. Subtract the row's
# mean over the classes: <code>logs - logs.mean(axis=1, keepdims=True)</code>. The unknown
# <code>c</code> is gone, and what is left is still linear in <code>x</code>.
# </details>
#
# <details><summary>Hint 2: the bias</summary>
#
# A bias is the weight of an input that is always 1: put a column of ones beside <code>x</code>.
# </details>
#
# <details><summary>Hint 3: all classes at once</summary>
#
# <code>np.linalg.lstsq(rows, logits, rcond=None)[0]</code> solves for every column of
# <code>logits (n, k)</code> and returns an array <code>(d + 1, k)</code>.
# </details>
#
# Now against the service, which answers each customer 800 times:


# %% provided="noise_thief"
def agreement(weights, bias, x, says):
    """Share of rows on which a recovered model chooses the victim's class."""
    return float(np.mean((x @ weights.T + bias).argmax(axis=1) == says))


def largest_error(weights, bias):
    """How far the worst recovered number is from the victim's."""
    return np.abs(solvable.SoftmaxRegression(weights, bias).centred() - victim.centred()).max()


service = VectorAPI(victim.posteriors, d=784, low=0, high=1, budget=800)
errors = {}
for n in (100, 200, 400, 600, 700, 750, 784, 785, 800):
    thief = service.client(f"thief with {n} queries")
    weights, bias = solve_softmax(thief.query, 784, 10, n)
    errors[n] = largest_error(weights, bias)
    agrees = agreement(weights, bias, x_test, victim_says)
    guess = f" (your prediction: {my_errors[n]})" if n in my_errors else ""
    print(f"{n} queries: agreement {agrees:.4f}, largest error of a weight {errors[n]:.1e}{guess}")
clothes = x_test[:785]  # instead of noise
from_clothes = exact.least_squares(clothes, service.client("785 clothes").query(clothes))
print(
    f"785 clothes: largest error {largest_error(from_clothes.weights, from_clothes.bias):.1e}",
    end=", ",
)
print(f"pixels that are 0 in all of them: {(clothes == 0).all(axis=0).sum()}")
plots.curves(
    {"your thief": {n: Interval(error, error, error, 1) for n, error in errors.items()}},
    title="From 784 to 785 equations",
    xlabel="queries",
    ylabel="largest error of a weight",
    log_y=True,
    numbered=(784, 785),
)

# %% [markdown]
# **Explain it before you open the next fold.** Why does a single query make so much difference? And why does noise,
# which taught a clone almost nothing in lab 2, serve better here than real clothes?
#
# <details><summary><b>Read the result</b></summary>
#
# The error does not shrink gradually, as it does when a model learns. It falls off a cliff. (The agreement does
# climb gradually: a thief who is content with .84 stops at 600. Up to there the largest error stays as large as the
# victim's largest number, 3.2: agreement does not need every number.) With 784 equations for 785 unknowns, there
# are still many solutions; least squares takes the smallest, which is wrong in its weights and still chooses the
# same class for more than 99 % of the clothes (in the course's own runs, with other noise, for 97.8 % to 99.8 %).
# One more equation, and only one solution is left. It is exact up to rounding, so one run is enough: other noise
# gives the same weights.
#
# Nothing is generalised; the equations only have to be independent. Those of clothes are not: two pixels are 0 in all
# 785, so no answer depends on their weights, and least squares sets these to 0. Here that happens to be almost right,
# since the victim's own are that small; had they been 3, none of these answers would have shown it. Pixels of noise
# are hardly ever 0.
#
# And the number that softmax ignores? Solving is linear: had you left it in, it would have changed the weights of
# all classes by the same vector, which no posterior shows.
#
# </details>

# %% [markdown]
# **Would lab 3's Trickster have stopped this?** Noise is about as unusual as a query can be. The service below
# looks up the most similar of 4,000 training pictures, and lies whenever the similarity is below a threshold that
# 98 % of honest pictures reach. As in lab 3, the lie is the answer in reverse. Three thieves try it:
#
# - One sends noise and believes the answers.
# - One sends noise, knows lab 3, and reverses every answer once more. A few answers were truthful, and are wrong after
#   that. So this thief sends 1,000 queries, solves, leaves out the 20 answers that fit worst, and solves again.
# - One owns a single real picture and sends mixtures: 98 % of that picture and 2 % of noise. Mixing is linear as
#   well, so truthful answers to mixtures are linear equations in the same weights. But are the answers truthful?
#
# > **Predict.** Which of the three get the weights? And which of those would get them if the lies followed from a
# > secret key, as in lab 5?

# %%
my_survivors = "no guess yet"  # for example: mixtures only, and nobody if there is a key

# %% provided="trickster"
bank, honest = x_train[:4_000], x_train[4_000:8_000]
secret_lie = PictureLie(b"known to the provider only")  # another lie for each picture


def similarity(x):
    """To the most similar training picture, as in lab 3, with pixels as features."""
    return score_knn(x - bank.mean(axis=0), bank - bank.mean(axis=0), k=1)


threshold = choose_threshold(similarity(honest), max_fpr=0.02)


def trickster(lie):
    """A service that answers unusual rows with lies."""

    def answers(x):
        p, unusual = victim.posteriors(x), similarity(x) < threshold
        p[unusual] = lie(p[unusual], x[unusual])
        return p

    return VectorAPI(answers, d=784, low=0, high=1)


def solve_after_turning_back(query, n=1_000, unfit=20):
    """Sends noise, reverses all answers, and leaves out those that fit worst."""
    x = np.random.default_rng(0).random((n, 784))
    p = misinform(query(x))
    misfit = np.abs(exact.least_squares(x, p).posteriors(x) - p).max(axis=1)
    kept = np.argsort(misfit)[:-unfit]
    found = exact.least_squares(x[kept], p[kept])
    return found.weights, found.bias


def solve_with_mixtures(query, picture=x_test[0], noise=0.02):
    """Your thief, all of whose queries are nearly the same real picture."""
    still = (1 - noise) * picture
    weights, bias = solve_softmax(lambda x: query(still + noise * x), 784, 10)
    return weights / noise, bias - weights / noise @ still


tricksters = {
    "reversed": trickster(lambda p, x: misinform(p)),
    "keyed": trickster(lambda p, x: secret_lie(p, Query(x, features=x, key="", now=0.0))),
}
solvers = {
    "noise, believed": lambda query: solve_softmax(query, 784, 10),
    "noise, turned back": solve_after_turning_back,
    "mixtures": solve_with_mixtures,
}
noise = np.random.default_rng(0).random((785, 784))
sent = {"noise": noise, "mixtures": 0.98 * x_test[0] + 0.02 * noise, "honest pictures": x_test}
for name, rows in sent.items():
    print(f"{name:20} answered with lies: {(similarity(rows) < threshold).mean():.1%}")
print(f"\n{'':20}{'lies':10}{'agreement':>9}{'largest error of a weight':>27}")
with progress.bar("Six thefts", 6):
    for name, solver in solvers.items():
        for lie, service in tricksters.items():
            found = solver(service.client(name).query)
            agrees, error = agreement(*found, x_test, victim_says), largest_error(*found)
            print(f"{name:20}{lie:10}{agrees:9.4f}{error:27.1e}")
            progress.advance()
print(f"(your prediction: {my_survivors})")

# %% [markdown]
# **Explain it before you open the next fold.** Which property of a picture does the detector test, and which does an
# equation need?
#
# <details><summary><b>Read the result</b></summary>
#
# The Trickster stops the thief who believes it. Nearly every answer is a lie, and an agreement of .03, far *below*
# chance, shows that the lies have a system. Anyone who knows the system turns them back. The few truthful answers do
# not fit the other equations then, and are left out: 1,000 queries instead of 785, and no weight is off by more than
# 1e-13. A key stops this thief, too: weights are off by more than 10. (They could still search for the lies, which
# takes more queries: lab 5.)
#
# Neither lie stops the mixtures, whose weights are off by 1e-10 at most. Each query is nearly a real picture, so it is
# answered truthfully, and 785 truthful answers are enough. A key decides *which* lie is told, and here none is told.
# An equation does not care what the picture shows. What gives this thief away is not any single query but that all 785
# are nearly the same, and that there are 785 of them: think of lab 4.
#
# </details>
#
# **Playground.** The weights of a class can be looked at as a picture, with one pixel for each input. Choose
# how many queries your thief sends, and to how many decimals the answers are rounded. When do the stolen
# pictures look like the victim's? And how good is the agreement long before that?

# %% provided="playground"
from trickster.playground import Control, playground

QUERY_COUNTS, DECIMALS = (200, 400, 600, 700, 784, 785, 1_000), (None, 6, 4, 2)


def stolen_with(count, decimals):
    """What your thief gets from this many answers, rounded; 0 is read as half a step."""

    def query(x):
        p = victim.posteriors(x)
        return p if decimals is None else np.maximum(p.round(decimals), 0.5 * 10.0**-decimals)

    model = solvable.SoftmaxRegression(*solve_softmax(query, 784, 10, count))
    progress.advance()
    return model


with progress.bar("Stealing the model 28 times", 28):
    stolen_weights = {(n, d): stolen_with(n, d) for n in QUERY_COUNTS for d in DECIMALS}


def as_pictures(model):
    """Each class's weights (10, 1, 28, 28): grey is 0, brighter and darker are more and less."""
    weights = model.centred()[:, :784] / (2 * np.abs(victim.centred()[:, :784]).max())
    return np.clip(0.5 + weights, 0, 1).reshape(10, 1, 28, 28)


def weights_after(count, decimals):
    """The stolen weights beside the victim's."""
    stolen = stolen_weights[count, decimals]
    agrees = agreement(stolen.weights, stolen.bias, x_test, victim_says)
    rows = {"victim": as_pictures(victim), "stolen": as_pictures(stolen)}
    picture = plots.contact_rows(rows, title=f"Weights of each class; agreement {agrees:.3f}")
    bottom = picture.figure.axes[-1]
    bottom.set_xticks(34 * np.arange(10) + 15, fashion.classes, fontsize=7)  # with frames and gaps
    bottom.tick_params(length=0)
    return picture


playground(
    weights_after,
    count=Control("queries", QUERY_COUNTS, start=400),
    decimals=Control("decimals", DECIMALS, show=lambda d: "exact" if d is None else str(d)),
)

# %% [markdown]
# <details><summary>What to expect</summary>
#
# At 400 queries the stolen pictures are mostly noise, and yet the clone agrees on about 77 % of the clothes. From
# about 600 exact answers on they resemble the victim's, and between 784 and 785 the eye sees no difference: the cliff
# is one of numbers. Answers with six decimals look like exact ones. With fewer decimals, small probabilities are
# rounded to 0, and what is read in their place is wrong. At 1,000 queries, four decimals spoil two of the ten
# pictures, and two decimals most of them. At 785, with as many equations as unknowns, no error averages out: four
# decimals already spoil all ten.
# </details>

# %% [markdown]
# ## Exercise 2: what rounding is worth here
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 14 minutes | 2 |
#
# In lab 4, rounding cost the thief nothing that the runs could show. Does it cost one who solves equations anything?
# The victims are now small enough to repeat the theft many times: three softmax regressions on the 8x8 digits, 64
# inputs, each trained on its own random half of the pictures. Here chance matters, so all numbers are means over the
# three, each with noise of its own. A probability that is rounded to 0 has no logarithm, so exercise 1's thief reads it
# as half a rounding step.
#
# > **Predict.** With 65 exact answers, the agreement is 1. How many decimals must an answer have, so
# > that 65 of them are still enough for .95?

# %%
my_decimals = "no guess yet"  # for example 3

# %% provided="rounding"
digits, digit_classes = load_digits(return_X_y=True)
digits = digits / 16
halves = [np.random.default_rng(seed).permutation(len(digits))[:900] for seed in range(3)]
small = [solvable.fit_softmax(digits[half], digit_classes[half]) for half in halves]
COUNTS = (65, 130, 300, 1_000, 10_000)


def rounded_service(model, decimals):
    """A small victim's answers, rounded."""
    return VectorAPI(model.posteriors, 64, defenses=[lambda p: p.round(decimals)], low=0, high=1)


def agreement_with(model, weights, bias):
    """Share of the digits on which a recovered model chooses the victim's class."""
    return agreement(weights, bias, digits, model.logits(digits).argmax(axis=1))


def solved(seed, decimals, n):
    """Agreement of exercise 1's thief, who reads 0 as half a step."""
    x = np.random.default_rng(100 + seed).random((n, 64))  # noise of its own for each model
    p = rounded_service(small[seed], decimals).query(x)
    found = exact.least_squares(x, p, smallest=0.5 * 10.0**-decimals)
    return agreement_with(small[seed], found.weights, found.bias)


def learnt_from_labels(seed, n):
    """Agreement of a thief who sees labels only, and trains on them."""
    x = np.random.default_rng(100 + seed).random((n, 64))
    labels = small[seed].posteriors(x).argmax(axis=1)
    learnt = LogisticRegression(C=10, max_iter=300).fit(x, labels)
    return agreement_with(small[seed], learnt.coef_, learnt.intercept_)


by_decimals = {
    decimals: {n: bootstrap_interval(solved(i, decimals, n) for i in range(3)) for n in COUNTS}
    for decimals in (12, 6, 4, 3, 2, 1)
}
labels_only = {n: bootstrap_interval(learnt_from_labels(i, n) for i in range(3)) for n in COUNTS}


def print_row(name, row):
    """One line of means."""
    print(f"{name:18}" + "".join(f"{interval.mean:9.3f}" for interval in row.values()))


print(f"{'queries':18}" + "".join(f"{n:>9,}" for n in COUNTS))
for decimals, row in by_decimals.items():
    print_row(f"decimals: {decimals}", row)
print_row("labels only", labels_only)
enough = [decimals for decimals, row in by_decimals.items() if row[65].mean >= 0.95]
print(f"fewest of these decimals that are enough: {min(enough)} (your guess: {my_decimals})")
for decimals in (2, 1):
    classes = victim.posteriors(x_test).round(decimals).argmax(axis=1)
    changed = np.mean(classes != victim_says)
    print(f"exercise 1's victim, decimals {decimals}: {changed:.1%} of clothes change their class")

# %% [markdown]
# **Explain it before you open the next fold.** Why does no number of queries make up for answers with one decimal?
#
# <details><summary><b>Read the result</b></summary>
#
# Rounding does cost this thief something. With 65 queries, six decimals are as good as twelve; four, three, two and
# one are each worse than the one before. (That four are enough for .95 is partly luck: on a similar model, five other
# draws of noise gave .76 to .99.) From three decimals up, twice as many queries buy it back (.992 and more). With one
# or two decimals the rows level off, though, and with 10,000 queries the thief who sees labels only does better. This
# is odd: errors of rounding should average out. They do not, because of the logarithm. With one decimal, .04 and
# .000004 both become 0, and both are read as .05: always too large, however often one asks. The error has a mean that
# is not zero, and such an error does not average out (lab 3 again).
#
# </details>
#
# A better thief takes no logarithms of answers. They look for the softmax regression under which the returned
# probabilities are most likely, which is what training a clone on posteriors does (lab 2). For a softmax regression
# this search has only one peak to find. `LogisticRegression`, imported above, finds it, but takes one class for each
# row: how do you hand it ten probabilities? (Where answers are rounded to 0, it may lie infinitely far away; a slight
# penalty on large weights brings it back.)
#
# > **Predict.** With one decimal, the thief who solves had .181 from 65 queries, and .859 at best. What agreement will
# > the better thief reach from 65? And from 10,000?

# %%
my_fit = {65: "no guess yet", 10_000: "no guess yet"}  # agreements


# %% solution="fit_rounded"
def fit_rounded(x, p):
    """The softmax regression that fits rounded posteriors best.

    x : rows (n, d). p : posteriors (n, k), rounded; some are 0, and each row sums to 1.
    Returns weights (k, d) and bias (k,).
    """
    ### BEGIN SOLUTION
    n, k = p.shape
    every_class = np.tile(np.arange(k), n)
    every_row = np.repeat(x, k, axis=0)
    likely = LogisticRegression(C=1e4, max_iter=2_000)
    likely.fit(every_row, every_class, sample_weight=p.ravel())
    return likely.coef_, likely.intercept_
    ### END SOLUTION


# %% test="fit_rounded_test" points=2
lab6.fit_rounded(fit_rounded)

# %% [markdown]
# <details><summary>Hint 1: posteriors as targets</summary>
#
# <code>LogisticRegression.fit(rows, classes, sample_weight=...)</code> takes one class for a row. Hand
# it each row <code>k</code> times, once with each class, and weight each by the probability returned.
# </details>
#
# <details><summary>Hint 2: in the right order</summary>
#
# <code>np.repeat(x, k, axis=0)</code> repeats each row <code>k</code> times,
# <code>np.tile(np.arange(k), n)</code> runs through the classes for each, and <code>p.ravel()</code>
# has the weights in the same order.
# </details>
#
# <details><summary>Hint 3: hardly any penalty</summary>
#
# By default scikit-learn pulls weights towards 0 quite strongly: <code>C=1e4</code> leaves the slight penalty that
# is wanted here. It then needs more steps: <code>max_iter=2000</code>.
# </details>
#
# Now let both thieves read the same rounded answers. (The bars are bootstrap intervals over the three models, too
# narrow with so few.)


# %% provided="rounding_again"
def fitted(seed, decimals, n):
    """Agreement of the thief who fits the returned probabilities themselves."""
    x = np.random.default_rng(100 + seed).random((n, 64))
    p = rounded_service(small[seed], decimals).query(x)
    found = fit_rounded(x, p / p.sum(axis=1, keepdims=True))
    progress.advance(n)
    return agreement_with(small[seed], *found)


lines, written = {}, True
try:
    fit_rounded(np.eye(10, 64), np.full((10, 10), 0.1))
except NotImplementedError:
    print("Your `fit_rounded` is not written yet: its rows and curves are missing.")
    written = False
if written:
    print(f"{'queries':18}" + "".join(f"{n:>9,}" for n in COUNTS))
with progress.bar("Fitting 30 models", 2 * 3 * sum(COUNTS)):  # it counts queries
    for decimals in (2, 1):
        unit = "decimal" if decimals == 1 else "decimals"
        if written:
            ys = {n: bootstrap_interval(fitted(i, decimals, n) for i in range(3)) for n in COUNTS}
            print_row(f"{decimals} {unit}, fitted", ys)
            lines |= {f"{decimals} {unit}, fitted": ys}
        lines |= {f"{decimals} {unit}, solved": by_decimals[decimals]}
guesses = ", ".join(f"{guess} from {n:,}" for n, guess in my_fit.items())
print(f"(your predictions for 1 decimal, fitted: {guesses})")
lines["labels only"] = labels_only
# The share of digits that get another class: on a log axis, small shares can be told apart.
wrong = {
    name: {n: Interval(1 - one.mean, 1 - one.high, 1 - one.low, one.n) for n, one in row.items()}
    for name, row in lines.items()
}
picture = plots.curves(
    wrong,
    title="What rounding takes, and what a better thief takes back",
    xlabel="queries",
    ylabel="share of digits with another class",
    log_x=True,
    log_y=True,
    apart=1.03,  # bars side by side
    paired=written,  # one colour for the same answers; dashed: solved
)
picture.figure.axes[0].legend(
    frameon=False, loc="upper left", bbox_to_anchor=(1, 1), handlelength=3.5
)
picture

# %% [markdown]
# **Explain it before you open the next fold.** Both thieves see the same rounded answers. Why does the second make
# more of them?
#
# <details><summary><b>Read the result</b></summary>
#
# Against the thief of exercise 1, one decimal looks like a defence: .859 at best, however many queries they send.
# Against a thief who expects rounding it is only a price: .95 from 300 queries, .989 from 10,000, where labels do as
# well (.992; the intervals overlap). The second thief compares probabilities, not logarithms. A probability of .000004
# that is returned as 0 is almost right; read as .05, it is more than ten thousand times too large.
#
# With 65 queries there are as many equations as unknowns, so the thief who solves has to satisfy each wrong logarithm
# exactly: .181. To the thief who fits, a 0 only says "as low as you like", and the slight penalty picks the smallest
# weights that do it: .73. Judge a defence by the thief who knows it.
#
# </details>

# %% [markdown]
# ## Exercise 3: kinks
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●●○ | 32 minutes | 2 + 2 + 2 |
#
# A ReLU network is a patchwork of linear pieces, and the seams between them give its weights away. In 2020,
# this idea was carried through several layers (Carlini, Jagielski and Mironov; for one layer, Jagielski and
# others). Here is its first step.
#
# **Idea.** A network with one hidden ReLU layer and one output computes
# `f(x) = a . max(0, W x + b) + c`. Walk along a straight line and watch `f`: its graph is a straight line, too,
# until some neuron switches on or off. There it bends. Each bend, or *kink*, betrays one neuron:
#
# 1. **Where** is a kink? Halve intervals until each has one kink, then intersect two lines.
# 2. **Which neuron** is it? The gradient of `f` jumps there by that neuron's output weight times its
#    weights, since all others stay as they are. So the jump *is* the neuron, up to one factor.
# 3. **Which way round** does it face, and with which output weight? Least squares.

# %% [markdown]
# ### 3a: where?
#
# `f` takes several positions at once. Look at an interval:
#
# 1. If it has no kink, the slopes at both its ends and the slope across it are the same: call it *straight*.
# 2. If it has one kink, the two lines that leave its ends, each with the slope measured there, cross exactly at the
#    kink. But lines cross somewhere even if there are more kinks. So evaluate `f` just before and just after the
#    crossing (a millionth of the interval away), and accept it only if the first value lies on the one line and the
#    second on the other.
# 3. Otherwise, split it, and look at both parts.
#
# Two measured slopes are hardly ever equal to the last digit, so the scaffold says what counts as the same:
# `straight` and `narrow` are given, and a value lies on a line if it is off by at most `tolerance`.


# %% solution="find_kinks"
def find_kinks(f, low, high):
    """Where a piecewise linear f bends between low and high: a list of positions, in order.

    f : from positions (m,) to values (m,), in float64.
    """
    width = high - low
    step = 1e-3 * width
    at_low, near_low, near_high, at_high = f(np.array([low, low + step, high - step, high]))
    left, right = (near_low - at_low) / step, (at_high - near_high) / step
    across = (at_high - at_low) / width
    size = 1 + max(abs(at_low), abs(at_high))  # values are exact to about 1e-15 of it
    same, tolerance = 1e-12 * size / step, 1e-11 * size  # what rounding does to slopes and values
    straight = abs(left - right) <= same and abs(left - across) <= same
    narrow = width < 1e-9  # then give up: return no kink
    ### BEGIN SOLUTION
    if straight or narrow:
        return []
    if abs(left - right) > same:
        kink = low + (at_high - at_low - right * width) / (left - right)
        a, b = kink - 1e-6 * width, kink + 1e-6 * width
        if low < a and b < high:
            before, after = f(np.array([a, b]))
            errors = before - at_low - left * (a - low), after - at_high - right * (b - high)
            if max(map(abs, errors)) <= tolerance:
                return [kink]
    middle = low + 0.47 * width
    return find_kinks(f, low, middle) + find_kinks(f, middle, high)
    ### END SOLUTION


# %% test="find_kinks_test" points=2
lab6.find_kinks(find_kinks)

# %% [markdown]
# <details><summary>Hint 1: four cases</summary>
#
# Straight: no kink. Too narrow to go on: give up. One kink, and it is confirmed: that one. Else split the
# interval, and return the kinks of both parts: the function calls itself. All four return a list.
# </details>
#
# <details><summary>Hint 2: where to split</summary>
#
# Not exactly in the middle: a kink that happens to lie there belongs to neither part. At
# <code>low + .47 * (high - low)</code>, say.
# </details>
#
# <details><summary>Hint 3: the crossing</summary>
#
# Where <code>left</code> and <code>right</code> differ by more than <code>same</code>, the lines
# <code>at_low + left * (t - low)</code> and <code>at_high + right * (t - high)</code> cross at
# <code>t = low + (at_high - at_low - right * width) / (left - right)</code>. Test the crossing at
# <code>t - 1e-6 * width</code> and <code>t + 1e-6 * width</code>, if both lie inside the interval.
# </details>
#
# Now for a network. Its weights are drawn at random; nothing was trained. The service takes any numbers as inputs,
# not only pixels from 0 to 1, and the thief knows that there are 16 neurons.

# %% provided="walk"
owner = solvable.draw_relu(784, 16, np.random.default_rng(7))
scores = VectorAPI(owner, d=784, budget=60_000)
walker = scores.client("a walk")
rng = np.random.default_rng(3)
start, v = rng.normal(size=784), rng.normal(size=784)


def on_line(query, start, v):
    """The function f of one number that a service becomes on the line from start along v."""
    return lambda t: query(start + np.reshape(t, (-1, 1)) * v)


along = on_line(walker.query, start, v)
kinks = find_kinks(along, -100, 100)
print(f"{len(kinks)} kinks, {walker.used} queries")
t = np.linspace(-4, 4, 4_000)
plots.bent_line(
    t,
    along(t),
    [kink for kink in kinks if abs(kink) < 4],
    title="A network of 16 neurons along a line",
)

# %% [markdown]
# Most bends are hardly visible in the answers, but the slope is a staircase with one step for each neuron. (Near .2
# there are two pairs of kinks too close to tell apart in the figure, and four of the 16 kinks lie outside the
# figure.)

# %% [markdown]
# ### 3b: which neuron?
#
# > **Predict.** The service has 784 inputs. How many queries does it take to find the neuron behind one
# > of these kinks, all 784 weights and the bias?

# %%
my_queries = "no guess yet"  # for one neuron, not counting the walk


# %% solution="neuron_at"
def neuron_at(query, x, v):
    """The neuron that switches where a line along v crosses x, up to one factor.

    query : from rows (n, d) to values (n,), in float64. x, v : (d,), the kink's place and the
        line's direction.
    Returns (d + 1,): weights and bias, of any length, perhaps with the opposite sign.
    """
    step = 1e-6
    # Along the line, so far off the kink that no step of the gradient crosses it again.
    aside = 100 * step * np.sqrt(len(x)) * v / np.linalg.norm(v)
    ### BEGIN SOLUTION
    gradients = []
    for place in (x + aside, x - aside):
        values = query(np.vstack([place, place + step * np.eye(len(x))]))
        gradients.append((values[1:] - values[0]) / step)
    weights = gradients[0] - gradients[1]
    return np.append(weights, -(weights @ x))
    ### END SOLUTION


# %% test="neuron_at_test" points=2
lab6.neuron_at(neuron_at)

# %% [markdown]
# <details><summary>Hint 1: a gradient</summary>
#
# At a place <code>x0</code>, query <code>x0</code> and <code>x0 + step * np.eye(d)</code>, which
# is one row for each input. Differences divided by <code>step</code> are the gradient, without any error of
# approximation, since <code>f</code> is linear there.
# </details>
#
# <details><summary>Hint 2: the jump</summary>
#
# One gradient at <code>x + aside</code>, one at <code>x - aside</code>. In their difference, every
# neuron that did not switch has cancelled.
# </details>
#
# <details><summary>Hint 3: the bias</summary>
#
# At the kink, the neuron's <code>w . x + b</code> is 0.
# </details>

# %% provided="one_neuron"
measuring = VectorAPI(owner, d=784).client("one neuron")  # a new service counts from 0
neuron_at(measuring.query, start, v)  # not at a kink: this cell only counts the queries
print(f"{measuring.used:,} queries for one neuron (your prediction: {my_queries})")

# %% [markdown]
# ### 3c: which way round?
#
# A jump does not show whether the neuron is on before the kink or after it. Offer least squares both:
# the columns `max(0, z)` and `max(0, -z)` for each neuron's `z = w . x + b`, and a column of ones for the
# constant. As long as there are no more neurons than inputs, least squares gives a weight to only one of each
# pair. (`max(0, z) - max(0, -z)` is `z`, which is linear. With more neurons than inputs the `z` depend on
# each other linearly, so weights can be moved between pairs without any effect on `f`.)


# %% solution="fit_outputs"
def fit_outputs(query, neurons):
    """Turn each neuron the right way round, and find the output weights.

    query : from rows (n, d) to values (n,). neurons : (h, d + 1), weights and bias, each up to a
        factor that may be negative.
    Returns the neurons (h, d + 1) as they face, their output weights (h,) and the constant, such
    that f(x) = out . max(0, W x + b) + constant.
    """
    neurons = neurons / np.linalg.norm(neurons[:, :-1], axis=1, keepdims=True)
    h, d = len(neurons), neurons.shape[1] - 1
    x = 3 * np.random.default_rng(0).normal(size=(4 * h + 2, d))
    ### BEGIN SOLUTION
    z = x @ neurons[:, :-1].T + neurons[:, -1]
    columns = np.column_stack([np.maximum(z, 0), np.maximum(-z, 0), np.ones(len(x))])
    solution, *_ = np.linalg.lstsq(columns, query(x), rcond=None)
    ahead, back, constant = solution[:h], solution[h:-1], solution[-1]
    turned = np.abs(back) > np.abs(ahead)
    neurons[turned] *= -1
    return neurons, np.where(turned, back, ahead), constant
    ### END SOLUTION


# %% test="fit_outputs_test" points=2
lab6.fit_outputs(fit_outputs, find_kinks, neuron_at)

# %% [markdown]
# <details><summary>Hint 1: the columns</summary>
#
# <code>z = x @ neurons[:, :-1].T + neurons[:, -1]</code> has one column for each neuron.
# <code>np.column_stack</code> puts <code>np.maximum(z, 0)</code>, <code>np.maximum(-z, 0)</code> and the
# ones beside each other: <code>2 h + 1</code> columns.
# </details>
#
# <details><summary>Hint 2: who faces which way</summary>
#
# The first <code>h</code> numbers of the solution belong to the neurons as they are, the next
# <code>h</code> to the turned ones. Where the second is larger (in absolute value), multiply that
# neuron's row by -1 and take the second as its output weight.
# </details>


# %% provided="whole_network"
def steal_network(query, d, hidden, seed=0):
    """All three steps, on the first line that shows every neuron, none too close to another."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        start, v = rng.normal(size=d), rng.normal(size=d)
        kinks = find_kinks(on_line(query, start, v), -100, 100)
        if len(kinks) == hidden and np.diff(kinks).min() > 1e-3:
            neurons = np.array([neuron_at(query, start + t * v, v) for t in kinks])
            turned, out, constant = fit_outputs(query, neurons)
            return solvable.ReluNetwork(turned[:, :-1], turned[:, -1], out, constant)
    return None


thief = VectorAPI(owner, d=784, budget=60_000).client("thief")  # a new service counts from 0
stolen = steal_network(thief.query, 784, 16)
if stolen is None:
    print("no line showed 16 kinks: use the library's versions of 3a to 3c for now (see the top)")
else:
    apart = np.abs(stolen.neurons()[:, None] - owner.neurons()).max(axis=2).min(axis=0)
    fresh = rng.normal(size=(1_000, 784))
    print(f"neurons found: {(apart < 1e-3).sum()} of 16, the worst off by {apart.max():.1e}")
    right = owner(fresh)
    print(f"fresh inputs: answers from {right.min():.0f} to {right.max():.0f}", end=", ")
    print(f"largest error {np.abs(stolen(fresh) - right).max():.1e}")
print(f"{thief.used:,} queries")

labels = VectorAPI(lambda x: np.sign(owner(x)), d=784, budget=60_000)
print("from labels only:", steal_network(labels.query, 784, 16), f"({labels.used():,} queries)")

# %% [markdown]
# **Explain it before you open the next fold.** Where do the queries for one neuron go? And why do labels end this
# attack?
#
# <details><summary><b>Read the result</b></summary>
#
# Each of the two gradients takes 784 differences and the one value that they are taken from: 785 queries, so 1,570
# for a neuron. Sixteen neurons take 25,120; a walk along another line and the least squares need only the other 310.
# Nothing was learnt: each weight is measured.
#
# Why only to five decimals, and to twelve in exercise 1?
# Answers are exact to about 1e-15 of their size, but their differences are divided by 1e-6, which leaves about eight
# decimals of a weight, and a bias adds up 784 weights, each times a coordinate of the kink. So it gathers 784 such
# errors, and five or six decimals are left.
#
# With labels alone, the same attack finds nothing. An answer that is only +1 or -1 is flat everywhere except where it
# jumps, so its slope does not change where a neuron switches. But labels stop *this* attack only: there is one now
# that recovers deep networks from labels alone, with far more queries (Carlini, Chávez-Saab and others, 2025).
#
# </details>

# %% [markdown]
# ## Exercise 4: how large is a language model?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 12 minutes | 3 |
#
# **The model.** *Ostrich & Daughters'* assistant is a small transformer trained on the
# Jargon File, a dictionary of hackers' slang. Its vocabulary has 1,024 tokens. From a prompt it
# computes one *hidden state*, a vector that is far shorter than the vocabulary, and its last layer
# turns that into 1,024 logits. Providers do not say how long the hidden state is.

# %% provided="assistant"
assistant = language_model.load_shipped()
V = assistant.vocabulary_size
print(f"{sum(p.numel() for p in assistant.network.parameters()):,} weights, {V:,} tokens")
print(f"perplexity on text that it has not seen: {assistant.perplexity():.1f}")
print(assistant.write("\n:hacker: n. ", 60, seed=1))

# %% [markdown]
# **Idea.** The logits of a prompt are `W h`: whatever the hidden state `h` is, they lie in the space
# that the columns of `W` span. Stack the logits of many prompts: the matrix has no more nonzero
# singular values than `h` has numbers. In practice the rest are not exactly 0, because computers round, to
# float32 or to a few decimals. But they are far smaller: the values fall off a *cliff*.
#
# Three things to keep in mind:
#
# - Log-probabilities are the logits up to a constant in each row: subtract each row's mean first.
# - The first singular value is large, because all prompts have the frequent words in common. The
#   drop after it is no cliff, however large it is.
# - With fewer prompts than hidden units there is no cliff at all: after the first value, none is ten
#   times the next one. Then return `None`.
#
# > **Predict.** The model has 235,200 weights. For each number of the hidden state, 1,024 of them turn tokens into
# > vectors at the start, and 1,024 more are in the last layer. Roughly how long is the hidden state?

# %%
my_size = "no guess yet"


# %% solution="hidden_size"
def hidden_size(logits):
    """How many directions the logits of n prompts span; None where there is no cliff.

    logits : (n, V), fewer prompts than tokens; logits or log-probabilities, at any scale.
    """
    ### BEGIN SOLUTION
    logits = np.asarray(logits, dtype=float)
    values = np.linalg.svd(logits - logits.mean(axis=1, keepdims=True), compute_uv=False)
    drops = values[1:-1] / values[2:]
    steepest = drops.argmax()
    return int(steepest) + 2 if drops[steepest] >= 10 else None
    ### END SOLUTION


# %% test="hidden_size_test" points=3
lab6.hidden_size(hidden_size)

# %% [markdown]
# <details><summary>Hint 1: which drop?</summary>
#
# A few strong directions may come before a drop of their own. The cliff is the largest drop after the first value.
# </details>
#
# <details><summary>Hint 2: from drops to a number</summary>
#
# <code>values[:-1] / values[1:]</code> are the drops; number <code>i</code> (from 0) comes after
# <code>i + 1</code> values. Without the first value: <code>values[1:-1] / values[2:]</code>, where number
# <code>i</code> comes after <code>i + 2</code>.
# </details>
#
# <details><summary>Hint 3: why not a limit such as 1e-6?</summary>
#
# Logits that are a thousand times larger have singular values that are a thousand times larger, and so
# has their rounding error. Ratios do not depend on the scale.
# </details>
#
# > **Predict.** Below, your function sees what the assistant says of 200 prompts: logits, log-probabilities, the same
# > rounded to three decimals and to one, and with noise of standard deviation .1. The last row has 40 prompts only. In
# > which rows does it find no cliff? You can work it out: the last value before the cliff is about 5, and random
# > errors of size *e* in 200 x 1,024 numbers have singular values of up to about *e* (√200 + √1,024), or 46 *e*.
# > (Rounding to steps of *s* makes errors of about .3 *s*.)

# %%
my_cliffless = "no guess yet"  # for example: noise, and 40 prompts

# %% provided="cliffs"
prompts = assistant.random_prompts(200, seed=1)
logits = assistant.logits(prompts)
cliff = exact.hidden_size(logits)  # yours should find the same
logprobs = log_softmax(logits.astype(float))
noisy = logprobs + np.random.default_rng(0).normal(0, 0.1, logprobs.shape)
seen = {
    "logits, float32": logits,
    "log-probabilities": logprobs,
    "rounded to 3 decimals": logprobs.round(3),
    "rounded to 1 decimal": logprobs.round(1),
    "with noise of deviation .1": noisy,
    "40 prompts only": logits[:40],
}
size_of_errors = {  # those of rounding are uniform
    "rounded to 3 decimals": 0.001 / np.sqrt(12),
    "rounded to 1 decimal": 0.1 / np.sqrt(12),
    "with noise of deviation .1": 0.1,
}


def centred_values(matrix):
    """Singular values without each row's mean."""
    matrix = np.asarray(matrix, dtype=float)
    return np.linalg.svd(matrix - matrix.mean(axis=1, keepdims=True), compute_uv=False)[:120]


for name, matrix in seen.items():
    values = centred_values(matrix)
    print(f"{name:28} {hidden_size(matrix)!s:6}", end="")
    if len(values) > cliff:
        last, following = values[cliff - 1 : cliff + 1]
        print(f"value {cliff} is {last:.1f}, {last / following:.3g} times the next", end="")
    if name in size_of_errors:
        size = size_of_errors[name]
        print(
            f"; errors of {size:.1g} reach about {size * (np.sqrt(200) + np.sqrt(V)):.2g}", end=""
        )
    print()
print(f"(your predictions: hidden size {my_size}; no cliff in: {my_cliffless})")

shown = [name for name in seen if name not in ("log-probabilities", "40 prompts only")]
plots.spectrum(
    {name: centred_values(seen[name]) for name in shown},
    title="Singular values of 200 prompts' logits",
    marks={str(cliff): cliff},
)

# %% [markdown]
# **Explain it before you open the next fold.** Widths are seldom odd. Just before the last layer, this model's *layer
# normalisation* makes the mean of the hidden state 0. Which width do you report? And why do three decimals hide
# nothing, while noise of deviation .1 hides the cliff?
#
# <details><summary><b>Read the result</b></summary>
#
# The cliff comes after value 63: numbers whose mean is 0 have one dimension less, so the hidden state has 64. (The
# count of weights allowed for at most 114. With a bias in the normalisation or the last layer, or with the RMS
# normalisation of many newer models, the cliff would come after 64. Had you left each row's constant in,
# log-probabilities would show 64, for the wrong reason.)
#
# The errors of three decimals reach .013, far below value 63, which is 5.3. Those of one decimal reach 1.3, so value
# 63 is only 4.4 times value 64, and your function asks for ten. The noise reaches 4.6, almost as far as value 63 (5.3;
# the noise itself lifts it to 6.4). And 40 prompts have 40 singular values, all of them before the cliff. Look at the
# figure: where your function says `None`, the eye may still see a step at the same rank (see the extension at the
# end).
#
# </details>

# %% [markdown]
# ## Exercise 5: through the keyhole
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●●○ | 18 minutes | 4 + 1 |
#
# No service sends 1,024 logits. Many send, or sent, the log-probabilities of the few most likely tokens.
# Many also take a *logit bias*: a number to add to single tokens' logits, so that customers can ban
# or favour words. This service has both:
#
# ```
# token, logprobs = api.query(prompt, bias)    # bias: {token: number from -100 to 100}, or nothing
# ```
#
# `token` is the most likely next token after the bias. `logprobs` maps the five most likely tokens to
# their log-probabilities, both after the bias; its keys are sorted by number, not by likelihood.
#
# **Idea.** Raise some tokens by so much that they are among the five, and read each *against a token that
# is in every answer*: the difference of two log-probabilities in one answer is the difference of their
# biased logits, whatever the normaliser is. (Carlini and others 2024.)
#
# > **Predict.** How many queries does it take to learn all 1,024 logits of one prompt, up to a constant?

# %%
my_keyhole = "no guess yet"  # queries for one prompt


# %% solution="logits_through_top_k"
def logits_through_top_k(api, prompt):
    """All logits (V,) of the token that follows a prompt, up to one constant.

    api : has query(prompt, bias), see above, which returns some number of tokens k (five here, not
        everywhere), and vocabulary_size. Returns an array (V,).
    """
    ### BEGIN SOLUTION
    token, logprobs = api.query(prompt)
    others = [t for t in range(api.vocabulary_size) if t != token]
    logits, at_once = np.zeros(api.vocabulary_size), len(logprobs) - 1
    for i in range(0, len(others), at_once):
        raised = others[i : i + at_once]
        _, logprobs = api.query(prompt, dict.fromkeys(raised, 100))
        for t in raised:
            logits[t] = logprobs[t] - 100 - logprobs[token]
    return logits
    ### END SOLUTION


# %% test="logits_through_top_k_test" points=4
lab6.logits_through_top_k(logits_through_top_k)

# %% [markdown]
# <details><summary>Hint 1: which token to read against?</summary>
#
# The most likely one. If you raise four others far above everything else, it is the fifth. (Where a
# service returns three tokens, raise two. The first answer shows how many it returns.)
# </details>
#
# <details><summary>Hint 2: how far?</summary>
#
# Farther than the logits lie apart. 100 is allowed, and costs no precision here.
# </details>
#
# <details><summary>Hint 3: one token's logit</summary>
#
# <code>logprobs[t] - logprobs[token]</code> is <code>(logit of t) + 100 - (logit of token)</code>.
# </details>
#
# Logits of many prompts lead to the hidden size, and to more: their rows span what the columns of `W`
# span. That is the last layer itself, up to a linear map: multiply `W` by an invertible matrix and the hidden
# state by its inverse, and no answer changes. Answers alone cannot tell the two apart.


# %% solution="output_projection"
def output_projection(logits, size):
    """A basis (V, size) of the space that the columns of the last layer span.

    logits : (n, V), logits or log-probabilities of more prompts than size.
    """
    ### BEGIN SOLUTION
    centred = logits - logits.mean(axis=1, keepdims=True)
    return np.linalg.svd(centred, full_matrices=False)[2][:size].T
    ### END SOLUTION


# %% test="output_projection_test" points=1
lab6.output_projection(output_projection)

# %% [markdown]
# <details><summary>Hint: which singular vectors?</summary>
#
# <code>u, s, vt = np.linalg.svd(centred, full_matrices=False)</code>: the rows of <code>vt</code> are
# directions in the space of tokens, the strongest first.
# </details>

# %% provided="through_the_keyhole"
PRICE = 2.00  # for a million tokens, read or written

keyhole = TokenAPI(assistant, TopTokens(5), budget=25_000)
thief = keyhole.client("thief")
recovered = np.array([logits_through_top_k(thief, prompt) for prompt in prompts[:80].tolist()])
size = hidden_size(recovered)
print(f"error of the logits {exact.theft_error(recovered, logits[:80]):.1e} of their spread")
print(f"directions {size}, so the hidden state has {size + 1} numbers")
basis = output_projection(recovered, size)

# What the owner knows: the last layer behind its layer normalisation, without the lost direction.
head = assistant.network.head.weight.detach().double().numpy()
gain = assistant.network.norm.weight.detach().double().numpy()
last_layer = (head * gain) @ (np.eye(64) - 1 / 64)
error = exact.projection_error(basis, last_layer)
print(f"share of the last layer that is missing from the stolen columns: {error:.1e}")
print(f"{thief.used // 80} queries a prompt (your prediction: {my_keyhole}), {thief.used:,} in all")
print(f"{thief.tokens:,} tokens, {thief.tokens * PRICE / 1e6:.2f} dollars")

# %% [markdown]
# **Explain it before you open the next fold.** An answer has five log-probabilities. Why does it give only four new
# logits, and not five?
#
# <details><summary><b>Read the result</b></summary>
#
# Each answer has a normaliser of its own, which only a difference within that answer removes. So one of the five
# places goes to the most likely token, which is in every answer. One query finds it, and the other 1,023 tokens come
# four at a time, in 256 queries: 257 in all. You have the hidden size that its owner keeps secret, and all that the
# answers depend on in the last layer, up to a linear map, for less than the price of a postcard.
#
# </details>
#
# **In the real world.** In 2024, researchers did this to two production models (hidden sizes 1,024 and 2,048) for
# less than 20 dollars, and told the providers before they published, so that these could change their APIs (Carlini
# and others 2024). What would you have changed?

# %% [markdown]
# ## Exercise 6: can you close it?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 20 minutes | 3 |
#
# What a service returns is one function, from the logits and the customer's bias to the next token and
# some log-probabilities. Below, five such functions are compared:
#
# - *undefended*: the service of exercise 5;
# - *rounded to 1 decimal*: the same with rounded log-probabilities;
# - *fresh noise of deviation .5*: the same with noise on each log-probability, drawn anew for each query;
# - *bias, no log-probabilities*: the next token follows the bias, and nothing else is returned;
# - *log-probabilities, no bias*: the five most likely tokens are returned, and a bias is ignored.
#
# Three thieves attack each of them: an error of 0 means that they read all the logits, 1 none.
#
# - *raise* raises four tokens at a time, as in exercise 5;
# - *ban* bans the tokens that it has read, all but the most likely one, so that four new ones appear;
# - *average of 9* does what *raise* does, but sends each query nine times and averages the answers.
#
# And what do honest users keep? They want calibrated probabilities. Two numbers measure these: the *perplexity* of
# held-out text (the lower, the less the next token surprises), and the *calibration error* of the most likely token
# (how far its stated probability is from how often it comes; lab 1).
#
# The tokens that are not returned share what is left evenly: if the five have a probability of .9 in all, each of the
# other 1,019 gets .1/1,019. (A user who is told more than .95 in all keeps .05 for the rest.) So even the undefended
# service shows a higher perplexity than the model itself. Where none is returned, users guess .3 for the token.
#
# > **Predict.** Which of the four changes close the hole, and which of them cost honest users something?

# %%
my_choice = "no guess yet"  # for example: rounding closes it and costs nothing

# %% provided="candidates"
candidates = {
    "undefended": TopTokens(5),
    "rounded to 1 decimal": TopTokens(5, decimals=1),
    "fresh noise of deviation .5": TopTokens(5, noise=0.5),
    "bias, no log-probabilities": services.token_only,
    "log-probabilities, no bias": services.no_bias,
}
thieves = {
    "raise": exact.logits_through_top_k,
    "ban": exact.logits_by_banning,
    "average of 9": lambda api, prompt: exact.logits_through_top_k(exact.Averaged(api), prompt),
}
held_out_logits, next_tokens = (part[:1_000] for part in assistant.held_out_logits())


def stolen_from(telling):
    """Error of each thief's logits, over two prompts: 0 is all, 1 is nothing."""
    errors = {}
    for name, thief in thieves.items():
        found = [thief(TokenAPI(assistant, telling), prompt) for prompt in prompts[:2].tolist()]
        errors[name] = exact.theft_error(found, logits[:2])
    return errors


def read_once(telling):
    """What honest users make of one answer each: probabilities (n, V)."""
    p = np.zeros((len(next_tokens), V))
    for row, one in zip(p, held_out_logits.astype(float), strict=True):
        token, logprobs = telling(one, {})
        known = {t: np.exp(value) for t, value in logprobs.items()} or {token: 0.3}
        row[:] = max(0.05, 1 - sum(known.values())) / (V - len(known))
        row[list(known)] = list(known.values())
    return p / p.sum(axis=1, keepdims=True)


def honest_price(telling):
    """Perplexity and calibration error for honest users; means over five draws of noise."""
    first = held_out_logits[0].astype(float)
    measured = []
    for _ in range(1 if telling(first, {}) == telling(first, {}) else 5):
        p = read_once(telling)
        surprise = -np.log(p[np.arange(len(p)), next_tokens]).mean()
        off = evaluation.expected_calibration_error(p, next_tokens)
        measured.append((np.exp(surprise), off))
    return np.mean(measured, axis=0)


def compare(options):
    """One line for each way to answer: the thefts, and the price."""
    heads = "".join(f"{name:>14}" for name in [*thieves, "perplexity", "calibration"])
    print(f"{'':28}{'error of each thief':>42}{'honest users get':>28}\n{'':28}{heads}")
    with progress.bar(f"Attacking {len(options)} services", len(options)):
        for name, telling in options.items():
            errors, (perplexity, off) = stolen_from(telling).values(), honest_price(telling)
            cells = "".join(f"{error:14.3f}" for error in errors)
            print(f"{name:28}{cells}{perplexity:14.1f}{off:14.3f}")
            progress.advance()


compare(candidates)
print(f"(your prediction: {my_choice})")
tokens = [int(t) for t in np.argsort(-logits[0])[:4]]
asked = TokenAPI(assistant, services.token_only)
read = exact.logits_from_tokens(asked, prompts[0].tolist(), tokens)
off = np.abs(read - (logits[0][tokens] - logits[0].max())).max()
print(f"from next tokens alone: {len(tokens)} logits, off by {off:.3f}, {asked.used()} queries")

# %% [markdown]
# **Explain it before you open the next fold.** Who pays for noise: a user who asks once, or a thief who asks nine
# times? And what do the last two services take from honest users that these two numbers do not show?
#
# <details><summary><b>Read the result</b></summary>
#
# - *Rounded to 1 decimal* leaves the hole open: the best thief here, *ban*, is off by only .013. It costs honest
#   users nothing that these two numbers show. (It does hide exercise 4's cliff from your function if there are only 200
#   prompts; the extension at the end tries more.)
# - *Fresh noise of deviation .5* leaves it open as well. Honest users ask once, and their perplexity rises from 34.3 to
#   39.9. A thief asks nine times, which divides the noise by three: an error of .082 instead of .250.
# - *Bias, no log-probabilities* leaves nothing to read directly, but customers who need probabilities have none.
#   The perplexity of 159.6 rests on our assumption that they guess .3.
# - *Log-probabilities, no bias* stops these thieves, too (.977: the five log-probabilities that everybody gets). It
#   costs nothing *in these two numbers*, because neither of them counts a bias that is ignored. Customers who ban or
#   favour words lose what they pay for.
#
# And next tokens alone still leak, slowly: how much bias makes a token win is found by bisection, at fourteen queries
# for each logit (sixteen below, for more precision; the top token's is free) instead of one query for four.
#
# </details>

# %% [markdown]
# **Yours.** Customers of this service ban words, favour words, and read log-probabilities. Assume that hardly
# anybody sends a bias *and* reads the log-probabilities in the same request. Write what the service returns, so that
# each of them is served and the thieves are not. It is graded against five thieves, of whom the best counts (full
# points if even this one's error is .5 or more):
#
# - one raises tokens, as in exercise 5;
# - one does so and reads the numbers as if no bias were in them;
# - one raises one token at a time, by as little as it takes;
# - one bans what is known;
# - one averages the answers to many queries, and looks for any number in them that follows a chosen token's logit.
#
# (None of them looks at the next token, which must follow the bias; you will see below what it gives away. Other
# thieves may still get through.) Honest users send their queries in between. A function that does no better than a
# service without any defence earns no points.


# %% solution="tell"
def tell(logits, bias):
    """What the service returns about the next token.

    logits : (V,), of every token. bias : {token: number}, empty for most customers.
    Returns the next token, and {token: log-probability} for at most five tokens. Without a bias:
    the most likely token and the five most likely ones, off by .05 at most. With one: the token
    must follow the bias; what else is returned is up to you. The same query gets the same answer.
    """
    ### BEGIN SOLUTION
    changed = logits.copy()
    for token, value in bias.items():
        changed[token] += value
    plain = log_softmax(logits)
    best = np.argsort(-plain)[:5]
    return int(changed.argmax()), {int(token): float(plain[token]) for token in best}
    ### END SOLUTION


# %% test="tell_test" points=3
lab6.tell(tell)

# %% [markdown]
# <details><summary>Hint: what does the thief need?</summary>
#
# A number about a token that *they* have chosen. Bias chooses the tokens; log-probabilities are the
# numbers.
# </details>

# %% provided="closed"
yours = {"yours": tell}
try:
    tell(logits[0].astype(float), {})
except NotImplementedError:
    print("Your `tell` is not written yet: its rows are missing.")
    yours = {}
compare({"undefended": TopTokens(5)} | yours)
usual = int(logits[0].argmax())  # the token that a customer bans
for name, telling in ({"log-probabilities, no bias": services.no_bias} | yours).items():
    token, _ = telling(logits[0].astype(float), {usual: -100})
    print(f"{name:28}a banned token {'still comes' if token == usual else 'no longer comes'}")

# %% [markdown]
# Is the hole closed? Your service returns a next token that follows the bias: its customers insist on that. The last
# thief needs no more. Bisection tells them how much bias makes a token win, and the hidden size does not take all
# 1,024 logits of a prompt: 100 tokens will do, drawn at random.
#
# > **Predict.** With log-probabilities, four logits a query, 100 logits for each of 80 prompts cost .04 dollars (all
# > of them, and so the last layer, cost .37). What do the same 8,000 cost a thief who sees nothing but next tokens?

# %%
my_narrowed = "no guess yet"  # in dollars

# %% provided="next_tokens_only"
some_tokens = np.random.default_rng(0).choice(V, 100, replace=False).tolist()
served = tell
try:
    tell(logits[0].astype(float), {})
except NotImplementedError:
    print(
        "Your `tell` is not written yet: a service that tells next tokens alone stands in for it."
    )
    served = services.token_only
patient = TokenAPI(assistant, served).client("a patient thief")  # who looks at next tokens only
bisected = []
with progress.bar("Bisecting for 80 prompts", 80):
    for prompt in prompts[:80].tolist():
        bisected.append(exact.logits_from_tokens(patient, prompt, some_tokens, steps=16))
        progress.advance()
bisected = np.array(bisected)
if len(np.unique(bisected)) < 100:
    print("no cliff to look for: this thief reads no numbers from your service (others may)")
else:
    directions, ranked = hidden_size(bisected), centred_values(bisected)
    print(f"directions {directions}; value 63 is {ranked[62] / ranked[63]:.0f} times value 64")
dollars = patient.tokens * PRICE / 1e6
print(f"{patient.used:,} queries, {patient.tokens:,} tokens, {dollars:.2f} dollars", end=" ")
print(f"(your prediction: {my_narrowed})")
few = 80 * (1 + 100 // 4)  # with log-probabilities, for the same 100 logits
print(f"with log-probabilities: {few:,} queries, {few * dollars / patient.used:.2f} dollars")
every = 1 + 16 * (V - 1)  # for all logits of a prompt; exercise 5 took 257
print(f"all {V:,} logits take {every:,} queries a prompt, {every / 257:.0f} times as many", end=" ")
print(f"as before: about {80 * every * dollars / patient.used:.0f} dollars for the 80 prompts")

# %% [markdown]
# **Explain it before you open the next fold.** Why must a service leak in this way if its customers may raise a word
# *by any amount*? And what if they could only ban words?
#
# <details><summary><b>Read the result</b></summary>
#
# The hole is narrower, not closed. Each next token says on which side of a threshold *that the thief has chosen* a
# logit lies, and enough such answers are a number. The hidden size alone costs 2.30 dollars instead of .04, and all
# logits, with the last layer, about 24 instead of .37: 61 (127,776 for 2,080) and 64 times as many queries *for
# this thief*, who takes one token at a time.
#
# A provider can limit the bias. If words can only be banned, next tokens show an order and no numbers, as long as the
# service returns the likeliest token. (If it draws the token at random, as many do, counting how often each comes
# gives numbers again.) Fixed steps protect less than it seems. Ban every token that is likelier than A, raise a less
# likely B by 1, and look: if B comes, it lies less than 1 below A; if A comes, more. With a thousand tokens there is
# an A for almost every place, so such answers measure distances like a ruler. This thief reads all logits of a prompt
# with an error of .045, from half as many queries as bisection takes (measured by the course with five prompts, not in
# this notebook; whether the cliff still shows in such logits was not measured). What remains is to limit, or watch,
# many queries with the same prompt (lab 4).
#
# </details>
#
# **In the real world.** The researchers of 2024 proposed to allow a bias *or* log-probabilities, not both in one
# request. The theft would then cost them ten times as much, not 64 times. OpenAI's users met another change early in
# 2024: [a bias no longer changes the log-probabilities](https://github.com/chawins/pal/issues/2). Your `tell` is
# probably one of the two. Do they cost honest users anything? [Multiple-choice
# tests](https://github.com/EleutherAI/lm-evaluation-harness/issues/1433) have a use for both features: raise A, B, C
# and D, and read them.

# %% [markdown]
# ## Exercise 7: advise the provider
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 8 minutes | 2 |
#
# Choose *one* of the services of exercises 1, 3 and 5. In five to eight sentences: what should *Ostrich &
# Daughters* change, how much is stolen before and after, and what does it cost honest users (one point)? Which thief
# does it *not* stop (one point)? Support each claim with a number from this notebook.

# %% [markdown] written="advice" points=2
# ### BEGIN SOLUTION
# The softmax regression of exercise 1 gives away every weight for 785 exact answers to noise (agreement 1.0000). I
# would round to two decimals, which costs honest users little (about 0.1 % of clothes change their class) and holds
# the thief who solves at .496 from 65 queries on exercise 2's small models. But it is a price and not a defence:
# there, twice as many queries give .955, and a thief who fits the rounded probabilities gets .99 from the same 130.
# Labels only are a higher price (there .61 from 300 queries, but .99 from 10,000), and customers would lose the
# probabilities. A detector of unusual pictures does not help: it lies to noise, but a thief who knows how turns the
# lies back, mixtures with one real picture get the truth, and both reach 1.0000. A limit has to lie well below 785
# answers a day for each account, since 750 give .89 already: with 200 a day (.245 from the first 200), this thief
# waits four days or opens more accounts. None of this stops a thief who learns a clone, as in labs 2 to 4.
#
# ### BEGIN MARK SCHEME
# One point: a change for one of the services, with the theft before and after it in numbers, and a word on what
# it costs honest users. One point: names a thief whom it does not stop (one who fits rounded answers, one who
# opens several accounts, one who reads next tokens by bisection, one who learns a clone), with a number or
# with a reason from this lab. Half points are fine. Other services treated as well earn nothing extra. Figures
# of exercise 2's small models may stand for exercise 1's service.
#
# Numbers for the other two. The ReLU network: 25,430 exact answers give all 16 neurons; labels only end *this*
# attack (published attacks from labels alone need far more queries) and cost those customers who need the score;
# a limit of 1,500 answers a day makes it 17 days, ten accounts make that two. The language model: with
# log-probabilities that ignore the bias, the best theft's error rises from 0 to .98 and honest users keep their
# perplexity (34.3) and calibration error (.044), while noise of .5 would raise the perplexity to 39.9 and leave
# the averaging thief an error of .08. What remains: next tokens alone give exercise 6's thief the hidden size for 2.30
# dollars instead of .04, and all logits of 80 prompts for about 24 instead of .37 (published thieves need fewer
# queries).
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## If you research this yourself
#
# Attack your own models, or get the owner's permission in writing. Send no more queries than you need to make the
# point, and log what you send. Tell the provider first, and leave time for repair (90 days is usual). Publish
# the method and the measurement, not stolen weights.
#
# <details><summary><b>The real world: what is published, what is alleged, and what it is called</b></summary>
#
# **Published.** Solving for models behind prediction APIs: Tramèr and others (2016). ReLU networks from
# their kinks: Jagielski and others (2020), Carlini, Jagielski and Mironov (2020). From labels alone: Carlini,
# Chávez-Saab and others (2025). The last layer and the hidden size of two production language models:
# Carlini and others (2024).
#
# **Names.** MITRE ATLAS calls this *Extract AI Model* (AML.T0024.002), by way of *AI Model Inference API
# Access* (AML.T0040). Its mitigations are *Passive AI Output Obfuscation* (AML.M0002), *Restrict Number
# of AI Model Queries* (AML.M0004) and *AI Telemetry Logging* (AML.M0024). (AML.T0044, which some pages
# cite, is access to the weights themselves.) OWASP lists *Model Theft* (ML05:2023) and, for language
# models, *Unbounded Consumption* (LLM10:2025), which covers "Model Extraction via API" and "Functional
# Model Replication". NIST AI 100-2e2025 has a section on model extraction.
#
# **Alleged.** In January 2025, OpenAI said that it had evidence that DeepSeek had trained on its models'
# answers ([Financial Times](https://www.ft.com/content/a0dfedd1-5255-4fa9-8ccc-1fe01de87ea6)). This is one
# side's allegation; it gave no details of its evidence. Training on answers (*distillation*) is the
# learning of labs 2 to 4: nothing in this lab proves or refutes it.
#
# **Terms and law.** Most services' terms forbid reverse engineering the model and training competing
# ones on its answers. Breaking them can end an account and may be a breach of contract. Whether weights
# or answers are protected as a trade secret or by copyright depends on the country and is not
# settled everywhere. None of this is legal advice.
# </details>
#
# ## ★ If you have time: a patient thief
#
# Ungraded. Noise of deviation .1 hid the cliff from your function, and so did one decimal. But with each prompt the 63
# directions of the model get stronger, while noise has no direction of its own and grows more slowly. Look again with
# more prompts:
#
# ```python
# many = log_softmax(assistant.logits(assistant.random_prompts(1_000, seed=1)).astype(float))
# with_noise = many + np.random.default_rng(0).normal(0, 0.1, many.shape)
# plots.spectrum(
#     {"noise": centred_values(with_noise), "1 decimal": centred_values(many.round(1))},
#     title="1,000 prompts",
#     marks={"63": 63},
# )
# for name, matrix in {"noise": with_noise, "1 decimal": many.round(1)}.items():
#     ranked = centred_values(matrix)  # 120 values
#     drops = ranked[1:119] / ranked[2:]
#     two = np.argsort(-drops)[:2]
#     print(name, ", ".join(f"{drops[i]:.2f} times after {i + 2}" for i in two))
# ```
#
# How much steeper is the step after 63? Which drop comes next?
#
# <details><summary>What to expect</summary>
#
# With noise and 200 prompts the drop after 63 is 1.5 times, hardly more than the next largest. With 1,000 it is more
# than two and a half times, and the next largest still less than one and a half. With one decimal it grows from 4.4
# times to about nine. A thief who compares the drops with each other, and not with a fixed ten, reads the
# hidden size through both.
# </details>

# %%
# Your experiment.

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.** Some models can be solved instead of learnt: a softmax regression with one query more than it
# has inputs, a hidden ReLU layer neuron by neuron, a language model's hidden size and last layer from five
# log-probabilities and a bias. The detector of unusual queries that was tried does not stop a thief who can
# turn its lies back, or can make 785 queries look usual. Rounding raises the price, but much less for a thief who
# expects it. Where log-probabilities ignore the bias, the logits cost this lab's bisecting thief 64 times as much: a
# price, not a lock. Ignoring the bias in log-probabilities costs honest users little, if hardly anybody needs both
# features in one request; that is an assumption.
#
# **Not shown.**
#
# - Deeper networks: the surfaces on which their later neurons switch are bent themselves.
# - A *trained* ReLU network, or a service that takes only pixels from 0 to 1, where some neurons may never switch.
# - Exercise 3's attack on answers in float32, or rounded ones, or on an unknown number of neurons.
# - A search for keyed lies.
# - The cheapest thief who sees next tokens alone, and what counting reveals where they are drawn at random.
# - The layers of a transformer below its last one, for which we know of no exact attack.
#
# Only exercise 2 ran on three models. Everything else ran once, on one model each; exercise 6's table uses two prompts
# (and five draws of noise for honest users), its bisection 80. And a service without any of these holes can still be
# learnt from (labs 2 to 4).

# %% [markdown]
# **Papers.**
# - Tramèr, Zhang, Juels, Reiter and Ristenpart, [Stealing Machine Learning Models via Prediction
#   APIs](https://arxiv.org/abs/1609.02943), USENIX Security 2016.
# - Jagielski, Carlini, Berthelot, Kurakin and Papernot, [High Accuracy and High Fidelity Extraction of
#   Neural Networks](https://arxiv.org/abs/1909.01838), USENIX Security 2020.
# - Carlini, Jagielski and Mironov, [Cryptanalytic Extraction of Neural Network
#   Models](https://arxiv.org/abs/2003.04884), CRYPTO 2020.
# - Carlini, Chávez-Saab, Hambitzer, Rodríguez-Henríquez and Shamir, [Polynomial Time Cryptanalytic
#   Extraction of Deep Neural Networks in the Hard-Label Setting](https://arxiv.org/abs/2410.05750),
#   EUROCRYPT 2025.
# - Carlini and others, [Stealing Part of a Production Language Model](https://arxiv.org/abs/2403.06634),
#   ICML 2024.
# - Finlayson, Ren and Swayamdipta, [Logits of API-Protected LLMs Leak Proprietary
#   Information](https://arxiv.org/abs/2403.09539), COLM 2024.
