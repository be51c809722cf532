"""Make ``.venv`` what the lock file says; ``make`` runs this before everything else.

Runs under whatever Python there is, old ones included, and needs nothing but its standard library. When nothing
has changed it takes a few milliseconds. With ``--lock`` it writes the lock files anew instead.
"""

import hashlib
import os
import shutil
import subprocess
import sys

MINIMUM = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "set-up")
"""Holds a digest of everything that the environment was made from; written last, so half a set-up is none."""

INSTALLER_LOCK = "requirements-installer.lock"
DEV_LOCK = "requirements-dev.lock"
JAVA_LOCK = "requirements-java.lock"
LOCKS = {
    "requirements.lock": ["pyproject.toml"],
    INSTALLER_LOCK: ["--group", "pyproject.toml:installer"],
    DEV_LOCK: ["--group", "dev", "pyproject.toml"],
    JAVA_LOCK: ["--extra", "java", "pyproject.toml"],
}


def main() -> None:
    if sys.argv[1:] == ["--lock"]:
        lock()
        return
    check_python()
    wanted = digest_of_inputs()
    if read(STAMP) == wanted and runs(PYTHON):
        return
    if not runs(PYTHON):
        say("Making .venv with Python {}.{}".format(*sys.version_info[:2]))
        make_environment()
    say("Installing the locked dependencies into .venv")
    install_locked(DEV_LOCK)
    # setuptools came with the lock, so the build needs nothing from the network.
    install("--no-deps", "--no-build-isolation", "-e", ".")
    if not java_is_here():
        say("There is no Java 17 or newer; installing one into .venv")
        install_locked(JAVA_LOCK)
    with open(STAMP, "w") as stamp:
        stamp.write(wanted)


def check_python() -> None:
    if sys.version_info >= MINIMUM:
        return
    newer = [name for minor in range(20, 10, -1) for name in [f"python3.{minor}"] if shutil.which(name)]
    advice = "make setup PYTHON=" + newer[0] if newer else "install one, then: make setup PYTHON=python3.12"
    fail(
        "Python {}.{} or newer is needed, and {} is {}.{}".format(
            MINIMUM[0], MINIMUM[1], sys.executable, *sys.version_info[:2]
        ),
        advice,
    )


def make_environment() -> None:
    try:
        import ensurepip  # noqa: F401  Debian ships Python without it.
        import venv
    except ImportError:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        fail(
            f"{sys.executable} cannot make virtual environments",
            f"on Debian and Ubuntu: sudo apt install {package}",
        )
    try:
        venv.create(VENV, clear=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"making {VENV} failed: {error}", "make clean, then try again")


def install_locked(lock_file: str) -> None:
    """Install a lock file with uv, which takes seconds where pip takes a minute; with pip where uv cannot."""
    install("--require-hashes", "-r", INSTALLER_LOCK)
    command = [PYTHON, "-m", "uv", "pip", "install", "--quiet", "--python", PYTHON, "--require-hashes"]
    if subprocess.call([*command, "-r", lock_file], cwd=ROOT):
        say("uv could not do it (it knows nothing of pip's settings); trying pip, which takes a minute")
        install("--require-hashes", "-r", lock_file)


def install(*arguments: str) -> None:
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.call(command + list(arguments), cwd=ROOT):
        fail(
            f"pip could not install {arguments[-1]}",
            "its words are above; check the network, then make again: it goes on from there",
        )


def java_is_here() -> bool:
    code = "from streams.kafka.java import find_java; find_java()"
    return subprocess.call([PYTHON, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL) == 0


def lock() -> None:
    """Resolve anew. The files name packages, versions and hashes, but no address: any mirror can serve them."""
    install("--require-hashes", "-r", INSTALLER_LOCK)
    for name, options in LOCKS.items():
        command = [PYTHON, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--universal"]
        command += ["--python-version", "{}.{}".format(*MINIMUM), "--generate-hashes", "--no-header"]
        command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        # All locks agree with the first one, which is what users get.
        command += [] if name == "requirements.lock" else ["--constraint", "requirements.lock"]
        command += [*options, "--output-file", name]
        if subprocess.call(command, cwd=ROOT):
            fail(f"{name} was not written", "the reason is above")


def digest_of_inputs() -> str:
    digest = hashlib.sha256(VENV.encode())
    for name in ("pyproject.toml", INSTALLER_LOCK, DEV_LOCK, JAVA_LOCK, os.path.join("tools", "set_up.py")):
        with open(os.path.join(ROOT, name), "rb") as stream:
            digest.update(stream.read())
    return digest.hexdigest()


def runs(python: str) -> bool:
    """Whether the environment's Python is there and new enough; an upgraded system may leave a dangling link."""
    code = f"import sys; sys.exit(sys.version_info < {MINIMUM!r})"
    try:
        return subprocess.call([python, "-c", code], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def read(path: str) -> str:
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return ""


def say(text: str) -> None:
    print(text + " …", flush=True)


def fail(what: str, advice: str) -> None:
    sys.exit(f"Set-up failed: {what}.\nWhat to do: {advice}.")


if __name__ == "__main__":
    main()
