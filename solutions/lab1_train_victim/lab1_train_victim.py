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
# - train a small image classifier, and measure how far its confidence can be trusted;
# - turn its raw scores into probabilities, and avoid four common mistakes;
# - put the model behind a metered prediction API: the service whose model you will steal in lab 2.
#
# **Time** about 90 minutes; the cells themselves run for about a minute in all.
# **Points** 20. **You need** Python and a little PyTorch; no GPU.
#
# **The story.** You work for *Ostrich & Daughters*, a company that photographs second-hand clothes
# and sorts them by machine. Its classifier took months of labelling. Other shops now want to use it,
# so the company plans to rent it out: a customer sends a picture, receives ten probabilities, and
# pays for each query. Today you build that service. While you do, keep in mind that each answer you
# sell also teaches the one who receives it.
#
# **How it works.** Run the cells in order. Each exercise has a scaffold for you to complete and a
# check below it. The check shows what it measured, what was required, and what usually causes the
# difference. Grading uses other data than the check, so a solution that is tuned to the check's data will not pass.
#
# Before each experiment you are asked to predict the result. Write your guess into the cell under
# the question. Nobody grades it: it is there for you to compare with what you then see. Run that cell even if
# you have no guess: later cells print it.
#
# **Your numbers** may differ from those in the folds in the third decimal, and sometimes in the second: another
# processor trains slightly different networks. (A network of your own design, in exercise 1, changes more.) Trust
# yours, and ask whether the conclusion still holds.

# %% [markdown]
# **If you are stuck**, use the library's function in place of yours and go on; you get no points for that
# exercise. Run these lines in a cell *after* your own, so that they replace what you wrote. While the check of
# an exercise runs, the library's version refuses to work; everywhere else you can use it.
#
# <details><summary>The library's functions</summary>
#
# ```python
# # Exercise 1
# from trickster import models
#
# def build_victim(seed=0):
#     return models.cnn(seed=seed)
#
# # Exercise 2 (it does not measure the held-out loss)
# def train_victim(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0, after_epoch=None):
#     return training.fit(model, x, y, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)
#
# # Exercise 3
# def predict_proba(model, x, batch_size=512):
#     return Classifier(model, batch_size=batch_size).posteriors(x)
#
# # Exercise 4
# from trickster import evaluation
#
# def expected_calibration_error(posteriors, y, bins=15):
#     return evaluation.expected_calibration_error(posteriors, y, bins)
#
# # Exercise 5 (it always serves the course's victim)
# class API:
#     used = property(lambda self: self.service.used("customer"))
#
#     def __init__(self, predict, budget):
#         self.service = scenario.api(budget=budget)
#
#     def query(self, x):
#         return self.service.query(x, "customer")
# ```
# </details>

# %% provided="setup"
{{setup}}

# %% provided="imports"
import math
import textwrap

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trickster import data, plots, progress, training
from trickster.api import BudgetExceeded, InvalidQuery
from trickster.checks import lab1
from trickster.checks.probes import new_network, recorded, watched, weights_of
from trickster.evaluation import accuracy
from trickster.models import Classifier
from trickster.scenario import Scenario

# %% [markdown]
# ## What is at stake
#
# (Six minutes, to read and run.) Before you build the service, see what it will be up against. The next cell plays a
# customer of the finished service (the course comes with one). This customer has no pictures of clothes. They buy 500
# answers, all about random shapes, and fit a *linear* model to them: ten weighted sums of the pixels, the simplest
# classifier there is. Such a copy is called a *clone*.
#
# > **Predict.** On pictures of clothes, which neither of them has seen before, how often does the clone
# > name the same kind as the model behind the service? A model that has learnt nothing agrees one time in ten.

# %%
my_share = "no guess yet"  # in per cent, for example 10

# %% provided="first_theft"
scenario = Scenario("fashion")
clothes, kinds = scenario.data.x_test, scenario.data.classes
meant = scenario.victim.posteriors(clothes)  # what the model behind the service says of the clothes


def theft(seed):
    """500 random shapes, the answers bought to them, and what a linear clone calls the clothes."""
    customer = scenario.api(budget=500).client("a customer")
    shapes = scenario.pool("shapes", 500, seed=seed)
    bought = customer.query(shapes)
    torch.manual_seed(0)
    clone = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    training.fit(clone, shapes, bought, epochs=100)
    return shapes, bought, Classifier(clone).labels(clothes)


shapes, bought, called = theft(seed=0)
agrees = called == meant.argmax(axis=1)
print(f"{len(bought)} answers bought, none of them about clothes")
print(f"Your guess: {my_share}. Measured: the clone agrees on {agrees.mean():.1%} of the clothes.")
plots.pictures(
    shapes[:10],
    [kinds[i] for i in bought[:10].argmax(axis=1)],
    title="Ten of the pictures that were sent, and the answers",
)

# %% [markdown]
# What can shapes teach about clothes? For each kind, the next cell takes the mean of the shapes, weighted by the
# probability that their answers give to this kind, and subtracts the mean of all shapes. White marks where a shape
# with this answer is lighter than the average, black where it is darker. The lower row does the same with clothes.
# Each row has its own scale of grey.


# %% provided="what_it_learnt"
def typical(x, posteriors):
    """The mean picture of each kind less the mean of all pictures; 0 becomes grey."""
    means = np.tensordot(posteriors / posteriors.sum(axis=0), x, axes=(0, 0))
    difference = means - x.mean(axis=0)
    return 0.5 + difference / (2 * np.abs(difference).max())


