"""Sources of images: embedded digits, `.npz` files, folders and tensorflow-datasets."""
