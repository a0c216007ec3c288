#!/bin/sh
# The first process of a "host": host keys of its own, cron, sshd. SSH_PORT is 22 unless told.
set -eu
ssh-keygen -A >/dev/null
cron
exec /usr/sbin/sshd -D -e -p "${SSH_PORT:-22}"