others = [np.mean(theft(seed)[2] == meant.argmax(axis=1)) for seed in (1, 2)]
print("with 500 other shapes, twice:", " and ".join(f"{share:.1%}" for share in others))
names = np.bincount(bought.argmax(axis=1), minlength=10)
usual, rarest = names.argmax(), names.argmin()
print(f"most common answer: {kinds[usual]}, {names.max()} of {len(bought)}")
weights = bought[:, rarest] / bought[:, rarest].sum()
print(f"rarest: {kinds[rarest]}, {names.min()}; one shape has {weights.max():.0%} of its weight")
print(
    f"clothes called {kinds[usual]}: {np.sum(called == usual)} by the clone, "
    f"{np.sum(meant.argmax(axis=1) == usual)} by the model behind the service"
)
by_kind = np.array([agrees[meant.argmax(axis=1) == kind].mean() for kind in range(10)])
in_order = [f"{kinds[i]} {by_kind[i]:.0%}" for i in np.argsort(-by_kind)]
print(f"agreement: {', '.join(in_order[:5])},\n           {', '.join(in_order[5:])}")
for kind in np.argsort(by_kind)[:2]:
    names = np.bincount(called[meant.argmax(axis=1) == kind], minlength=10)
    print(f"{kinds[kind]}: {names.max()} of {names.sum()} are called {kinds[names.argmax()]}")
plots.pictures(
    np.concatenate([typical(shapes, bought), typical(clothes, meant)]),
    2 * kinds,
    title="What is typical of each answer: of 500 shapes (above), of clothes (below)",
)

# %% [markdown]
# **Explain it before you open the next fold.** What do the two rows have in common, and where do they differ?
#
# <details><summary><b>Read the result</b></summary>
#
# Shapes that are called *Ankle boot* tend to be dark at the upper left and light at the right, those called
# *T-shirt/top* lighter above than below, and those called *Bag* lighter below. The same is true of the clothes. So the
# answers tell roughly which pixels speak for which kind, and a linear model can use that. The upper bag is pale because
# half of the shapes are called *Bag*, so that their average is close to that of all. Those 253 answers are not wasted:
# each has ten probabilities, and so says something about every kind. The ring above *Pullover* is probably a single
# shape: so few get this answer (8) that one of them has 9 % of the weight.
#
# The likeness is rough. The upper trousers have no gap between the legs, and the upper shirt is light only at the
# upper left. That may be why the clone calls most trousers *Dress* and most shirts *Coat*, and agrees on only 3 % and
# 5 % of them. Its 98 % for bags is partly a habit: it calls 872 of the clothes *Bag*, the model only 494.
#
# </details>
#
# In lab 2 you build a better thief, and find out which pictures are best to ask about. First build what is being
# stolen, and notice how much each design decision gives away: how many answers, how much in an answer, and to whom.

# %% [markdown]
# ## The data
#
# (Two minutes, to read and run.) The course uses Fashion-MNIST: grey pictures of 28 by 28 pixels that show ten kinds
# of clothes. You have 12,000 of them to train on and 5,000 held out for testing. The pictures are arrays of shape
# `(n, 1, 28, 28)` with values from 0 to 1.
#
# > **Predict.** The next cell shows one picture of each kind. Which two kinds will a model confuse
# > most often? You will see the answer after exercise 2.

# %%
my_pair = "no guess yet"  # for example "Bag and Sandal"

# %%
fashion = data.load("fashion")
print(fashion)
print("training pictures of each kind:", np.bincount(fashion.y_train))
first_ten = [int(np.flatnonzero(fashion.y_train == label)[0]) for label in range(10)]
plots.pictures(
    fashion.x_train[first_ten], fashion.classes, title="One training picture of each kind"
)

# %% [markdown]
# All kinds are equally common, so a model that guesses at random is right one time in ten. Remember
# this number, `.10`: wherever ten classes are equally common, it is the score of a model that has learnt nothing.

# %% [markdown]
# ## Exercise 1: the network
#
# | difficulty | time | points |
# |---|---|---|
# | ●○○○○ | 8 minutes | 2 |
#
# **Idea.** The network has two convolutions, each of which halves the width and height of the picture,
# then one hidden layer, and ten scores at the end:
#
# `conv 5×5, 32 filters, stride 2` → ReLU → `conv 5×5, 64 filters, stride 2` → ReLU → flatten →
# `linear 128` → ReLU → dropout .25 → `linear 10`
#
# Two numbers are left for you to find: the `padding`, and the number of inputs of `linear 128`. Print the shape
# after each layer (hint 2 shows how): with the right padding the convolutions halve 28 to 14 and 14 to 7, and the
# linear layer takes what is then left. The scores at the end are *logits*: they can be any real numbers. Do not add a
# softmax: the loss of exercise 2 contains it.
#
# You may build a different network out of torch's own layers, as long as it learns equally well in
# the same number of epochs.
#
# > **Predict.** How many weights (with biases) does the network have, and which of its four layers has most of them?

# %%
my_weights = "no guess yet"  # for example "100,000, most in the first convolution"


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
lab1.build_victim(build_victim, recorded)  # `recorded` is a helper of the check

# %% [markdown]
# <details><summary>Hint 1: where does the seed go?</summary>
#
# A layer draws its initial weights when it is created. Call <code>torch.manual_seed(seed)</code> before
# you create the first one.
# </details>
#
# <details><summary>Hint 2: how do I chain layers, and print the shape after each?</summary>
#
# <code>nn.Sequential(layer, layer, ...)</code> is a network that applies its layers one after the other.
# <code>nn.Flatten()</code> turns (n, filters, height, width) into (n, filters · height · width). To see the shapes:
#
# ```python
# x = torch.zeros(1, 1, 28, 28)
# for layer in network:
#     x = layer(x)
#     print(type(layer).__name__, tuple(x.shape))
# ```
# </details>

