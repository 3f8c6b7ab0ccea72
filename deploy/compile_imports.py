"""Write the bytecode of every module that serving imports, once, into the image: its root is read-only later.

Bytecode of all that is installed would be 17 MB more. It is tied to no time of change, which a copy may lose.
"""

import py_compile
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pi_heif  # noqa: F401 - imported with the first photo of its kind
import uvicorn
from PIL import Image

import backend.serve  # noqa: F401
from backend.settings import ServiceSettings
from holdcheck import cli, pipeline, registry  # noqa: F401

Image.init()
registry.load(ServiceSettings.load())
files = {Path(file) for module in sys.modules.values() if (file := getattr(module, "__file__", None))}
files |= {file for package in ("backend", "holdcheck") for file in Path(package).rglob("*.py")}
# uvicorn tries to import parts of its own that need what is not there: they are read, and not in sys.modules.
files |= set(Path(uvicorn.__file__).parent.rglob("*.py"))
for source in sorted(str(file.resolve()) for file in files if file.suffix == ".py"):
    py_compile.compile(
        source,
        cache_from_source(source),
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
