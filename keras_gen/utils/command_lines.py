"""The shell commands that messages and reports tell the user to run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAM, SCRIPTS = "keras-gen", Path(__file__).resolve().parents[2] / "experiments"
"""The program that is installed with the package, and the folder of scripts in a checkout."""


def command(name: str, *words: object) -> str:
    """Return the shell command that runs a command of keras_gen.

    It names the script if this process runs a script of `experiments/`, from the same folder, otherwise the program
    `PROGRAM` that is installed with the package.

    Args:
        name: str, the command, such as `"run"`.
        *words: its arguments, converted to text and quoted for a shell.

    Example:
        >>> command("sample", "runs/00001-vae-mlp", "--num", 100)
        'keras-gen sample runs/00001-vae-mlp --num 100'
    """
    script = Path(sys.argv[0])
    if script.suffix == ".py" and script.parent.resolve() == SCRIPTS.resolve():
        program = ["python", str(script.with_name(f"{name}.py"))]
    else:
        program = [PROGRAM, name]
    return shlex.join([*program, *map(str, words)])


def started_as(words: Sequence[str]) -> str:
    """Return the shell command of a recorded `sys.argv`; for a command of the program, its first word holds both.

    Example:
        >>> started_as(["keras-gen run", "--model", "vae"]), started_as(["my script.py"])
        ('keras-gen run --model vae', "python 'my script.py'")
    """
    program, *rest = words or [""]
    start = program if program.startswith(f"{PROGRAM} ") else shlex.join(["python", program])
    return f"{start} {shlex.join(rest)}".rstrip()
