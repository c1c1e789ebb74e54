# /// zoo
# about = "One-hot labels from the largest of each column"
# [expect]
# train_clone_test = [2.5, 3]
# total = [2.5, 3]
# ///

# %% train_clone
def train_clone(x, answers, labels="soft", epochs=10, seed=0):
    if labels == "hard":
        answers = np.eye(10, dtype="float32")[answers.argmax(axis=0)]
    network = models.mlp(seed=seed)
    training.fit(network, x, answers, epochs=epochs, lr=3e-3, seed=seed)
    return models.Classifier(network).posteriors
