"""Read a folder of image files of any size, with or without sub-folders for classes and splits."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_gen.data import preprocessing, splitting, storage
from keras_gen.data.image_data import SPLITS, RawData, Split, listed
from keras_gen.data.sources import pictures
from keras_gen.utils import image_utils, progress
from keras_gen.utils.errors import UsageError

DEFAULT_SIZE = 64
_MAX_NAMED = 10
_HIDDEN, _FRAMES = "hidden files and folders", "files whose further frames or layers are not read"


@dataclass
class _Content:
    """What a folder holds: image files with their parts below a split's folder, errors, and what is left out, why."""

    roots: dict[str, Path]
    skip_damaged: bool
    files: dict[str, dict[Path, tuple[str, ...]]] = field(default_factory=lambda: defaultdict(dict))
    damaged: dict[Path, str] = field(default_factory=dict)
    left_out: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)

    def each(self, pool: ThreadPoolExecutor, label: str, function: Callable, paths: list[Path]) -> Iterator[tuple]:
        """Iterate over files and the function's results of them; a file that can't be read becomes a damaged one."""

        def attempt(path: Path) -> tuple | None:
            try:
                return path, function(path)
            except UsageError as error:
                self.damaged[path] = str(error)
                return None

        with progress.task(label, len(paths)) as task:
            for result in pool.map(attempt, paths):
                if result is not None:
                    yield result
                task.advance()

    def intact(self) -> dict[str, dict[Path, tuple[str, ...]]]:
        """Return the files that are not known to be damaged, sorted by path."""
        intact = {}
        for role, root in self.roots.items():
            pairs = sorted(self.files[role].items(), key=lambda pair: pair[1])
            intact[role] = {path: parts for path, parts in pairs if path not in self.damaged}
            if not intact[role]:
                self.check_damaged()
                raise UsageError(f"{root} holds no images{self.summary()}")
        return intact

    def check_damaged(self) -> None:
        """Raise `UsageError` that names the damaged files, unless they are to be skipped."""
        if self.damaged and not self.skip_damaged:
            errors = [self.damaged[path] for path in sorted(self.damaged)]
            more = f"; and {len(errors) - _MAX_NAMED:,} more files" if len(errors) > _MAX_NAMED else ""
            remedy = "(--skip-damaged, or skip_damaged=True, skips damaged files)"
            raise UsageError(f"{'; '.join(errors[:_MAX_NAMED])}{more} {remedy}")

    def summary(self) -> str:
        """Return a text on what was left out, empty if nothing was."""
        left_out = sorted({**self.left_out, "damaged files": sorted(self.damaged)}.items())
        reasons = [
            f"{why} ({len(paths):,}: {listed(shown(p.name) for p in paths)})" for why, paths in left_out if paths
        ]
        return f"; left out: {', '.join(reasons)}" if reasons else ""


def read(
    folder: Path,
    image_size: int | None,
    channels: int | None,
    bits: int | None,
    skip_damaged: bool,
    mixed_size: int = DEFAULT_SIZE,
) -> RawData:
    """Return the images below `folder`, as documented in `keras_gen.data.load`.

    Without an image size, images that are not squares of one size are resized to `mixed_size`.

    Raises:
        UsageError: there are no images, one can't be read, or they fit neither in memory nor on disk.
    """
    content = _search(folder, skip_damaged)
    everything = [path for files in content.files.values() for path in files]
    with image_utils.refuse_large_pictures(), ThreadPoolExecutor() as pool:
        inspected = dict(content.each(pool, "inspecting image files", pictures.inspect, everything))
        content.left_out[_FRAMES] = [path for path, (_, has_more) in inspected.items() if has_more]
        pages = {path: pages for path, (pages, _) in inspected.items()}
        known = -1
        while known < len(content.damaged):  # again, as if those that were found damaged now had never been there
            known = len(content.damaged)
            files = content.intact()
            every_page = [page for paths in files.values() for path in paths for page in pages[path]]
            size, depth, chosen_bits, resized_to, notes = _choose(
                every_page, image_size, channels, bits, folder, mixed_size
            )

            def decode(path: Path) -> np.ndarray:
                return pictures.decode(path, pages[path], size, depth, chosen_bits)

            images = {}
            for role, paths in files.items():
                count, start = sum(len(pages[path]) for path in paths), 0
                images[role] = storage.allocate_images(folder, (count, size, size, depth))
                for _, decoded in content.each(pool, "reading image files", decode, list(paths)):
                    images[role][start : start + len(decoded)] = decoded
                    start += len(decoded)
            content.check_damaged()
    parts = {role: [parts for path, parts in of.items() for _ in pages[path]] for role, of in files.items()}
    labels, class_names, label_notes = _labels(parts)
    splits = dict.fromkeys(SPLITS) | {role: Split(images[role], labels[role]) for role in files}
    counts = f"{len(every_page):,} images were read from {sum(map(len, files.values())):,} files"
    notes = (*content.notes, *notes, *label_notes, counts + content.summary())
    return RawData(
        "folder", str(folder), **splits, notes=notes, bits=chosen_bits, class_names=class_names, resized_to=resized_to
    )


