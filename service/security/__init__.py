"""Who may call the service, over what, and the record of who did."""
