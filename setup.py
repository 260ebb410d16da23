"""Puts the config files into the wheel, as `fairjax/shipped_configs/`; the rest: pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies `configs/`, which stands beside the package in a checkout."""

    def run(self) -> None:
        """Builds the package, then adds the configs; an editable install reads the checkout's."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "fairjax" / "shipped_configs"
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree("configs", target, ignore=ignored, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
