#!/bin/sh
# The first process of a "host": host keys of its own, cron, sshd. SSH_PORT is 22 unless told;
# INSTANCE_PUBLIC_KEY opens it to the tests (instance_ssh_config).
set -eu
[ -z "${INSTANCE_PUBLIC_KEY:-}" ] || printf '%s\n' "$INSTANCE_PUBLIC_KEY" > /run/instance_key
ssh-keygen -A >/dev/null
cron
exec /usr/sbin/sshd -D -e -p "${SSH_PORT:-22}"
