#!/bin/sh
# The first process of a "host": a host key of its own, cron, sshd. SSH_PORT is 22 by default;
# INSTANCE_PUBLIC_KEY opens it to the tests (instance_ssh_config).
set -eu
[ -z "${INSTANCE_PUBLIC_KEY:-}" ] || printf '%s\n' "$INSTANCE_PUBLIC_KEY" > /run/instance_key
# One alone: to make an RSA key takes seconds where twenty hosts do it on two cores.
key=/etc/ssh/ssh_host_ed25519_key
[ -s "$key.pub" ] || ssh-keygen -q -t ed25519 -N '' -f "$key"
cron
exec /usr/sbin/sshd -D -e -p "${SSH_PORT:-22}"