# %%
sizes = {name: weights.numel() for name, weights in build_victim().named_parameters()}
largest = max(sizes, key=sizes.get)
print(f"Your guess: {my_weights}.")
print(f"Measured: {sum(sizes.values()):,} weights, {sizes[largest]:,} of them in '{largest}'.")

# %% [markdown]
# <details><summary><b>Read the result</b></summary>
#
# Nearly nine in ten weights connect the flattened output of the second convolution (64 · 7 · 7 numbers) with the
# hidden layer. (The printed name is `5.weight`, or `body.5.weight` for the library's network: `5` is the number of
# the layer in `nn.Sequential`, counted from 0.) Remember the total when you meet the thieves of lab 2: a clone does
# not need to find these weights, only answers that agree.
#
# </details>

# %% [markdown]
# ## Exercise 2: the training step
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 12 minutes | 5 |
#
# **Idea.** For each batch of pictures, compute the network's scores, measure how wrong they are, find
# out how each weight contributed to the error, and change the weights a little in the direction that
# reduces it. The scaffold already has everything around this step: the optimizer, a schedule that
# first raises and then lowers the learning rate, and the shuffling of the pictures.
#
# The loss is the cross-entropy of the softmax of the scores. `F.cross_entropy` takes the logits and contains the
# softmax; it computes both together, with less rounding error than a softmax and then a logarithm.
#
# Also add the loss of the batch, multiplied by the number of pictures in it, to `total`. The scaffold
# turns `total` into the mean loss of the epoch.
#
# > **Predict.** You will train for eight epochs on 12,000 pictures. What percentage of the held-out
# > pictures will the model classify correctly?

# %%
my_accuracy = "no guess yet"  # in per cent, for example 75


