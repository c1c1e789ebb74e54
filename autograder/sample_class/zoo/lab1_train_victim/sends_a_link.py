# /// zoo
# about = "A link to the solution in place of the notebook"
# kind = "hostile"
# file = "symlink"
# [expect]
# total = 0
# status = "failed"
# reason = "is a link"
# ///
