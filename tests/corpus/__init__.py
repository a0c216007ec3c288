"""Healthy databases that this project did not shape, and ways to break one."""
