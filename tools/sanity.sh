#!/usr/bin/env bash
# Run ansible-test's sanity tests in a copy of the checkout. ansible-test needs the path
# ansible_collections/<namespace>/<name>. The copy holds the files that git knows or would add, without
# folders that a release does not ship (build_ignore of galaxy.yml).
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

# `--venv` downloads a bootstrap of pip if this file is missing, which has the version of ansible-test's own
# pip in its name. Python's ensurepip does the same without the network.
pip_version=$("$here/.venv/bin/python" -c '
import pathlib, re, ansible_test
source = pathlib.Path(ansible_test.__path__[0], "_internal", "python_requirements.py").read_text()
print(re.search("""pip=.([0-9.]+)""", source)[1].replace(".", "_"))')
bootstrap=${HOME:-/root}/.ansible/test/cache/get_pip_$pip_version.py
if [[ ! -e $bootstrap ]]; then
  mkdir -p "$(dirname "$bootstrap")"
  printf 'import ensurepip\n\nensurepip.bootstrap()\n' > "$bootstrap"
fi
python_version=$("$here/.venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
cd "$tree"
export PATH="$here/.venv/bin:$PATH"
ansible-test sanity --venv --python "$python_version" --color no
