# /// zoo
# about = "A link to the solution beside the notebook"
# kind = "hostile"
# file = "link beside it"
# [expect]
# total = 0
# status = "failed"
# reason = "is a link"
# ///
