"""The objects that a Job becomes, and the plan that leads there: pure, values in, values out."""
