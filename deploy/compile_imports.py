"""Write the bytecode of every module that serving imports, once, into the image: its root is read-only when it runs.

Bytecode of all that is installed would be 17 MB more than this. It is tied to no time of change, which a copy may lose.
"""

import sys
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode, compile

import pi_heif  # noqa: F401 - imported with the first photo of its kind
from PIL import Image

import backend.serve
from backend.settings import ServiceSettings
from holdcheck import cli, pipeline, registry  # noqa: F401

Image.init()
registry.load(ServiceSettings.load())
of_serving = {Path(source) for module in sys.modules.values() if (source := getattr(module, "__file__", None))}
of_serving |= {source for package in ("backend", "holdcheck") for source in Path(package).rglob("*.py")}
for source in sorted(path.resolve() for path in of_serving if path.suffix == ".py"):
    compile(
        str(source),
        cache_from_source(str(source)),
        doraise=True,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
