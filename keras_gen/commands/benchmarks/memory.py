"""The part of benchmark.py that watches the memory of a long run."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from keras_gen.commands import cli


def memory(repeats: int, epochs: int) -> dict:
    """What a process of many epochs holds: memory, open files and threads, while it trains, scores and draws."""
    cli.load_tensorflow()
    import numpy as np

    from keras_gen import training
    from keras_gen.runs.settings import RunSettings

    measured = {}
    for model in ("vae-mlp", "gan-mlp"):
        with tempfile.TemporaryDirectory() as folder, Watch(Path(folder)) as watch:
            training.run(RunSettings(model, dataset="digits", epochs=epochs, fid_every=10), out=folder)
            files = {path.relative_to(folder).parts[1]: 0 for path in Path(folder).rglob("*") if path.is_file()}
            for path in filter(Path.is_file, Path(folder).rglob("*")):
                files[path.relative_to(folder).parts[1]] += path.stat().st_size
        samples = np.array(watch.samples)
        print(f"{model}: epoch, memory in MB, open files, threads")
        for share in (0.1, 0.25, 0.5, 0.75, 1.0):
            epoch, *held = samples[np.searchsorted(samples[:, 0], share * (epochs - 1))]
            print(f"{epoch:6.0f} " + " ".join(f"{value:10.1f}" for value in held))
        late = samples[samples[:, 0] >= epochs / 4]
        slope = np.polyfit(late[:, 0], late[:, 1], 1)[0] * 1000
        print(f"{slope:.1f} KB an epoch from epoch {epochs // 4} on")
        print("written, in KB: " + ", ".join(f"{name} {size / 1000:,.0f}" for name, size in sorted(files.items())))
        measured[model] = {"samples": watch.samples, "kilobytes_an_epoch": slope, "bytes_written": files}
    return measured


class Watch:
    """Samples of (epochs done, memory in MB, open files, threads) of this process, while its block runs. Linux only."""

    def __init__(self, runs: Path):
        self.runs = runs
        self.samples: list[tuple[float, ...]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self):
        page = os.sysconf("SC_PAGE_SIZE") / 1e6
        while not self._done.wait(0.5):
            history = next(self.runs.glob("*/history.csv"), None)
            epoch = 0 if history is None else history.read_text().count("\n") - 1
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            counts = (len(os.listdir(f"/proc/self/{name}")) for name in ("fd", "task"))
            self.samples.append((epoch, resident, *counts))