# %% solution="train_victim"
def train_victim(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0, after_epoch=None):
    """Train `model` in place with cross-entropy.

    x, y : float pictures (n, 1, 28, 28) and integer labels (n,), as arrays.
    seed : decides the order of the pictures, and dropout.
    after_epoch : a function that is called with the mean loss at the end of each epoch.
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
    for _ in range(epochs):
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
        if after_epoch is not None:
            after_epoch(losses[-1])
        progress.advance()  # moves the bar, where one is shown
    model.eval()
    return losses


# %% [markdown]
# The check draws ten new classes: the same clothes, sorted in a different way that is about as hard to learn. It
# trains several small networks with your function and measures them. This takes about half a minute on a small
# laptop. (For its second run, the part *the same seed gives the same weights* renumbers the classes, in the labels
# and in the network alike. That changes only the rounding: in a correct solution, the two runs end a tiny distance
# apart, such as 1e-7.)

# %% test="train_victim_test" points=5
# The last three are helpers of the check.
lab1.train_victim(build_victim, train_victim, new_network, weights_of, recorded)

# %% [markdown]
# <details><summary>Hint 1: which steps, in which order?</summary>
#
# Compute the loss of the batch. Clear the gradients of the previous batch. Compute the new gradients.
# Let the optimizer make its step. <code>x[batch]</code> are the pictures of the batch, and
# <code>y[batch]</code> are their labels.
# </details>
#
# <details><summary>Hint 2: what are these steps called?</summary>
#
# <code>F.cross_entropy(logits, labels)</code>, <code>optimizer.zero_grad()</code>,
# <code>loss.backward()</code>, <code>optimizer.step()</code>. <code>loss.item()</code> is the loss as a
# plain number.
# </details>

# %% [markdown]
# **The ± in the check** is the sampling error. The check uses only a sample of all possible pictures,
# and another sample would give a slightly different accuracy. Of the ranges from 100 such samples, about
# 95 would contain the true accuracy. With four times as many pictures, the range would be half as wide.
#
# Now train a network on the real classes and watch its loss, on the training pictures and on the held-out ones.
# This takes no longer than the check.

# %%
EPOCHS = 8

# %% provided="train_it"
my_victim = build_victim(seed=0)
held_out_losses = []


def look(loss):
    """Measure the loss on the held-out pictures, without training on them."""
    logits = torch.tensor(Classifier(my_victim).logits(fashion.x_test))
    held_out_losses.append(F.cross_entropy(logits, torch.tensor(fashion.y_test)).item())
    print(
        f"epoch {len(held_out_losses)} of {EPOCHS}: training loss {loss:.3f}, "
        f"held-out loss {held_out_losses[-1]:.3f}"
    )


with progress.bar(f"Training for {EPOCHS} epochs", EPOCHS):
    my_losses = train_victim(
        my_victim, fashion.x_train, fashion.y_train, epochs=EPOCHS, after_epoch=look
    )
right = accuracy(Classifier(my_victim).labels(fashion.x_test), fashion.y_test)
print(f"Your guess: {my_accuracy}. Measured: {100 * right:.1f} % of the held-out pictures.")
plots.losses(my_losses, held_out_losses or None, title="Loss of each epoch")

# %% [markdown]
# **Explain it before you open the next fold.** The training loss is still falling in the last epoch. Does that
# mean that more epochs would give a better model? If you have a minute to spare, set `EPOCHS = 16` above and train
# again.
#
# <details><summary><b>Read the result</b></summary>
#
# It depends on what "better" means. From the sixth epoch to the eighth, the training loss falls from .235 to .169,
# but the held-out loss hardly moves: .338 and .339. What counts is how the network does on pictures that it has
# never seen, and one of this size can begin to memorise those that it is trained on.
#
# After 16 epochs with the same seed, the training loss is .05. The held-out loss has risen to .44 (with two other
# seeds, to .41 and .42), and yet the accuracy is not lower: it is 89.0 %. (The difference is about 40 of 5,000
# pictures, which may be chance.) So the network is right no less often, but it is probably more overconfident.
# Exercise 4 measures that.
#
# (The training loss begins above the other one because it is the mean over the epoch, measured with dropout. The
# schedule also brings the learning rate down to 0 by the end of the last epoch, which flattens both curves.)
#
# </details>

# %% [markdown]
# ## One victim for everybody
#
# (Three minutes, to read and run.) From here on, everybody works with the same victim, which comes with the course.
# It has the architecture of exercise 1 and was trained on the same 12,000 pictures with the course's own training
# loop. Its methods `logits`, `posteriors` and `features` take arrays and return arrays; its torch module is
# `victim.network`.

# %% provided="victim"
victim = scenario.victim
posteriors = victim.posteriors(fashion.x_test)
print(f"the shipped victim's held-out accuracy: {accuracy(posteriors, fashion.y_test):.3f}")
truth, predicted = fashion.y_test, posteriors.argmax(axis=1)
wrong = predicted != truth
confused = np.zeros((10, 10), dtype=int)
np.add.at(confused, (truth, predicted), wrong)
worst = np.argsort((confused + confused.T)[np.triu_indices(10)])[::-1][:3]
for i, j in (np.transpose(np.triu_indices(10))[pair] for pair in worst):
    count = confused[i, j] + confused[j, i]
    print(f"{fashion.classes[i]} and {fashion.classes[j]}: {count} of 1,000 pictures confused")

# %%
i, j = np.unravel_index(np.argmax(confused + confused.T), (10, 10))
print(f"Your guess: {my_pair}. Measured: {fashion.classes[i]} and {fashion.classes[j]}.")
mixed_up = np.flatnonzero(wrong & np.isin(truth, (i, j)) & np.isin(predicted, (i, j)))[:10]
plots.pictures(
    fashion.x_test[mixed_up],
    [fashion.classes[label] for label in truth[mixed_up]],
    title="Ten of the pictures that the victim confuses, and what they are",
)

# %% [markdown]
# **Explain it before you open the next fold.** What do the kinds of clothes in the list have in common? Look at
# these pictures, and at those under *The data*.
#
# <details><summary><b>Read the result</b></summary>
#
# They have nearly the same outline. A short-sleeved shirt is shaped like a T-shirt, and a long-sleeved one like a
# pullover or a coat. (The one shirt under *The data* happens to have long sleeves.) A collar or buttons would tell
# them apart, but here the dark picture with a collar is labelled *T-shirt/top*: whoever goes by the collar gets it
# wrong. Trousers and bags have outlines of their own, so they do not appear in the list.
#
# </details>

# %% [markdown]
# ## Exercise 3: from logits to answers
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 4 |
#
# **Idea.** The service sells *posteriors*: for each picture, a row of ten probabilities that sum to 1.
# Four mistakes are easily made:
#
# 1. The service sends logits instead of probabilities, or applies the softmax along the wrong axis.
# 2. Dropout is still switched on, so the same picture gets a different answer each time.
# 3. An answer ends up in the wrong row, or depends on the other pictures in the batch.
# 4. The service keeps what a backward pass would need until the memory is full, or leaves the model in a different
#    mode.
#
# In the check, `model` records how you use it: its mode, the batch sizes, and the state you leave it in.
#
# > **Predict.** Which of the four mistakes would an honest customer notice first? Which could nobody notice
# > from the answers alone? (Where a mistake has two variants, take the first.)

# %%
my_mistakes = "no guess yet"  # for example "first 3; never 1"


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
lab1.predict_proba(predict_proba, watched)  # `watched` is a helper of the check

# %% [markdown]
# <details><summary>Hint 1: the mode</summary>
#
# <code>model.training</code> is True or False. <code>model.eval()</code> sets it to False, and
# <code>model.train(True)</code> sets it to True.
# </details>
#
# <details><summary>Hint 2: which dim?</summary>
#
# The logits have the shape (pictures, classes). The probabilities that must sum to 1 are those of the
# classes of one picture.
# </details>
#
# <details><summary>Hint 3: nearly there</summary>
#
# Inside <code>with torch.no_grad():</code> make a list with one answer for each of the batches in
# <code>x.split(batch_size)</code>. <code>torch.cat</code> joins the list, and <code>.numpy()</code> turns
# the result into an array.
# </details>

# %% [markdown]
# The next cell makes each mistake once, on purpose. See what a customer would notice.

# %%
sample, labels = fashion.x_test[:1_000], truth[:1_000]
print(f"1. logits: the first answer sums to {victim.logits(sample)[0].sum():.1f} instead of 1")
torch.manual_seed(0)
victim.network.train()
with torch.no_grad():
    first, second = (F.softmax(victim.network(torch.tensor(sample)), dim=1) for _ in range(2))
victim.network.eval()
changed = int((first.argmax(dim=1) != second.argmax(dim=1)).sum())
moved = int(((first - second).abs().amax(dim=1) > 0.01).sum())
print(
    f"2. dropout: asked twice, {changed} of 1,000 pictures change their class,\n"
    f"   and {moved} a probability by more than 0.01"
)
shifted = np.roll(posteriors[:1_000], 1, axis=0)
print(f"3. rows shifted by one: the accuracy falls to {accuracy(shifted, labels):.3f}")
stored = {}  # bytes of what the answers keep for a backward pass, by where it lies in memory


def count(kept):
    stored[kept.data_ptr()] = kept.numel() * kept.element_size()
    return kept


with torch.autograd.graph.saved_tensors_hooks(count, lambda kept: kept):
    kept = victim.network(torch.tensor(sample))
weights = {weight.data_ptr() for weight in victim.network.parameters()}  # kept in any case
megabytes = sum(size for place, size in stored.items() if place not in weights) / 1e6
print(
    f"4. kept for a backward pass: {np.sum(kept.argmax(dim=1).numpy() != predicted[:1_000])} of 1,000 "
    f"answers change, but they hold {megabytes:.0f} MB"
)
print(f"Your guess: {my_mistakes}.")

# %% [markdown]
# **Explain it before you open the next fold.** Which of the four would a *thief* want you to make?
#
# <details><summary><b>Read the result</b></summary>
#
# Mistake 1 shows in the very first answer, because it does not sum to 1. A customer sees mistake 3 as soon as they
# send a few pictures that they know. Mistake 2 shows only to someone who sends the same picture twice, which few
# customers do. For them, a probability moves by more than .01 for 400 of 1,000 pictures, and for 45 even the class
# changes. Mistake 4 cannot be seen in the answers at all: the company notices it when its memory runs out, here
# 54 MB for every 1,000 answers that are kept.
#
# The second variants: a softmax along the wrong axis also shows at once, since the rows do not sum to 1. An answer
# that depends on its neighbours shows only if the same picture is sent in two different batches. A model left in the
# wrong mode shows in whatever runs next: with dropout left on, the next answers are those of mistake 2; with dropout
# left off, training goes on without it.
#
# A thief would want mistake 1, though it gains them less than it seems: the logarithms of the probabilities are
# the logits, up to one constant per picture (lab 6 steals a model with them). All that the logits add is this
# constant, and the values whose probability is rounded to 0.
#
# </details>
#
# Next, look at three answers of the correct service in full.

# %% provided="look_at_answers"
top_probability = posteriors.max(axis=1)
chosen = [
    int(np.argmax((top_probability > low) & (top_probability < low + 0.1)))
    for low in (0.95, 0.75, 0.45)
]
some = fashion.x_test[chosen]
answers = predict_proba(victim.network, some)
second_choice = np.argsort(posteriors, axis=1)[:, -2]
rescued = np.mean(second_choice[wrong] == truth[wrong])
print(f"The first choice is wrong for {wrong.sum()} of {len(truth):,} held-out pictures.")
print(f"The second choice is then right in {rescued:.1%} of the cases (a guess: {1 / 9:.0%}).")
empty = [f"{answers[0][i]:.0e} ({kinds[i]})" for i in np.argsort(-answers[0])[[1, -1]]]
print("The nine empty bars of the first picture:", " to ".join(empty))
shifts = np.log(answers[0]) - victim.logits(some)[0]
print(f"Their logarithms less their logits: {shifts.min():.3f} to {shifts.max():.3f}")
captions = [f"it is: {fashion.classes[label]}" for label in fashion.y_test[chosen]]
plots.answers(
    some,
    answers,
    fashion.classes,
    captions,
    title="Three held-out pictures and their answers (orange: the first choice)",
)

# %% [markdown]
# **Explain it before you open the next fold.** The label alone would be the name of the longest bar. What do the
# other nine bars add?
#
# <details><summary><b>Read the result</b></summary>
#
# They show which other classes the picture resembles, and how strongly. For the trousers they tell an honest customer
# nothing. But they are not zero, down to the 2·10⁻¹⁷ of the ankle boot, and their logarithms give a thief the logits,
# up to one constant. The second answer says "T-shirt, perhaps a shirt". In the third the first choice is wrong, and
# the right class, coat, comes second with .28. This is typical: when the first choice is wrong, the second is right
# in 73.3 % of the cases.
#
# A customer can use this to decide which pictures a person should look at. A thief can use it as well:
# each answer relates one picture to several classes at once, so it teaches a clone more than a single
# label does. Hinton, Vinyals and Dean (2015) trained small networks on the soft answers of large ones
# for this reason, and called it *distillation*.
#
# </details>

# %% [markdown]
# ## Exercise 4: does it deserve that confidence?
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 15 minutes | 3 |
#
# **Idea.** The *confidence* of an answer is its largest probability. A model is *calibrated* if 80 % of
# the answers that it gives with a confidence of .8 are correct, and likewise for every other confidence.
# To measure this, divide the range of confidence into `bins` equal intervals
# `(0, 1/bins], (1/bins, 2/bins], ...` and sort the answers into them. In each bin, compare the share of
# correct answers with the mean confidence. The **expected calibration error** is the average of these
# gaps, weighted by the number of answers in each bin:
#
# $$\mathrm{ECE} = \sum_b \frac{n_b}{n}\,\bigl|\,\mathrm{accuracy}_b - \mathrm{confidence}_b\,\bigr|$$
#
# > **Predict.** Is this victim overconfident, underconfident, or about right?

# %%
my_calibration = "no guess yet"  # "overconfident", "underconfident" or "about right"


# %% solution="expected_calibration_error"
def expected_calibration_error(posteriors, y, bins=15):
    """The expected calibration error (Naeini et al. 2015), a float from 0 to 1.

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
# <code>np.ceil(confidence * bins) - 1</code> is the number of the bin, counted from 0. A confidence of
# exactly 1 falls into the last bin.
# </details>
#
# <details><summary>Hint 2: one bin</summary>
#
# A boolean mask selects the answers in a bin, and the mean of the mask is the share of all answers that
# are in it. Skip bins without answers: their mean is not defined.
# </details>

