# /// zoo
# about = "An empty file"
# kind = "clumsy"
# file = "empty"
# [expect]
# total = 0
# status = "failed"
# reason = "is empty"
# ///
