"""FairJAX: train fair face models in JAX and audit any face model.

Importing this package loads neither JAX nor TensorFlow.
"""

__version__ = "0.2.0"
