"""Jobs of the service: batches that are worked on beside the calls."""
