#!/usr/bin/env bash
# Starts one lane of the tests: a Python interpreter that sees a machine of its own, so that several
# lanes run side by side. Users, cron lines and the daemons' folders that its tests make are its own
# (mount namespace), as are its processes (process namespace); when the lane ends, the kernel ends
# every process in it and forgets the rest. Disks, packages and the network are the machine's.
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
# A link out of the folder would lead to what /run no longer holds.
cp -fL --remove-destination /etc/resolv.conf /run/lane/etc/resolv.conf 2>/dev/null || true  # there may be none
for customize in /run/lane/etc/python3.*/sitecustomize.py; do
  if [[ -e $customize ]]; then
    { cat "$here/tests/zip_bytecode.py" && printf 'keep("%s")\n' "$here/build/test/bytecode"; } >> "$customize"
  fi
done
mount --bind /run/lane/etc /etc
if [[ -d $spool ]]; then
  mkdir /run/lane/crontabs
  chown --reference="$spool" /run/lane/crontabs
  chmod --reference="$spool" /run/lane/crontabs
  mount --bind /run/lane/crontabs "$spool"
fi

# Not `exec`: the first process of a process namespace adopts orphans, and bash buries them.
status=0
"$here/.venv/bin/python" "$@" || status=$?
exit "$status"
