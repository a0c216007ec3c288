"""Keeps the bytecode of what is imported out of zip files, which Python keeps of other files alone.

Ansible sends each task as a zip of some fifty sources; to compile them is a third of what the task
costs. A lane's interpreter (`lane.sh`) and that of the instances (`docker_lab/host.Dockerfile`) get
this as their `sitecustomize`, and a last line that says where. Neither the demo nor the benches do:
their figures are a user's.
"""


def keep(folder):
    """Has zip files imported by way of a folder, which is made if root needs it."""
    import _imp
    import marshal
    import os
    import sys
    import zipimport

    compiled = zipimport._compile_source

    def kept(path, source):
        # The source itself is the key: the same file is never looked for in two versions.
        digest = _imp.source_hash(0, source).hex()
        file = f"{folder}/{sys.implementation.cache_tag}-{digest}-{len(source)}"
        try:
            with open(file, "rb") as held:
                return marshal.load(held)
        except (OSError, ValueError, EOFError):
            code = compiled(path, source)
        if os.geteuid() == 0:
            half = f"{file}.{os.getpid()}"
            try:
                os.makedirs(folder, exist_ok=True)
                with open(half, "wb") as made:
                    marshal.dump(code, made)
                os.replace(half, file)
            except OSError:
                pass
        return code

    zipimport._compile_source = kept
