# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Lab 1: Train the victim
#
# [Open this lab in Colab]({{colab_url}})
#
# **You will**
# - train a small image classifier, and know how sure it may be of itself;
# - answer queries with probabilities, without the four slips that are made again and again;
# - put the model behind a metered prediction API: the thing that lab 2 steals from.
#
# **Time** about 75 minutes. **Points** 20. **You need** Python and a little PyTorch; no GPU, and
# no network once the course is installed.
#
# **The story.** You work for *Ostrich & Daughters*, who photograph second-hand clothes and sort
# them by machine. Your classifier took months of labelling. Now other shops want to use it, and the
# plan is to rent it out: send a picture, get ten probabilities, pay by the query. Today you build
# that service. Keep in mind while you do it that each answer you sell is also a lesson.
#
# Each exercise has a scaffold for you to complete, and a check below it that tells what it
# measured, what was asked, and what a miss of that kind usually means. Run the cells in order.
# What a check asks (numbers, pictures, networks) is drawn; grading draws anew.
#
# **Stuck?** Put the library's version in the place of yours, for no points there, and go on, after
# `from trickster import models, training`: `models.cnn(seed=seed)` in exercise 1, `training.fit` in
# exercise 2, `models.Classifier(model).posteriors(x)` in exercise 3, and
# `from trickster.evaluation import expected_calibration_error` in exercise 4. Each refuses to answer
# while the test of its own exercise runs, and works everywhere else. So do the thieves in
# `trickster.attacks`, who build and train networks, and `trickster.api.PredictionAPI` in exercise 5.

# %% provided="setup"
{{setup}}

# %% provided="imports"
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trickster import data, plots
from trickster.api import BudgetExceeded, InvalidQuery
from trickster.checks import lab1
from trickster.checks.probes import new_network, recorded, watched, weights_of
from trickster.evaluation import accuracy
from trickster.models import Classifier
from trickster.scenario import Scenario

# %% [markdown]
# ## The data
#
# 12,000 pictures to train on and 5,000 held out, from Fashion-MNIST: grey, 28 by 28 pixels, ten
# kinds of clothes. The pictures are arrays of shape `(n, 1, 28, 28)` with values from 0 to 1.
#
# > **Predict before you run the next cell.** Which two kinds will a model mix up most?

# %%
fashion = data.load("fashion")
print(fashion)
print("training pictures of each kind:", np.bincount(fashion.y_train))
first_ten = [int(np.flatnonzero(fashion.y_train == label)[0]) for label in range(10)]
plots.pictures(
    fashion.x_train[first_ten], fashion.classes, title="One training picture of each kind"
)

# %% [markdown]
# Every kind is equally common, so a model that guesses is right in one case of ten. Keep that
# number: `.10` is what *nothing* looks like in all these labs.

# %% [markdown]
# ## Exercise 1: the network
#
# | difficulty | time | points |
# |---|---|---|
# | ●○○○○ | 8 minutes | 2 |
#
# **Idea.** Two convolutions that halve the picture, one hidden layer, and ten scores at the end:
#
# `conv 5×5, 32 filters, stride 2` → ReLU → `conv 5×5, 64 filters, stride 2` → ReLU → flatten →
# `linear 128` → ReLU → dropout .25 → `linear 10`
#
# With `padding=2`, stride 2 turns 28×28 into 14×14, then into 7×7. The scores at the end are
# *logits*: any real numbers, not yet probabilities. The loss function turns them into
# probabilities itself, more precisely than a softmax layer could.
#
# You may build another network of torch's own layers, as long as it learns as much in as many
# epochs. The check does not ask your notebook what the network answers: it takes the weights and
# the steps of the computation out of it, and computes the answers itself.


# %% solution="build_victim"
def build_victim(seed=0):
    """A new, untrained classifier.

    seed : decides the initial weights; the same seed gives the same network.
    Returns a torch module from float pictures (n, 1, 28, 28) to logits (n, 10).
    """
    ### BEGIN SOLUTION
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(128, 10),
    )
    ### END SOLUTION


