"""What the operator sees and touches: command line, logs, metrics, the management port."""
