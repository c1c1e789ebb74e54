# /// zoo
# about = "A link to a file that never ends"
# kind = "hostile"
# file = "endless link"
# [expect]
# total = 0
# status = "failed"
# reason = "is a link"
# ///