# %% test="build_victim_test" points=2
lab1.build_victim(build_victim, recorded)

# %% [markdown]
# <details><summary>Hint 1: where does the seed go?</summary>
#
# Layers draw their weights at the moment they are made. <code>torch.manual_seed(seed)</code> must
# come before the first of them.
# </details>
#
# <details><summary>Hint 2: putting layers in a row</summary>
#
# <code>nn.Sequential(layer, layer, ...)</code> is a network that calls its layers one after the
# other. <code>nn.Flatten()</code> turns (n, 64, 7, 7) into (n, 3136).
# </details>

# %% [markdown]
# ## Exercise 2: the heart of the loop
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 12 minutes | 5 |
#
# **Idea.** For each batch: ask the network, measure how wrong it is, find out how each weight
# contributed, and move the weights a little. The frame around it is there: the optimizer, a
# schedule that warms up and cools down the learning rate, the order of the pictures.
#
# Add the batch's loss, times the number of its pictures, to `total`; it becomes the mean loss of
# the epoch.
#
# > **Predict.** With eight epochs over 12,000 pictures, how many held-out pictures of 100 will the
# > model get right? Write your guess down.


# %% solution="train_victim"
def train_victim(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0, verbose=False):
    """Train `model` in place with cross-entropy.

    x, y : float pictures (n, 1, 28, 28) and integer labels (n,), as arrays.
    seed : decides the order of the pictures, and dropout.
    verbose : print a line after each epoch.
    Returns the mean loss of each epoch, a list of floats.
    """
    # A convolution on a CPU is several times faster in this memory layout.
    x = torch.tensor(x).contiguous(memory_format=torch.channels_last)
    model.to(memory_format=torch.channels_last)
    y = torch.tensor(y)
    steps = epochs * math.ceil(len(x) / batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    torch.manual_seed(seed)
    model.train()
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(x)).split(batch_size):
            ### BEGIN SOLUTION
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
            ### END SOLUTION
            schedule.step()
        losses.append(total / len(x))
        if verbose:
            print(f"epoch {epoch + 1} of {epochs}: loss {losses[-1]:.3f}")
    model.eval()
    return losses


# %% [markdown]
# Train one, and watch (half a minute on a small laptop):

# %% provided="train_it"
my_victim = build_victim(seed=0)
my_losses = train_victim(my_victim, fashion.x_train, fashion.y_train, verbose=True)
held_out = accuracy(Classifier(my_victim).labels(fashion.x_test), fashion.y_test)
print(f"held-out accuracy {held_out:.3f}")
plots.losses(my_losses, title="Mean training loss of each epoch")

# %% [markdown]
# Such figures can be invented, so the check believes none of them. It draws ten classes that no
# label and no weight of this course knows: the same clothes, sorted in another way that is about as
# hard to learn. Your loop trains small networks whose weights the check hands in and takes back, and
# a network of your own. Which way their weights went and what they have learnt, the check measures
# itself. It takes about as long as the cell above.

# %% test="train_victim_test" points=5
lab1.train_victim(build_victim, train_victim, new_network, weights_of, recorded)

# %% [markdown]
# <details><summary>Hint 1: the four steps</summary>
#
# Loss of the batch; forget the gradients of the last batch; compute the new ones; let the optimizer
# step. <code>x[batch]</code> are the batch's pictures, <code>y[batch]</code> their labels.
# </details>
#
# <details><summary>Hint 2: their names</summary>
#
# <code>F.cross_entropy(logits, labels)</code>, <code>optimizer.zero_grad()</code>,
# <code>loss.backward()</code>, <code>optimizer.step()</code>, <code>loss.item()</code>.
# </details>

# %% [markdown]
# **Read the result.** The loss still falls in the last epoch, but the accuracy that counts is the
# one on pictures that the model never saw. The ± beside it in the check is what so many pictures leave
# in doubt.

# %% [markdown]
# ## One victim for all
#
# From here on, everybody works with the same victim: the one that ships with the course. It has
# the architecture of exercise 1 and was trained on the same 12,000 pictures by the course's own
# loop. It has methods `logits`, `posteriors` and `features`, all from arrays to arrays; its torch
# module is `victim.network`.

