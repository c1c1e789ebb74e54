# /// zoo
# about = "JSON that is nested 100,000 deep"
# kind = "hostile"
# file = "nested"
# [expect]
# total = 0
# status = "failed"
# reason = "nested too deeply"
# ///
