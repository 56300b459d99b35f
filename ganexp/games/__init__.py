"""Games: the algorithm box of a paper, as named players and what each of them minimises."""
