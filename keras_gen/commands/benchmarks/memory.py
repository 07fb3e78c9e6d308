"""The part of `benchmark.py` that watches the memory of a long run."""

from __future__ import annotations

import collections
import tempfile
import threading
from pathlib import Path

from keras_gen.commands import cli


def memory(repeats: int, epochs: int) -> dict:
    """Measure memory, open files and threads of a process that trains many epochs with scores and image grids."""
    cli.load_tensorflow()
    import numpy as np

    from keras_gen import training
    from keras_gen.runs.settings import RunSettings

    measured = {}
    for model in ("vae-mlp", "gan-mlp"):
        with tempfile.TemporaryDirectory() as folder, ProcessMonitor(Path(folder)) as monitor:
            training.run(RunSettings(model, dataset="digits", epochs=epochs, fid_every=10), out=folder)
            sizes = collections.Counter()
            for path in filter(Path.is_file, Path(folder).rglob("*")):
                sizes[path.relative_to(folder).parts[1]] += path.stat().st_size
        samples = np.array(monitor.samples)
        print(f"{model}: epoch, memory in MB, open files, threads")
        for fraction in (0.1, 0.25, 0.5, 0.75, 1.0):
            epoch, *values = samples[np.searchsorted(samples[:, 0], fraction * (epochs - 1))]
            print(f"{epoch:6.0f} " + " ".join(f"{value:10.1f}" for value in values))
        late = samples[samples[:, 0] >= epochs / 4]
        slope = np.polyfit(late[:, 0], late[:, 1], 1)[0] * 1000
        print(f"{slope:.1f} KB per epoch from epoch {epochs // 4} on")
        print("written, in KB: " + ", ".join(f"{name} {size / 1000:,.0f}" for name, size in sorted(sizes.items())))
        measured[model] = {"samples": monitor.samples, "kilobytes_per_epoch": slope, "bytes_written": sizes}
    return measured


class ProcessMonitor:
    """Sample (epochs done, memory in MB, open files, threads) of this process while the block runs. Not on Windows."""

    def __init__(self, runs: Path):
        self.runs = runs
        self.samples: list[tuple[float, ...]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> ProcessMonitor:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self):
        import psutil

        process = psutil.Process()
        while not self._done.wait(0.5):
            history = next(self.runs.glob("*/history.csv"), None)
            epoch = 0 if history is None else history.read_text().count("\n") - 1
            memory = process.memory_info().rss / 1e6
            self.samples.append((epoch, memory, process.num_fds(), process.num_threads()))
