"""The command line: one file per verb. Heavy modules are imported only by the verbs that need them."""
