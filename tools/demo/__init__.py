"""The demo: all three stages on this machine, by `make demo`; `make demo-clean` removes it."""
