"""Games: a paper's training algorithm, as named players and the losses that each of them minimises."""
