"""Where images come from: embedded digits, `.npz` files, folders and tensorflow-datasets."""
