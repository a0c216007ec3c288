"""Print everything that an installation could leave on a host, as JSON.

Runs on the host, with its own Python and nothing else. Two of these are compared by
`as_before/test_as_before.py`.
"""

import hashlib
import json
import os
import stat
import subprocess

# Made by the kernel, or by Ansible, apt, the Docker client and logins in any use.
LEFT_OUT = {
    *("/proc", "/sys", "/dev", "/var/tmp/ansible", "/var/cache/apt", "/root/.docker"),
    "/run/motd.dynamic",
}
CRONTABS = "/var/spool/cron/crontabs/"
ANSIBLE = "/tmp/ansible_"
# Owned by packages: size and time show a change, and are quickly read.
PACKAGED = ("/usr/", "/lib")


def files():
    found = {}
    for folder, inner, names in os.walk("/"):
        inner[:] = [
            one
            for one in inner
            if one != "__pycache__"
            and os.path.join(folder, one) not in LEFT_OUT
            and not os.path.join(folder, one).startswith(ANSIBLE)
        ]
        for name in [*inner, *names]:
            path = os.path.join(folder, name)
            if path in LEFT_OUT:
                continue
            try:
                lines = cron_lines(path) if path.startswith(CRONTABS) else None
                if lines != []:
                    found[path] = " ".join(map(str, lines or described(path)))
            except FileNotFoundError:
                continue  # ended meanwhile
    return found


def cron_lines(path):
    """Return the lines that cron runs; an empty crontab is equal to none."""
    with open(path, encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]


def described(path):
    held = os.lstat(path)
    yield oct(held.st_mode)
    yield f"{held.st_uid}:{held.st_gid}"
    if stat.S_ISLNK(held.st_mode):
        yield os.readlink(path)
    elif stat.S_ISREG(held.st_mode):
        if path.startswith(PACKAGED) and not path.startswith("/usr/local/"):
            yield f"{held.st_size} {held.st_mtime_ns}"
        else:
            with open(path, "rb") as file:
                yield hashlib.file_digest(file, "sha256").hexdigest()


def output_of(*command):
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return [f"exit {ended.returncode}", *sorted(ended.stdout.splitlines())]


def processes():
    """Return running services, without processes started by `docker exec`, as this one was."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                before, rest = file.read().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(pid)] = (int(rest.split()[1]), before.partition("(")[2])
    found = []
    for pid, (parent, name) in parents.items():
        while parent in parents:
            parent = parents[parent][0] if parent != 1 else -1
        if parent == -1 or pid == 1:
            found.append(name)
    return sorted(found)


def docker(*command):
    return output_of("docker", *command)


snapshot = {
    "files": files(),
    "packages": output_of("dpkg-query", "-W", "-f", "${Package} ${Version} ${Status}\n"),
    "packages marked": output_of("apt-mark", "showmanual"),
    "cron": output_of("crontab", "-l"),
    "accounts": output_of("getent", "passwd") + output_of("getent", "group"),
    "processes": processes(),
    "containers": docker("ps", "--all", "--format", "{{.Names}} {{.Image}} {{.State}}"),
    "volumes": docker("volume", "ls", "--quiet"),
    "networks": docker("network", "ls", "--format", "{{.Name}} {{.Driver}}"),
    "images": docker("images", "--format", "{{.Repository}}:{{.Tag}}"),
    "services": docker("service", "ls", "--format", "{{.Name}} {{.Image}} {{.Replicas}}"),
}
print(json.dumps(snapshot))
