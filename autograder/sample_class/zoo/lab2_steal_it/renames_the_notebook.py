# /// zoo
# about = "The browser called the file (1)"
# kind = "clumsy"
# file = "renamed"
# [expect]
# total = 0
# status = "failed"
# reason = "Rename"
# ///
