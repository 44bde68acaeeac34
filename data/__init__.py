"""Files and stores to values, and back."""
