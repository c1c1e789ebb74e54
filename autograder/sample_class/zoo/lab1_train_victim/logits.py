# /// zoo
# about = "Answers with logits instead of probabilities"
# [expect]
# predict_proba_test = 3
# total = 3
# ///

# %% predict_proba
def predict_proba(model, x, batch_size=512):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        answers = [model(batch) for batch in torch.tensor(x).split(batch_size)]
    model.train(was_training)
    return torch.cat(answers).numpy()
