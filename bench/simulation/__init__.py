"""A coordinator and its fleet in virtual time: the real folds and planner, and policies to compare with."""
