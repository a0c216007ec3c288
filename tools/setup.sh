#!/usr/bin/env bash
# Install what this checkout needs: Debian packages (named first) and a virtual environment with the
# pinned Python packages. Running it again changes nothing.
#
# ANSIBLE_CORE=2.21 takes that ansible-core in place of the pinned one, PYTHON=/path/python3.13 that Python:
# with these two the forges' jobs run the same commands on every supported version.
set -euo pipefail
cd "$(dirname "$0")/.."

# command that must exist -> Debian package that brings it
declare -A needed=(
  [rsync]=rsync [rclone]=rclone [age]=age [sshd]=openssh-server [ssh]=openssh-client [crontab]=cron [logrotate]=logrotate [mkfs.ext4]=e2fsprogs
  [ip]=iproute2 [iptables]=iptables [mkfs.btrfs]=btrfs-progs
  [check_disk]=monitoring-plugins-basic [setpriv]=util-linux [bwrap]=bubblewrap [locale-gen]=locales
  [python3]=python3 [shellcheck]=shellcheck [zstd]=zstd [lz4]=lz4 [xz]=xz-utils
)
PATH="$PATH:/usr/sbin:/sbin:/usr/lib/nagios/plugins"
missing=()
for command in "${!needed[@]}"; do
  command -v "$command" >/dev/null || missing+=("${needed[$command]}")
done
digest=$(sha256sum requirements.lock | cut -d' ' -f1)${ANSIBLE_CORE:+ $ANSIBLE_CORE}${PYTHON:+ $PYTHON}
environment=missing
[[ -x .venv/bin/python && "$(cat .venv/.lock-digest 2>/dev/null)" == "$digest" ]] && environment=there
# Prefer Debian 12's Python: one of a version manager is often built without optimization and a fifth
# slower.
python=python3
/usr/bin/python3.11 -c 'import ensurepip, venv' 2>/dev/null && python=/usr/bin/python3.11
python=${PYTHON:-$python}
if [[ $environment == missing ]]; then
  # Without ensurepip, which is in Debian's python3-venv, no virtual environment can be made.
  "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
fi

# Some tests run the monitor as a user who sees no virtual environment: by Debian's own Python.
/usr/bin/python3 -c 'import psutil' 2>/dev/null || missing+=(python3-psutil)
# amcheck comes with Debian's server; the PostgreSQL of the Python package lacks it.
compgen -G '/usr/share/postgresql/*/extension/amcheck.control' >/dev/null || missing+=(postgresql)

environment() {
  "$python" -m venv ${PYTHON:+--clear} .venv
  # Compiling every module takes longer than the installation; Python compiles what is imported.
  .venv/bin/pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
  if [[ -n ${ANSIBLE_CORE:-} ]]; then
    # The collections of the package `ansible` stay; pip warns that it was made with another core.
    .venv/bin/pip install --quiet --disable-pip-version-check "ansible-core~=$ANSIBLE_CORE.0"
  fi
  echo "$digest" > .venv/.lock-digest
}

installing=
if ((${#missing[@]})); then
  if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    echo "setup: installing the system packages: ${missing[*]}"
    # Where Python has all that a virtual environment needs, it is made meanwhile: apt and pip each wait
    # for the network, the disk or one processor most of the time.
    if [[ $environment == missing && ! " ${missing[*]} " =~ " python3 "|" python3-venv " ]]; then
      echo "setup: installing the pinned Python packages into .venv beside them (about a minute)"
      environment &
      installing=$!
      # Where apt fails, nothing goes on behind the user's back.
      trap wait EXIT
    fi
    # Without this Debian's server package creates and starts a cluster, which nothing here uses.
    [[ -e /etc/postgresql-common/createcluster.conf ]] || {
      mkdir -p /etc/postgresql-common
      echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "setup: these system packages are missing: ${missing[*]}" >&2
    echo "setup: install them (as root: apt-get install ${missing[*]}) and run this again" >&2
    exit 1
  fi
fi

if [[ -n $installing ]]; then
  wait "$installing"
elif [[ $environment == missing ]]; then
  echo "setup: installing the pinned Python packages into .venv (about a minute)"
  environment
fi
# The collection under its full name, for tools that look for ansible_collections/<namespace>/<name>.
mkdir -p build/collections/ansible_collections/chefwell
ln -sfn "$PWD" build/collections/ansible_collections/chefwell/resilience
