"""What the command line asks of the running gateway, and who answers."""