# %% provided="calibration"
from trickster.evaluation import expected_calibration_error as calibration_error


def left_by_chance(posteriors):
    """The mean error where the probabilities are exact: true classes are drawn from them."""
    rng, summed = np.random.default_rng(0), posteriors.cumsum(axis=1)
    drawn = [(summed < rng.random((len(summed), 1))).sum(axis=1) for _ in range(100)]
    return np.mean([calibration_error(posteriors, classes) for classes in drawn])


error = expected_calibration_error(posteriors, fashion.y_test)
confidence = posteriors.max(axis=1)
print(f"expected calibration error: {error:.4f}")
print(f"if all probabilities were exact, chance would leave {left_by_chance(posteriors):.3f}")
print(f"mean confidence: {confidence.mean():.3f}, accuracy: {accuracy(posteriors, truth):.3f}")
certain = confidence > 0.9
print(
    f"confidence above .9: {certain.mean():.1%} of the answers, {wrong[certain].mean():.1%} wrong"
)
doubtful = (confidence > 0.5) & (confidence <= 0.7)
print(f"from .5 to .7: {doubtful.mean():.1%} of the answers, {wrong[doubtful].mean():.1%} wrong")
last = confidence > 14 / 15
part = last.mean() * (confidence[last].mean() - 1 + wrong[last].mean()) / error
print(
    f"last bin: {last.mean():.1%} of the answers, mean confidence {confidence[last].mean():.3f}, "
    f"accuracy {1 - wrong[last].mean():.3f}, {part:.0%} of the error"
)
yours = Classifier(my_victim).posteriors(fashion.x_test)
print(
    f"your network of exercise 2, {len(my_losses)} epochs: "
    f"error {expected_calibration_error(yours, truth):.4f}, "
    f"mean confidence {yours.max(axis=1).mean():.3f}, accuracy {accuracy(yours, truth):.3f}"
)
gap = confidence.mean() - accuracy(posteriors, truth)
print(f"Your guess: {my_calibration}. Measured: mean confidence minus accuracy is {gap:+.3f}.")
plots.reliability(posteriors, fashion.y_test, title="The victim's reliability")