# %% provided="victim"
victim = Scenario("fashion").victim
posteriors = victim.posteriors(fashion.x_test)
print(f"the shipped victim's held-out accuracy: {accuracy(posteriors, fashion.y_test):.3f}")
truth, said = fashion.y_test, posteriors.argmax(axis=1)
mixed = np.zeros((10, 10), dtype=int)
np.add.at(mixed, (truth, said), truth != said)
worst = np.argsort((mixed + mixed.T)[np.triu_indices(10)])[::-1][:3]
for i, j in (np.transpose(np.triu_indices(10))[pair] for pair in worst):
    count = mixed[i, j] + mixed[j, i]
    print(f"mixed up {count} times of 1,000: {fashion.classes[i]} and {fashion.classes[j]}")

# %% [markdown]
# Was one of these pairs your guess at the beginning?

# %% [markdown]
# ## Exercise 3: from logits to answers
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 4 |
#
# **Idea.** What the service sells is a *posterior*: ten probabilities that sum to 1, one row for
# each picture. Four things go wrong again and again in real services:
#
# 1. logits are sent instead of probabilities, or the softmax runs along the wrong axis;
# 2. dropout is still on, so the same picture gets another answer each time;
# 3. an answer depends on which other pictures happen to be in the batch, or ends up in their row;
# 4. the model comes back changed, or gradients pile up until the memory is full.
#
# The check holds the model: `model` only stands for it, as the client of an API stands for a model
# far away, and can do what any torch module can. So the check knows in which mode it was asked.
#
# > **Predict.** Which of the four would an honest customer notice first? Which a thief?


# %% solution="predict_proba"
def predict_proba(model, x, batch_size=512):
    """Class probabilities of a torch `model` for pictures x (n, 1, 28, 28), as an array (n, 10).

    Works in batches of `batch_size`, in evaluation mode and without gradients;
    row i answers picture i, and the model is left in the mode it was found in.
    """
    x = torch.tensor(x)
    ### BEGIN SOLUTION
    was_training = model.training
    model.eval()
    with torch.no_grad():
        answers = [F.softmax(model(batch), dim=1) for batch in x.split(batch_size)]
    model.train(was_training)
    return torch.cat(answers).numpy()
    ### END SOLUTION


# %% test="predict_proba_test" points=4
lab1.predict_proba(predict_proba, watched)

# %% [markdown]
# <details><summary>Hint 1: the mode</summary>
#
# <code>model.training</code> is True or False. <code>model.eval()</code> switches it off,
# <code>model.train(True)</code> on again.
# </details>
#
# <details><summary>Hint 2: which dim?</summary>
#
# The logits have shape (pictures, classes). The sum that must be 1 runs over the classes.
# </details>
#
# <details><summary>Hint 3: nearly there</summary>
#
# Inside <code>with torch.no_grad():</code> make a list of answers, one entry for each of
# <code>x.split(batch_size)</code>; <code>torch.cat</code> joins them, <code>.numpy()</code> makes an
# array.
# </details>

# %% provided="look_at_answers"
top_probability = posteriors.max(axis=1)
chosen = [
    int(np.argmax((top_probability > low) & (top_probability < low + 0.1)))
    for low in (0.95, 0.75, 0.45)
]
some = fashion.x_test[chosen]
answers = predict_proba(victim.network, some)
captions = [f"{fashion.classes[label]}" for label in fashion.y_test[chosen]]
for row, label in zip(answers, captions):
    top = np.argsort(row)[::-1][:3]
    listed = ", ".join(f"{fashion.classes[i]} {row[i]:.1%}" for i in top)
    print(f"it is a {label}; the answer is {listed}")
plots.pictures(some, captions, columns=3, title="Three held-out pictures, with the truth")

# %% [markdown]
# **Read the result.** Where one word would have been an answer, the service sends ten numbers. The
# second and third tell what *else* the picture looks like to the victim. That is worth money to a
# customer, who sees when to look again, and more to a thief, who is taught by every one of them.

