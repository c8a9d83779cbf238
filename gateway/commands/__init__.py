"""What `ecg-gateway` can be told: a module for each command, imported only when it is the one."""
