"""Write what torch-fidelity makes of the Inception of 2015 with random weights, and a small file of PyTorch.

    python -m pip install torch torch-fidelity
    python tests/goldens/make_inception_goldens.py

Files: inception_2015_port.json (names and shapes), inception_2015_port.npz (every eighth feature and logit of four
images), torch_tensors.pth (a dictionary of tensors in the format from before PyTorch 1.6).
"""

import collections
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import inception_helpers
from reference_inception import reference_extractor, state_dict_shapes

torch.save(
    collections.OrderedDict(
        whole=torch.arange(12, dtype=torch.float32).reshape(3, 4),
        turned=torch.arange(6, dtype=torch.float32).reshape(2, 3).T,
        part=torch.arange(10, dtype=torch.float32)[4:7],
        number=torch.tensor(7),
    ),
    inception_helpers.GOLDENS / "torch_tensors.pth",
    _use_new_zipfile_serialization=False,
)
inception_helpers.SHAPES.write_text(json.dumps(state_dict_shapes()) + "\n")
features, logits = reference_extractor(inception_helpers.random_weights())(inception_helpers.pictures(4, 48, 64))
np.savez(inception_helpers.GOLDENS / "inception_2015_port.npz", features=features[:, ::8], logits=logits[:, ::8])
