"""What can be wrong with the box, and what to do about it."""
