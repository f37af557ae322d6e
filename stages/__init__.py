"""The stages, each run with the package beside it, also in the copies in which DVC runs experiments."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from vaebench.study.stage import end_with_dvc

end_with_dvc()  # before a stage's imports, which take seconds
