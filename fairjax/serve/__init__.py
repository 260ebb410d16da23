"""Models in use: from a run or a file to embeddings, predictions and exported files."""

from fairjax.serve.load import load as load
from fairjax.serve.model import Model as Model
from fairjax.serve.model import ModelError as ModelError
from fairjax.serve.model import Preprocessing as Preprocessing
