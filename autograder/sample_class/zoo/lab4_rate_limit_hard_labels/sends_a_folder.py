# /// zoo
# about = "A folder in place of the notebook"
# kind = "clumsy"
# file = "folder"
# [expect]
# total = 0
# status = "failed"
# reason = "is not a file"
# ///
