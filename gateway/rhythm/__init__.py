"""Beats and rate → rhythm events: small rules, each with one finding of its own."""
