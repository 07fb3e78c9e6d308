"""The shell commands that messages and reports tell the user to run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def command(name: str, *words: object) -> str:
    """Return the shell command that runs a command of keras_gen.

    It names the script if this process runs a script of `experiments/`, from the same folder, otherwise the program
    `keras-gen` that is installed with the package.

    Args:
        name: str, the command, such as `"run"`.
        *words: its arguments, converted to text and quoted for a shell.

    Example:
        >>> command("sample", "runs/00001-vae-mlp", "--num", 100)
        'keras-gen sample runs/00001-vae-mlp --num 100'
    """
    script = Path(sys.argv[0])
    if script.parent.name == "experiments" and script.suffix == ".py":
        program = ["python", str(script.with_name(f"{name}.py"))]
    else:
        program = ["keras-gen", name]
    return shlex.join([*program, *map(str, words)])
