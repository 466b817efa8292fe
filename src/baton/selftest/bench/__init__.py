"""What this machine can carry: load like that of gateways on the engines of a node, and the search for their limit."""
