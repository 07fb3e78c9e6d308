"""The commands that messages name: those that this process was started with."""

import pytest

from keras_gen.utils.command_lines import command


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("experiments/run.py", "python experiments/sample.py 'my runs/1' --num 3"),
        ("../keras_gen/experiments/evaluate.py", "python ../keras_gen/experiments/sample.py 'my runs/1' --num 3"),
        ("/usr/bin/keras-gen", "keras-gen sample 'my runs/1' --num 3"),
        ("my_script.py", "keras-gen sample 'my runs/1' --num 3"),
        ("", "keras-gen sample 'my runs/1' --num 3"),
    ],
)
def test_a_command_is_one_that_the_user_has(program, expected, monkeypatch):
    monkeypatch.setattr("sys.argv", [program])
    assert command("sample", "my runs/1", "--num", 3) == expected
