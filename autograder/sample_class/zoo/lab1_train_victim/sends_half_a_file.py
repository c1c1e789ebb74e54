# /// zoo
# about = "A file that was cut off while it was sent"
# kind = "clumsy"
# sample = true
# file = "truncated"
# [expect]
# total = 0
# status = "failed"
# reason = "is not valid JSON"
# ///