# %% [markdown]
# **How to read the figure.** The victim is overconfident where a point lies below the dotted line, and
# underconfident where one lies above it. The bars show the sampling error, as the ± in exercise 2 does. The lower
# panel counts the answers in each bin; a hollow point stands for so few that its accuracy is mostly chance.
#
# **Explain it before you open the next fold.** Which way is the victim wrong about itself, and at which confidences
# most? Why does so much of the calibration error come from the last bin, whose gap is small? And why is the error as
# large as the mean confidence minus the accuracy?
#
# <details><summary><b>Read the result</b></summary>
#
# The victim is overconfident: its mean confidence is .924, but only 88.6 % of its answers are correct. Four of the
# five points from .57 to .83 lie more than .1 below the diagonal. Which of them has the largest gap is mostly chance:
# the bars are longer than the differences between the gaps.
#
# The calibration error is .038. Not all of it is the victim's fault, because the accuracy of a bin is also a matter of
# luck: exact probabilities would still leave .008 on average. In the last bin the gap is only about two points, but
# three quarters of all answers lie there, so 43 % of the error comes from it. The error nearly equals the difference
# of the two means because nearly all answers lie in bins that err in the same direction. Gaps of both signs would
# cancel in that difference, but not in the error.
#
# More training makes the network of exercise 2 more overconfident: its error is .033 after 8 epochs and .059 after 16
# (with two other seeds, .055 and .061). Its accuracy rises by less than a point, but its mean confidence from .915
# to .949.
#
# The confidence is still useful. Of the answers with a confidence above .9, only 3.3 % are wrong; of
# those between .5 and .7, nearly half are. But most answers have a high confidence, 77.6 % of them above
# .9. Remember this in lab 3, where you will try to recognise a thief's strange pictures by the low
# confidence of the answers.
#
# </details>

# %% [markdown]
# **Playground.** Confidence can be corrected after training: divide all logits by a *temperature* before
# the softmax. A temperature above 1 makes the answers less certain, one below 1 makes them more certain.
# Choose a value under the next cell and watch the figure. Which temperature brings the line closest to
# the diagonal? And what happens to the accuracy?

# %% provided="playground"
from trickster.models import softmax as probabilities_of
from trickster.playground import Control, playground

test_logits = victim.logits(fashion.x_test)


def reliability_at(temperature):
    """The victim's reliability if its logits are divided by a temperature."""
    softened = probabilities_of(test_logits / temperature)
    error, right = calibration_error(softened, fashion.y_test), accuracy(softened, fashion.y_test)
    return plots.reliability(
        softened,
        fashion.y_test,
        title=f"Temperature {temperature:g}: calibration error {error:.3f}, accuracy {right:.3f}",
    )


temperatures = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
softened = [probabilities_of(test_logits / t) for t in temperatures]
errors = [calibration_error(answers, truth) for answers in softened]
least = np.argmin(errors)
print(f"One of the temperatures has a calibration error of {errors[least]:.3f}. Which?")
print(f"Chance would leave {left_by_chance(softened[least]):.3f} if its probabilities were exact.")
playground(reliability_at, temperature=Control("temperature", temperatures, start=2.0))

# %% [markdown]
# <details><summary>What to expect</summary>
#
# At 2.0 the victim has become underconfident: the points lie above the diagonal, and the error is about as large as
# without any correction (.040, against .038). At 1.5 it is smallest, .013, little more than the .010 that chance
# leaves on average. The accuracy is .886 at every temperature: dividing all logits of an answer by the same number
# leaves the largest one the largest.
# </details>

# %% [markdown]
# ## Exercise 5: the black box
#
# | difficulty | time | points |
# |---|---|---|
# | ●●●○○ | 20 minutes | 4 |
#
# **Idea.** The service has a *budget* for the customer and a *meter* that counts the pictures answered so far. The
# order of its steps matters: first **check** the input, then **charge** for it, then **answer**. A service that
# charges last leaves a gap between check and charge for as long as the model computes. A second request that arrives
# during this gap still finds the budget unspent. And a customer who receives the answers one by one can hang up
# before the last, and then pays for none. What is charged stays charged here, even if `predict` fails: with a refund,
# a customer could hang up on purpose and pay nothing. (A real service may refund its own failures, but must tell them
# from a customer who hung up.)
#
# Raise `InvalidQuery("a sentence")` for pictures that do not have the shape `(n, 1, 28, 28)`, for an
# empty batch, for anything but floats, for NaN or infinite pixels, and for values outside [0, 1]. If a
# batch does not fit into what is left of the budget, refuse *all of it* with
# `BudgetExceeded("customer", requested, remaining)`. Its arguments are who asks (any name will do), how
# many answers they asked for, and how many they have left. Do not charge for a refused request.
#
# > **Predict.** A customer has 5 queries left and sends 6 pictures. Why should the service not simply
# > answer the first 5?

