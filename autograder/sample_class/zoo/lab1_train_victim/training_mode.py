# /// zoo
# about = "Leaves training mode on while it answers"
# [expect]
# predict_proba_test = 3
# total = 3
# ///

# %% predict_proba
def predict_proba(model, x, batch_size=512):
    with torch.no_grad():
        answers = [F.softmax(model(batch), dim=1) for batch in torch.tensor(x).split(batch_size)]
    return torch.cat(answers).numpy()