# %% [markdown]
# ## Exercise 4: may it be that sure?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 15 minutes | 3 |
#
# **Idea.** A model is *calibrated* if, of all answers given with confidence .8, 80 % are right. Sort
# the answers by confidence (the largest probability of the row) into `bins` equal intervals
# `(0, 1/bins], (1/bins, 2/bins], ...`. In each bin, compare the share of right answers with the mean
# confidence. The **expected calibration error** is the mean of these gaps, each weighted by how
# many answers its bin holds:
#
# $$\mathrm{ECE} = \sum_b \frac{n_b}{n}\,\bigl|\,\mathrm{accuracy}_b - \mathrm{confidence}_b\,\bigr|$$
#
# > **Predict.** Is this victim too sure of itself, or not sure enough?


# %% solution="expected_calibration_error"
def expected_calibration_error(posteriors, y, bins=15):
    """The expected calibration error (Guo et al. 2017), a float from 0 to 1.

    posteriors, y : probabilities (n, k) and true labels (n,).
    bins : how many equal intervals of confidence; bin b is (b / bins, (b + 1) / bins].
    """
    confidence = posteriors.max(axis=1)
    right = posteriors.argmax(axis=1) == y
    ### BEGIN SOLUTION
    bin_of = np.ceil(confidence * bins).astype(int) - 1
    error = 0.0
    for b in range(bins):
        inside = bin_of == b
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)
    ### END SOLUTION


# %% test="expected_calibration_error_test" points=3
lab1.expected_calibration_error(expected_calibration_error)

# %% [markdown]
# <details><summary>Hint 1: the bin of an answer</summary>
#
# <code>np.ceil(confidence * bins) - 1</code> is the number of its bin: a confidence of exactly 1
# falls into the last one.
# </details>
#
# <details><summary>Hint 2: one bin</summary>
#
# A mask picks the answers of a bin. The mean of a mask is the share of answers in it; a bin
# without answers must be skipped, or you divide by zero.
# </details>

# %% provided="calibration"
error = expected_calibration_error(posteriors, fashion.y_test)
confidence = posteriors.max(axis=1)
print(f"expected calibration error {error:.4f}")
print(f"mean confidence {confidence.mean():.3f}, accuracy {accuracy(posteriors, truth):.3f}")
plots.reliability(posteriors, fashion.y_test, title="The victim's reliability")

# %% [markdown]
# **Read the result.** Below the dotted line a model is surer than it may be, above it less sure; the
# shaded area of a dot is the number of answers, so the smallest dots say little.
# Compare the two numbers printed above the picture: their difference says which way this victim
# leans over all. When you try to recognise strange queries by
# their low confidence, in lab 3, remember how sure this model is of nearly everything.

# %% [markdown]
# ## Exercise 5: the black box
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 20 minutes | 4 |
#
# **Idea.** The service owns a *meter* and a *budget*. The order in which it works is the whole
# art: **check** the input, **charge** for it, **answer**. Whoever answers first and counts
# afterwards gives answers away whenever something happens in between.
#
# What to refuse, with `InvalidQuery("a sentence")`: pictures that are not of shape
# `(n, 1, 28, 28)`, an empty batch, anything but floats, NaN or infinite pixels, values outside
# [0, 1]. A batch that does not fit into the rest of the budget is refused *whole*, with
# `BudgetExceeded("customer", requested, remaining)`: who asks (any name will do here), how many
# answers they asked for, how many they have left. What is refused is not charged.
#
# > **Predict.** A customer with 5 queries left sends 6 pictures. Why not answer 5 of them?


