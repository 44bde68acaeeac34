"""Many patients at once: chunk by chunk, so that a run that was cut off goes on where it was."""
