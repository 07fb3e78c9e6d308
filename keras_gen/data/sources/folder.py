"""Read a folder of image files of any size, with or without sub-folders for classes and splits."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_gen.data import preprocessing, splitting, storage
from keras_gen.data.image_data import SPLITS, RawData, Split
from keras_gen.data.sources import pictures
from keras_gen.data.sources.pictures import Page
from keras_gen.utils import image_utils, progress
from keras_gen.utils.errors import UsageError

DEFAULT_SIZE = 64
_MAX_NAMED = 10
_HIDDEN, _OTHER = "hidden files and folders", "files that are no images"
_BESIDE, _TWICE = "what is beside the splits", "links to folders that are read anyway"
_EMPTY, _FRAMES = "folders without images", "files whose further frames or layers are not read"


@dataclass
class _Content:
    """What a folder holds: image files by role and path, all else by the reason why it is left out."""

    roots: dict[str, Path]
    files: dict[str, list[Path]]
    left_out: dict[str, list[Path]]
    damaged: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def intact(self, skip_damaged: bool) -> dict[str, list[Path]]:
        """Return the files that are not known to be damaged, sorted by path."""
        files = {role: [path for path in paths if path not in self.damaged] for role, paths in self.files.items()}
        for role, paths in files.items():
            if not paths:
                self.check_damaged(skip_damaged)
                raise UsageError(f"{self.roots[role]} holds no images{self.summary()}")
            paths.sort(key=lambda path: path.relative_to(self.roots[role]).parts)
        return files

    def check_damaged(self, skip: bool) -> None:
        """Raise `UsageError` that names the damaged files, unless they are to be skipped."""
        if self.damaged and not skip:
            first = "; ".join(list(self.damaged.values())[:_MAX_NAMED])
            more = len(self.damaged) - _MAX_NAMED
            more = f"; and {more:,} more files" if more > 0 else ""
            raise UsageError(f"{first}{more} (--skip-damaged, or skip_damaged=True, leaves damaged files out)")

    def summary(self) -> str:
        """Return a text on what was left out, empty if nothing was."""
        reasons = []
        for reason, paths in {"damaged files": list(self.damaged), **self.left_out}.items():
            names = ", ".join(shown(path.name) for path in paths[:_MAX_NAMED])
            reasons += [f"{reason} ({len(paths):,}: {names}{', …' * (len(paths) > _MAX_NAMED)})"] if paths else []
        return f"; left out: {', '.join(reasons)}" if reasons else ""


def read(folder: Path, image_size: int | None, channels: int | None, bits: int | None, skip_damaged: bool) -> RawData:
    """Return the images below `folder`, as documented in `keras_gen.data.load`.

    Raises:
        UsageError: there are no images, one can't be read, or they fit neither in memory nor on disk.
    """
    content = _search(folder)
    everything = [path for paths in content.files.values() for path in paths]
    with image_utils.refuse_large_pictures(), ThreadPoolExecutor() as pool:
        inspected = dict(_each(pool, "inspecting image files", pictures.inspect, everything, content.damaged))
        content.left_out[_FRAMES] = [path for path, (_, further) in inspected.items() if further]
        pages = {path: pages for path, (pages, _) in inspected.items()}
        known = -1
        while known < len(content.damaged):  # again, as if those that were found damaged now had never been there
            known = len(content.damaged)
            files = content.intact(skip_damaged)
            images, chosen_bits, notes = _decoded(folder, pool, content, files, pages, image_size, channels, bits)
            content.check_damaged(skip_damaged)
    counts = {role: [len(pages[path]) for path in paths] for role, paths in files.items()}
    labels, class_names = _labels(content, files, counts)
    total, of_files = sum(map(sum, counts.values())), sum(map(len, files.values()))
    notes.append(f"{total:,} images were read from {of_files:,} files{content.summary()}")
    splits = dict.fromkeys(SPLITS) | {role: Split(images[role], labels[role]) for role in files}
    options = {"bits": chosen_bits, "class_names": class_names}
    return RawData("folder", str(folder), **splits, notes=(*content.notes, *notes), **options)


def shown(name: str) -> str:
    """Return a file's name as text that can be stored: names need not be UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _search(folder: Path) -> _Content:
    roots, beside, notes = _split_roots(folder)
    left_out = {_BESIDE: beside, _HIDDEN: [], _OTHER: [], _TWICE: [], _EMPTY: []}
    content = _Content(roots, {role: [] for role in roots}, left_out, notes=notes)
    waiting = deque(roots.items())
    folders, seen, like_splits = [], set(), []
    while waiting:
        role, parent = waiting.popleft()
        try:
            status = os.stat(parent)
            with os.scandir(parent) as entries:
                entries = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            content.damaged[parent] = f"{parent} can't be read as a folder: {error.strerror}"
            continue
        if (identity := (status.st_dev, status.st_ino)) in seen:  # such as a link to a folder above
            left_out[_TWICE].append(parent)
            continue
        seen.add(identity)
        folders.append(parent)
        for entry in entries:
            path = parent / entry.name
            is_folder = os.path.isdir(path) if entry.is_symlink() else entry.is_dir()
            if entry.name.startswith(".") or is_folder and entry.name.startswith("__MACOSX"):
                left_out[_HIDDEN].append(path)
            elif is_folder:
                # Links last: a folder that is reached without one belongs where it is.
                (waiting.append if entry.is_symlink() else waiting.appendleft)((role, path))
                like_splits += [path] if splitting.role_of(entry.name) else []
            elif pictures.is_picture(path):
                content.files[role].append(path)
            elif os.path.exists(path):
                left_out[_OTHER].append(path)
            else:
                content.damaged[path] = f"{path} is a link to a file or folder that can't be found"
    nearest = {path.parent for paths in content.files.values() for path in paths}
    parents = nearest | {above for parent in nearest for above in parent.parents}
    left_out[_EMPTY] = [path for path in folders if path not in parents and path not in roots.values()]
    if like_splits:
        names = ", ".join(sorted({shown(str(path.relative_to(folder))) for path in like_splits})[:3])
        content.notes.append(
            f"{names}: taken for classes, not for splits, which are a folder train and those beside it"
        )
    return content


