#!/usr/bin/env bash
# Start one lane of the tests: a Python interpreter with users, cron lines, daemons' folders (mount
# namespace) and processes (process namespace) of its own, so that several lanes run side by side.
# When the lane ends, the kernel ends every process in it and drops its mounts. Disks, packages and
# the network are the machine's. Temporary files are in memory, below /tmp/lane-tmp, unless LANE_DISK is
# set: ext4 without a journal looks for an inode that was not freed within the last minutes each time it
# makes a file, and where four lanes make and remove clusters of PostgreSQL that is half of all work.
# usage: tests/lane.sh PYTHON-ARGUMENTS...    (root; pytest-xdist calls it as its interpreter)
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

if [[ ${1:-} != --within ]]; then
  exec unshare --mount --pid --fork --mount-proc --kill-child -- "$here/tests/lane.sh" --within "$@"
fi
shift

spool=/var/spool/cron/crontabs
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/lane/etc /run/lock /run/sshd
cp -a /etc/. /run/lane/etc
# resolv.conf may be a link into the old /run, which is hidden now: copy what it leads to.
cp -fL --remove-destination /etc/resolv.conf /run/lane/etc/resolv.conf 2>/dev/null || true  # may be missing
mount --bind /run/lane/etc /etc
if [[ -d $spool ]]; then
  mkdir /run/lane/crontabs
  chown --reference="$spool" /run/lane/crontabs
  chmod --reference="$spool" /run/lane/crontabs
  mount --bind /run/lane/crontabs "$spool"
fi

if [[ -z ${LANE_DISK:-} ]]; then
  # One folder for all lanes: each has a mount of its own there.
  mkdir -p /tmp/lane-tmp
  mount -t tmpfs -o mode=1777 tmpfs /tmp/lane-tmp
  mkdir /tmp/lane-tmp/pytest-of-root
  export TMPDIR=/tmp/lane-tmp LANE_FOLDER=/tmp/lane-tmp
fi

# No `exec`: the first process of a process namespace adopts orphans, and bash reaps them.
# A run that was started by `nohup` or `&` ignores signals, and what tests start would do so, too.
status=0
env --default-signal=HUP,INT,QUIT "$here/.venv/bin/python" "$@" || status=$?
exit "$status"
