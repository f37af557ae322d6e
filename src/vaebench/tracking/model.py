"""Code of a logged model, beside the files that *train* and *posthoc* wrote.

model = mlflow.pyfunc.load_model("runs:/<run id>/model")
restored = model.predict(images)                                      # (N, C, H, W) in [0, 1]
sampler = model.unwrap_python_model().sampler                         # vaebench.densities.sampler.Sampler
"""

from pathlib import Path

import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from vaebench.densities.sampler import Sampler


class LoggedModel(PythonModel):
    """Reconstructions, and a sampler for all else."""

    def load_context(self, context):
        """Read the model and its densities."""
        files = {name: Path(path) for name, path in context.artifacts.items()}
        densities = {name: path for name, path in files.items() if path.is_dir()}
        self.sampler = Sampler.load(files["spec.json"].parent, densities)

    def predict(self, context, model_input, params=None):
        """Reconstructions of images (N, C, H, W), float in [0, 1] or uint8."""
        return self.sampler(torch.as_tensor(model_input)).detach().numpy()


set_model(LoggedModel())