def _split_roots(folder: Path) -> tuple[dict[str, Path], list[Path], list[str]]:
    """Return the folders of the splits, what else is beside them, and notes; without a split `train`, the folder."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(f"{folder} can't be read as a folder: {error.strerror}") from error
    found = {}
    for name in names:
        if (role := splitting.role_of(name)) and (folder / name).is_dir():
            found.setdefault(role, []).append(name)
    if "train" not in found:
        return {"train": folder}, [], []
    for candidates in found.values():
        if len(candidates) > 1:
            raise UsageError(f"{folder} must hold {' or '.join(candidates)}, not both")
    roots = {role: folder / found[role][0] for role in ("train", "test", "validation") if role in found}
    note = "splits are the sub-folders " + ", ".join(f"{root.name} ({role})" for role, root in roots.items())
    return roots, [folder / name for name in names if folder / name not in roots.values()], [note]


def _each(
    pool: ThreadPoolExecutor, label: str, function: Callable, paths: list[Path], damaged: dict[Path, str]
) -> Iterator[tuple[Path, object]]:
    """Iterate over files and the function's results of them; a file that can't be read becomes a damaged one."""

    def attempt(path: Path) -> object:
        try:
            return function(path)
        except UsageError as error:
            return error

    with progress.task(label, len(paths)) as task:
        for path, result in zip(paths, pool.map(attempt, paths), strict=True):
            if isinstance(result, UsageError):
                damaged[path] = str(result)
            else:
                yield path, result
            task.advance()


def _decoded(folder, pool, content, files, pages, image_size, channels, bits):
    """Return the images of all splits, the bits of values of more than 8, and notes on what was chosen."""
    every_page = [page for paths in files.values() for path in paths for page in pages[path]]
    largest = max((page.largest for page in every_page if page.largest is not None), default=None)
    chosen_bits, notes = preprocessing.choose_bits(bits, largest, str(folder))
    if image_size is None:
        image_size, note = _choose_size(every_page)
        notes += note
    channels = channels or (1 if all(page.gray for page in every_page) else 3)

    def decode(path: Path) -> np.ndarray:
        return pictures.decode(path, pages[path], image_size, channels, chosen_bits or 16)

    images = {}
    for role, paths in files.items():
        count = sum(len(pages[path]) for path in paths)
        images[role] = storage.allocate_images(folder, (count, image_size, image_size, channels))
        start = 0
        for _, decoded in _each(pool, "reading image files", decode, paths, content.damaged):
            images[role][start : start + len(decoded)] = decoded
            start += len(decoded)
    return images, chosen_bits, notes


def _choose_size(pages: list[Page]) -> tuple[int, list[str]]:
    sizes = {page.size for page in pages}
    width, height = next(iter(sizes))
    if len(sizes) == 1 and width == height:
        return width, []
    problem = f"are all {width}x{height}" if len(sizes) == 1 else f"have {len(sizes)} different sizes"
    return DEFAULT_SIZE, [f"images {problem}: cropped to squares and resized to {DEFAULT_SIZE}x{DEFAULT_SIZE}"]


def _labels(
    content: _Content, files: dict[str, list[Path]], counts: dict[str, list[int]]
) -> tuple[dict[str, np.ndarray | None], tuple[str, ...] | None]:
    """Return labels, the index of each image's top sub-folder among the sorted names, and the names.

    Both are `None` if an image is in no sub-folder.
    """
    parts = {role: [path.relative_to(content.roots[role]).parts for path in paths] for role, paths in files.items()}
    outside = [part[0] for paths in parts.values() for part in paths if len(part) == 1]
    total = sum(map(len, files.values()))
    if outside:
        if len(outside) < total:
            note = f"images have no labels, since {len(outside):,} of {total:,} files are in no sub-folder"
            content.notes.append(f"{note} ({shown(outside[0])}{', …' if len(outside) > 1 else ''})")
        return dict.fromkeys(parts), None
    names = sorted({part[0] for paths in parts.values() for part in paths})
    index = {name: number for number, name in enumerate(names)}
    labels = {role: np.array([index[part[0]] for part in paths], np.int64) for role, paths in parts.items()}
    return {role: labels[role].repeat(counts[role]) for role in labels}, tuple(map(shown, names))
