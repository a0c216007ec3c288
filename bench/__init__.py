"""Measurements side by side: see README.md."""
