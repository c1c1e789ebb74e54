# /// zoo
# about = "Uses a shuffling loader, so that rows answer other pictures"
# [expect]
# predict_proba_test = 2
# total = 2
# ///

# %% predict_proba
def predict_proba(model, x, batch_size=512):
    was_training = model.training
    model.eval()
    loader = torch.utils.data.DataLoader(torch.tensor(x), batch_size=batch_size, shuffle=True)
    with torch.no_grad():
        answers = [F.softmax(model(batch), dim=1) for batch in loader]
    model.train(was_training)
    return torch.cat(answers).numpy()
