# %% [markdown] after="★ If you have time: what a lie looks like"
# Three starts that a thief could have: the best of four with random weights, by the loss; the clone of a thief who
# believes everything; and that clone's mirror image. The fourth is cheating again: the truths, learnt for longer.


# %%
def believing(seed, mirror=1):
    """The clone that takes each label for the truth, or with mirror=-1 its mirror image."""
    network = clone_of(pool(seed), np.eye(10)[told_labels[seed]], "hard", seed).network
    with torch.no_grad():
        for weights in network.head.parameters():
            weights.mul_(mirror)
    return network


ways = {
    "best of four": lambda s: [
        models.mlp(pool(s).shape[1:], 10, seed=10 * s + i) for i in range(4)
    ],
    "believing": lambda s: [believing(s)],
    "its mirror image": lambda s: [believing(s, mirror=-1)],
    "truths, longer": lambda s: [told_the_truths(s, epochs=24)],
}

# %%
for name, starts_of in ways.items():
    found = []
    for s in SEEDS:
        x, labels = pool(s), told_labels[s]
        clones = [learn_both_kinds(start, x, labels, s) for start in starts_of(s)]
        losses = [loss_on(clone.logits(x), labels, 0.58) for clone in clones]
        best = int(np.argmin(losses))
        found.append((fidelity_of(clones[best]), losses[best]))
    print(f"{name:16}", ",  ".join(f"{f:.2f} (loss {loss:.2f})" for f, loss in found))

# %% [markdown]
# This prints, for each seed,
#
# ```
# best of four     0.00 (loss 1.19),  0.18 (loss 1.21),  0.27 (loss 1.23)
# believing        0.26 (loss 1.30),  0.26 (loss 1.29),  0.23 (loss 1.28)
# its mirror image 0.37 (loss 1.01),  0.12 (loss 1.02),  0.39 (loss 1.02)
# truths, longer   0.58 (loss 1.05),  0.64 (loss 1.03),  0.64 (loss 1.08)
# ```
#
# None of the three thieves comes near the one who cheats. And the smallest loss does not find the best clone: the
# networks that start in the mirror end with a smaller loss than those that start from the truths, and agree with the
# victim far less. They explain the 3,000 answers as well as the victim itself (1.01), but with other classes. So a good
# start is not all that is missing: a thief with several candidates could not choose among them by this loss. Whoever
# has a few clothes of their own, and knows what they are, could choose by those.
