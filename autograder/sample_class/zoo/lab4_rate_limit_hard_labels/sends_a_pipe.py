# /// zoo
# about = "A pipe in place of the notebook: whoever reads it waits for ever"
# kind = "hostile"
# file = "pipe"
# [expect]
# total = 0
# status = "failed"
# reason = "is not a file"
# ///
