"""Four virtual CPU devices, a compilation cache, and a key; nothing here touches the network."""

import getpass
import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

CACHE = Path(tempfile.gettempdir()) / f"fairjax-test-cache-{getpass.getuser()}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))  # workers and subprocesses share it
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")  # tests are small
# Most of the suite's time is XLA's: programs are compiled without most of its passes, and by those
# emitters that are done first. XLA ends a process at a flag that it does not know.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if importlib.util.find_spec("jaxlib") and importlib.metadata.version("jaxlib").startswith("0.10."):
    flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{flags} {os.environ.get('XLA_FLAGS', '')}".strip()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest  # noqa: E402  the environment above must be set first

try:
    import jax
except ModuleNotFoundError:  # the light install, where the rooms that need no JAX are tested
    pass
else:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 4)
    jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """Drops compiled programs: they take memory maps, of which Linux allows a process 65,530."""
    yield
    if "jax" in sys.modules:
        jax.clear_caches()


@pytest.fixture(scope="module")
def optimised():
    """Programs of a module as users run them, for what is trained for long."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def key() -> "jax.Array":
    """One root key; tests fold what they need out of it."""
    return jax.random.key(0)
