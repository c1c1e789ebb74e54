# %% [markdown] after="★ If you have time: what a lie looks like"
# Three starts that a thief could have: the best of four with random weights, by the loss on answers kept aside; the
# clone of a thief who believes everything; and that clone's mirror image. The fourth is cheating again: the truths,
# learnt for longer.


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
ASIDE = 500  # answers that no clone learns from, to choose by
for name, starts_of in ways.items():
    found = []
    for s in SEEDS:
        x, labels = pool(s), told_labels[s]
        learnt, aside = slice(ASIDE, None), slice(ASIDE)
        clones = [learn_both_kinds(one, x[learnt], labels[learnt], s) for one in starts_of(s)]
        losses = [
            [loss_on(clone.logits(x[part]), labels[part], 0.58) for part in (learnt, aside)]
            for clone in clones
        ]
        best = int(np.argmin(losses, axis=0)[1])
        found.append((fidelity_of(clones[best]), *losses[best]))
    print(f"{name:16}", ",  ".join(f"{f:.2f} ({a:.2f}, {b:.2f})" for f, a, b in found))

# %% [markdown]
# For each seed, this prints the fidelity and, in brackets, the loss on the answers learnt from and on those kept aside:
#
# ```
# best of four     0.08 (1.31, 1.64),  0.10 (1.28, 1.51),  0.17 (1.34, 1.54)
# believing        0.26 (1.36, 1.81),  0.23 (1.33, 1.77),  0.27 (1.28, 1.64)
# its mirror image 0.35 (1.07, 1.54),  0.16 (1.07, 1.49),  0.26 (1.07, 1.46)
# truths, longer   0.57 (1.12, 1.45),  0.65 (1.08, 1.44),  0.62 (1.12, 1.45)
# ```
#
# None of the three thieves comes near the one who cheats. On the answers that a clone has learnt from, the smallest
# loss does not find the best clone: the networks that start in the mirror end with a smaller loss than those that
# start from the truths, and agree with the victim far less. On answers kept aside it does: with each seed, the clone
# from the truths has the smallest loss, though with the third by only .01. Among the starts that a thief could have,
# it chooses the mirror image each time, which is no better on average than to believe everything. So a good start is
# missing above all. Whoever has a few clothes of their own, and knows what they are, could also choose by those.