# %%
my_reason = "no guess yet"  # a few words


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
# Shape, empty batch, dtype, budget, values; then charge, then answer. Put cheap tests first, so that a flood of
# pictures can be refused at almost no cost. (This order has a price, which you will see at the end of the exercise.)
# </details>
#
# <details><summary>Hint 2: NaN</summary>
#
# A NaN is neither smaller nor larger than anything, so <code>x.min() < 0</code> does not notice it. Use
# <code>np.isfinite(x).all()</code>.
# </details>

# %% provided="open_for_business"
shop = API(lambda x: predict_proba(victim.network, x), budget=1_000)
print("100 pictures:", shop.query(fashion.x_test[:100]).shape, "used:", shop.used)
too_many = np.broadcast_to(fashion.x_test[0], (200_000, 1, 28, 28))
for name, bad in {"bytes": (some * 255).astype("uint8"), "a flood": too_many}.items():
    try:
        shop.query(bad)
    except (InvalidQuery, BudgetExceeded) as refusal:
        told = f"{name}: {type(refusal).__name__}: {refusal}"
        print(textwrap.fill(told, 99, subsequent_indent="  "))
print("used:", shop.used)

# %% [markdown]
# Back to the customer with 5 queries left who sends 6 pictures. If the service answers the first 5, the customer just
# loses the last answer. It gets worse if the allowance comes back, as with a quota per minute. Suppose that a service
# answers only the first 5 pictures of *every* request. A customer's program sends 6 at a time, joins all the rows that
# it receives, and takes row *i* for the answer to picture *i*.

# %%
requests = np.split(fashion.x_test[:600], 100)
rows = np.concatenate([predict_proba(victim.network, x)[:5] for x in requests])
print(f"Your guess: {my_reason}.")
cut, whole = accuracy(rows, truth[:500]), accuracy(posteriors[:500], truth[:500])
print(f"Measured: an accuracy of {cut:.3f}; with an answer to each picture, {whole:.3f}.")

# %% [markdown]
# **Explain it before you open the next fold.** Each of these 500 rows is the victim's honest answer. Why are they
# worth so little to the customer, and what would tell them that something is wrong?
#
# <details><summary><b>Read the result</b></summary>
#
# From the second request on, every row is taken for the answer to another picture, and the accuracy falls to .098,
# that of guessing. The rows look like any others; only their number, 5 for 6 pictures, could tell the customer. And a
# program that notices and repeats the whole request pays for the same five pictures twice. A refusal leaves the
# choice to the customer, who can send five pictures and get five answers.
#
# </details>
#
# And why charge before you answer? A customer with a budget of 5 sends two requests of 5 pictures at once, and the
# service answers each in a thread of its own. What the customer gets depends on when the second thread runs. The
# next cell tries every line: it stops the first request before each line of `query` in turn, and lets the second
# run there. (Real threads can also switch inside a line.)
#
# > **Predict.** At which lines of *your* `query` will both requests be answered?

# %%
my_lines = "no guess yet"  # for example "nowhere", or "before the last two"

# %% provided="two_at_once"
from threading import Lock

from trickster import races


class ChargesLast:
    """A service that charges after it has answered (and does not look at the pictures)."""

    def __init__(self, predict, budget):
        self.predict, self.budget, self.used = predict, budget, 0

    def query(self, x):
        if len(x) > self.budget - self.used:
            raise BudgetExceeded("customer", len(x), self.budget - self.used)
        answers = self.predict(x)
        self.used += len(x)
        return answers


class OneStep(API):
    """Your API, but only one request at a time is checked and charged. Then it is answered."""

    def __init__(self, predict, budget):
        super().__init__(lambda x: x, budget)  # answers with the pictures themselves
        self.gate, self.serve = Lock(), predict

    def query(self, x):
        with self.gate:  # whoever comes second waits here
            x = super().query(x)
        return self.serve(x)


def with_budget_of_5(kind):
    """Makes services of this kind; what they answer does not matter here."""
    return lambda: kind(lambda x: posteriors[: len(x)], budget=5)


five = fashion.x_test[:5]
for name, kind in {"answer, then charge": ChargesLast, "your API": API}.items():
    print(f"{name}: answers received if the second request runs just before the line")
    for (_, line), received in races.answers_by_line(with_budget_of_5(kind), five, kind).items():
        print(f"{received:6}  {line}")
locked = races.answers_by_line(with_budget_of_5(OneStep), five, API)
print(f"your API behind a lock: {max(locked.values())} at most, at any line")
print(f"Your guess: {my_lines}.")

# %% [markdown]
# **Explain it before you open the next fold.** Between which two steps of your `query` is there still a gap?
#
# <details><summary><b>Read the result</b></summary>
#
# A service that charges last gives 10 answers for a budget of 5 while the model computes, which takes most of the
# time. Charging first narrows the gap but does not close it: after one thread has read what is left of the budget,
# and before it has charged, another still finds the budget unspent. (If your `query` stores what is left in a
# variable, the gap opens right after that line.) With the order of hint 1, the slowest check, that of every pixel,
# lies inside this gap. Check and charge must be *one* step. Real services use a lock, as `OneStep` does; it is free
# again before the model answers, so slow answers keep nobody waiting. (`OneStep` still holds it while it looks at the
# pixels. The usual remedy is to compare with the budget twice: early, to refuse a flood cheaply, and again under the
# lock, just before the charge.) Or they let the database check and charge in one statement,
# `UPDATE … SET used = used + 5 WHERE used + 5 <= budget`, and refuse if it changed no row. A transaction around two
# separate statements is not enough in itself: in most databases, by default, two of them can read the same `used`.
#
# </details>
#
# From lab 2 on you use the library's own `trickster.api.PredictionAPI`. It does the same for many customers at once,
# compares with the budget a second time under a lock, keeps a log, and can apply defences to its answers.

