"""The service: HTTP around the vision library."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("holdcheck")
except PackageNotFoundError:
    __version__ = "0+uninstalled"