def shown(name: str) -> str:
    """Return a file's name as text that can be stored: names need not be UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _search(folder: Path, skip_damaged: bool) -> _Content:
    roots, beside = _split_roots(folder)
    content = _Content(roots, skip_damaged)
    if beside is not None:
        content.left_out["files and folders next to the splits"] = beside
        splits = ", ".join(f"{root.name} ({role})" for role, root in roots.items())
        content.notes.append(f"splits are the sub-folders {splits}")
    waiting, seen, like_splits = list(roots.items()), set(), []

    def add_unreadable(error: OSError) -> None:
        content.damaged[Path(error.filename)] = f"{error.filename} can't be read as a folder: {error.strerror}"

    for role, start in waiting:  # linked folders are appended: one that is reached without a link belongs where it is
        for parent, folders, names in os.walk(start, onerror=add_unreadable):
            parent, own = Path(parent), sorted(folders)
            folders.clear()  # it will hold those to go into
            if (place := os.path.realpath(parent)) in seen:  # such as a link to a folder above
                content.left_out["links to folders that are already read"].append(parent)
                continue
            seen.add(place)
            for path in (parent / name for name in own):
                if path.name.startswith((".", "__MACOSX")):
                    content.left_out[_HIDDEN].append(path)
                elif path.is_symlink():
                    waiting.append((role, path))
                else:
                    folders.append(path.name)
                like_splits += [path] if splitting.role_of(path.name) else []
            for path in (parent / name for name in sorted(names)):
                if path.name.startswith("."):
                    content.left_out[_HIDDEN].append(path)
                elif pictures.formats_of(path):
                    content.files[role][path] = path.relative_to(roots[role]).parts
                elif path.exists():
                    content.left_out["files that are not images"].append(path)
                else:
                    content.damaged[path] = f"{path} is a link to a file or folder that can't be found"
    if like_splits:
        names = ", ".join(shown(str(path.relative_to(folder))) for path in like_splits[:3])
        content.notes.append(f"{names}: read as classes; splits must be next to a folder train")
    return content


def _split_roots(folder: Path) -> tuple[dict[str, Path], list[Path] | None]:
    """Return the folders of the splits and what is beside them or, without one for training, the folder itself."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UsageError(f"{folder} can't be read as a folder: {error.strerror}") from error
    found = defaultdict(list)
    for name in names:
        if (role := splitting.role_of(name)) and (folder / name).is_dir():
            found[role].append(name)
    if "train" not in found:
        return {"train": folder}, None
    for rivals in found.values():
        if len(rivals) > 1:
            raise UsageError(f"{folder} must hold {' or '.join(rivals)}, not both")
    roots = {role: folder / found[role][0] for role in SPLITS if role in found}
    return roots, [folder / name for name in names if [name] not in found.values()]


def _choose(
    pages, image_size, channels, bits, folder, mixed_size
) -> tuple[int, int, int | None, int | None, list[str]]:
    """Return size, channels and bits of all images, as given or by what the pages are, `resized_to`, and notes."""
    largest = max((page.largest for page in pages if page.largest is not None), default=None)
    bits, notes = preprocessing.choose_bits(bits, largest, str(folder))
    channels = channels or (1 if all(page.gray for page in pages) else 3)
    resized_to = None
    if image_size is None:
        sizes = {page.size for page in pages}
        image_size, height = next(iter(sizes))
        if len(sizes) > 1 or image_size != height:
            problem = f"have {len(sizes)} different sizes" if len(sizes) > 1 else f"are all {image_size}x{height}"
            image_size = resized_to = mixed_size
            notes.append(f"images {problem}: cropped to squares and resized to {mixed_size}x{mixed_size}")
    return image_size, channels, bits, resized_to, notes


def _labels(parts: dict[str, list[tuple]]) -> tuple[dict[str, np.ndarray | None], tuple[str, ...] | None, list[str]]:
    """Return the index of each image's top sub-folder among the sorted names, if all have one, the names, and notes."""
    every = [part for of_role in parts.values() for part in of_role]
    if outside := [part[0] for part in every if len(part) == 1]:
        some = f"images have no labels, since {len(outside):,} of {len(every):,} are not in a sub-folder"
        return dict.fromkeys(parts), None, [f"{some} ({shown(outside[0])})"] * (len(outside) < len(every))
    names = sorted({part[0] for part in every})
    index = {name: number for number, name in enumerate(names)}
    labels = {role: np.array([index[part[0]] for part in of_role]) for role, of_role in parts.items()}
    return labels, tuple(map(shown, names)), []