# %% solution="api"
class API:
    """A model behind a meter, for one customer.

    predict : a function from pictures (n, 1, 28, 28) to posteriors (n, 10).
    budget : how many pictures may be answered in all.
    """

    def __init__(self, predict, budget):
        self.predict = predict
        self.budget = budget
        self.used = 0

    def query(self, x):
        """Posteriors (n, 10) for an array of float pictures (n, 1, 28, 28) in [0, 1].

        Raises InvalidQuery or BudgetExceeded before it charges or answers anything.
        """
        ### BEGIN SOLUTION
        if x.ndim != 4 or x.shape[1:] != (1, 28, 28) or len(x) == 0:
            raise InvalidQuery(f"Pictures must have shape (n, 1, 28, 28), n > 0; got {x.shape}.")
        if not np.issubdtype(x.dtype, np.floating):
            raise InvalidQuery(f"Pixels must be floats in [0, 1]; these are {x.dtype}.")
        remaining = self.budget - self.used
        if len(x) > remaining:
            raise BudgetExceeded("customer", len(x), remaining)
        if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
            raise InvalidQuery("Pixels must be finite and lie in [0, 1].")
        self.used += len(x)
        return self.predict(x)
        ### END SOLUTION


# %% test="api_test" points=4
lab1.api(API)

# %% [markdown]
# <details><summary>Hint 1: a good order</summary>
#
# Shape, size, dtype, budget, values, charge, answer. What is cheap comes first: a flood of pictures
# should cost nothing to refuse.
# </details>
#
# <details><summary>Hint 2: NaN</summary>
#
# Every comparison with NaN is False, so <code>x.min() < 0</code> lets NaN pass:
# <code>np.isfinite(x).all()</code> is the test.
# </details>

# %% provided="open_for_business"
shop = API(lambda x: predict_proba(victim.network, x), budget=1_000)
print("100 pictures:", shop.query(fashion.x_test[:100]).shape, "used:", shop.used)
too_many = np.broadcast_to(fashion.x_test[0], (200_000, 1, 28, 28))
for name, bad in {"bytes": (some * 255).astype("uint8"), "a flood": too_many}.items():
    try:
        shop.query(bad)
    except (InvalidQuery, BudgetExceeded) as refusal:
        print(f"{name}: {type(refusal).__name__}: {refusal}")
print("used:", shop.used)

# %% [markdown]
# **Read the result.** Two refusals, and the meter did not move. The library's own
# `trickster.api.PredictionAPI` does the same for many customers, keeps a log, and takes a chain of
# defences; from lab 2 on you use that one.

# %% [markdown]
# ## Exercise 6: in your own words
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 2 |
#
# Your manager asks: "Why not send just the name of the class? Then nobody learns our
# probabilities." Answer in three to six sentences: what would an honest customer lose, what would a
# thief still get, and what does the meter of exercise 5 protect, and what not? Use at least one
# figure that this notebook printed.

# %% [markdown] written="written" points=2
# ### BEGIN SOLUTION
# Customers use the probabilities: with a calibration error of about four points, a confidence near
# .6 does mean that nearly every second answer is wrong, and a shop can let a person look at those.
# With names only, that is lost. A thief still gets a label for each picture they send, right in
# about 89 cases of 100 where the picture is a garment, which is a labelled training set for the
# price of the queries. The meter limits how many labels one customer gets in all and makes them pay
# for each; it does not make any single answer less useful to a thief, and it sees only one account,
# not how many accounts a person has.
#
# ### BEGIN MARK SCHEME
# One point: names something an honest user loses (the doubt, calibrated confidence, a choice of
# threshold) and that labels alone still train a clone, with a figure from the notebook. One point:
# says what the meter limits (the number of answers) and one thing that it does not (the worth of an
# answer; several accounts). Half points are fine.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.** A small network reaches the accuracy printed in exercise 2 on pictures it never saw; its
# probabilities are a few points too sure; a service must check, charge and answer in that order.
#
# **Not shown.** That any of this keeps a thief away: the API does exactly what it was built for, and
# in lab 2 that is enough to lose the model. And the ± in exercise 2 speaks of the check's pictures
# only: another training run differs too.
#
# **Papers.** Xiao, Rasul and Vollgraf, *Fashion-MNIST* (2017). Guo, Pleiss, Sun and Weinberger, *On
# Calibration of Modern Neural Networks* (2017). Tramèr, Zhang, Juels, Reiter and Ristenpart,
# *Stealing Machine Learning Models via Prediction APIs* (2016). Loshchilov and Hutter, *Decoupled
# Weight Decay Regularization* (2019).
