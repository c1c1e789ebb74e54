# /// zoo
# about = "A notebook of 200 MB"
# kind = "clumsy"
# file = "huge"
# [expect]
# total = 0
# status = "failed"
# reason = "more than 50 are refused"
# ///
