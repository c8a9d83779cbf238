"""The page a nurse watches: it reads, and can change nothing."""
