"""The promise kept once, on this machine: `make demo` and `make demo-clean`; see README.md."""