# %% [markdown]
# ## Exercise 6: in your own words
#
# | difficulty | time | points |
# |---|---|---|
# | ●●○○○ | 10 minutes | 2 |
#
# Your manager asks: "Why don't we send just the name of the class? Then nobody learns our
# probabilities." Answer in four to eight sentences, with at least one number that this notebook printed:
#
# - What would an honest customer lose? (Exercises 3 and 4 measured two such losses.)
# - What would a thief still get?
# - What does the meter of exercise 5 protect, and what does it not protect?
# - A guess, which is not marked: the thief at the beginning bought probabilities. How far would they have come with
#   labels alone? Lab 2 measures such a difference.

# %% [markdown] written="written" points=2
# ### BEGIN SOLUTION
# Customers use the probabilities to decide which answers to trust: above a confidence of .9 only 3.3 %
# of the answers are wrong, between .5 and .7 nearly half are, and a shop can let a person look at
# those. With the class name alone they can no longer tell the two apart. They also lose the second choice, which
# is right in 73.3 % of the cases in which the first is wrong. A thief still gets a label
# for each picture they send, correct for 88.6 % of real clothes, and so a labelled training set for
# the price of the queries. The opening theft reached 56.5 % with probabilities; with labels I expect less, but more
# than half of it, since labels already say where one class ends and the next begins. The meter limits how many labels
# one account gets and makes them cost money. It does not make a single answer less useful to a thief, and it does not
# know whether several accounts belong to the same person.
#
# ### BEGIN MARK SCHEME
# One point: names something that an honest customer loses (a confidence to judge the answer by, the
# second choice, a threshold of their own) and says that labels alone still train a clone, with a number
# from the notebook. One point: says what the meter limits (the number of answers) and one thing that
# it does not (the value of an answer; several accounts). The guess about labels is not marked. Half points are fine.
# ### END MARK SCHEME
# ### END SOLUTION

# %% [markdown]
# ## ★ Extension: make it less sure of itself
#
# This is for you if you have time left. It is not graded.
#
# In the playground of exercise 4 you chose a temperature *T* by hand. *Temperature scaling* (Guo et al.
# 2017) lets the data choose it. Find the *T* that minimises the cross-entropy on half of the held-out
# pictures, and measure the calibration error on the other half.
# `trickster.models.softmax(victim.logits(x) / T)` gives you the new probabilities. Before you start,
# guess *T* from what the playground showed.
#
# <details><summary>What to expect</summary>
#
# The error falls to less than half of what it was, and *T* is larger than 1, because
# the victim is overconfident. The accuracy does not change at all, because dividing all logits by the
# same number keeps their order. If you choose *T* on the same pictures on which you measure, the result
# looks slightly better than it is.
# </details>

# %% [markdown]
# ## What was shown, and what was not
#
# **Shown.** A small network classifies 88.2 % (exercise 2) or 88.6 % (the shipped victim) of unseen pictures
# correctly. 500 answers of the shipped one are enough for a linear clone that agrees with it on 56.5 to 57.5 % of
# the clothes (three sets of shapes). Its probabilities tell more than its labels, and they are overconfident. A
# budget holds only if check and charge are one step.
#
# **Not shown.** Nothing here keeps a thief away. The API does exactly what it was built for, and in
# lab 2 that is enough to lose the model. Exercise 5 asks for no lock: without one, your API is not safe with several
# threads. The ± in exercise 2 covers only the choice of test pictures: training once more with another seed would
# also change the result.
#
# **In the real world.** MITRE ATLAS, a catalogue of attacks on AI systems, lists what you have just
# opened to the public as *AI Model Inference API Access*
# ([AML.T0040](https://atlas.mitre.org/techniques/AML.T0040)), and theft through it as *Extract AI Model*
# ([AML.T0024.002](https://atlas.mitre.org/techniques/AML.T0024.002)). Your meter is a first form of its
# mitigation *Restrict Number of AI Model Queries*
# ([AML.M0004](https://atlas.mitre.org/mitigations/AML.M0004)).
#
# **Papers.**
# - Xiao, Rasul and Vollgraf, [Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
#   Algorithms](https://arxiv.org/abs/1708.07747), arXiv, 2017.
# - Naeini, Cooper and Hauskrecht, [Obtaining Well Calibrated Probabilities Using Bayesian
#   Binning](https://ojs.aaai.org/index.php/AAAI/article/view/9602), AAAI 2015.
# - Guo, Pleiss, Sun and Weinberger, [On Calibration of Modern Neural
#   Networks](https://arxiv.org/abs/1706.04599), ICML 2017.
# - Hinton, Vinyals and Dean, [Distilling the Knowledge in a Neural
#   Network](https://arxiv.org/abs/1503.02531), arXiv, 2015.
# - Tramèr, Zhang, Juels, Reiter and Ristenpart, [Stealing Machine Learning Models via Prediction
#   APIs](https://arxiv.org/abs/1609.02943), USENIX Security 2016.
# - Loshchilov and Hutter, [Decoupled Weight Decay
#   Regularization](https://arxiv.org/abs/1711.05101), ICLR 2019.
