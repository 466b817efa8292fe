"""One file per command of the operator; each is imported only when it is called."""
