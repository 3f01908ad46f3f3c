"""`make bench`: figures of the whole system beside the limit measured in the same run."""
