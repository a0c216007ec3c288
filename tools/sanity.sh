#!/usr/bin/env bash
# ansible-test looks only at a checkout under ansible_collections/<namespace>/<name>; this makes one
# from the files that git knows or would add, and runs its sanity tests there in virtual environments.
# What a release does not ship (build_ignore of galaxy.yml) is left out: users never get it, and ruff
# has judged it.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
tree=build/sanity/ansible_collections/chefwell/resilience
rm -rf build/sanity
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard -- . ':!bench' ':!molecule' ':!tests' ':!tools' \
  | xargs -0 cp --parents -t "$tree"
git -C "$tree" init -q .
git -C "$tree" add -A

# `--venv` fetches a pip bootstrap file from the network when it is not in this cache; Python's own
# ensurepip does the same work without the network. An existing file is left as it is.
bootstrap=${HOME:-/root}/.ansible/test/cache/get_pip_24_2.py
if [[ ! -e $bootstrap ]]; then
  mkdir -p "$(dirname "$bootstrap")"
  printf 'import ensurepip\n\nensurepip.bootstrap()\n' > "$bootstrap"
fi
python_version=$("$here/.venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
cd "$tree"
export PATH="$here/.venv/bin:$PATH"
ansible-test sanity --venv --python "$python_version" --color no
