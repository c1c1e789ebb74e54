# /// zoo
# about = "Softmax along the batch instead of the classes"
# [expect]
# predict_proba_test = 2
# total = 2
# ///

# %% predict_proba
def predict_proba(model, x, batch_size=512):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        answers = [F.softmax(model(batch), dim=0) for batch in torch.tensor(x).split(batch_size)]
    model.train(was_training)
    return torch.cat(answers).numpy()
