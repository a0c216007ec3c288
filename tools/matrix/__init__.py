"""The walk of a new owner on hosts of several systems, by several versions of Ansible."""
