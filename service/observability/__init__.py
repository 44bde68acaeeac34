"""What an operator sees of a running server, none of it about patients."""
