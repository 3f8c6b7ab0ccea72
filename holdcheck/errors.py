"""Everything that can go wrong, in one tree.

HoldcheckError
 |-- SettingsError                a variable has a value that makes no sense
 |-- PhotoError                   the photo cannot be analysed; the sender can do something about it
 |    |-- EmptyPhoto              no bytes came
 |    |-- UnsupportedPhoto        the bytes are not one of the accepted formats
 |    |-- TruncatedPhoto          the file ends before its picture does
 |    |-- CorruptPhoto            the decoder gave up on it
 |    |-- PhotoTooManyBytes       larger than MAX_UPLOAD_MB
 |    |-- PhotoTooSmall           no wall could be seen on so few pixels
 |    |-- PhotoTooManyPixels      larger than MAX_IMAGE_MEGAPIXELS
 |    `-- PhotoNeedsTooMuchMemory its decode would not fit what the container has left
 |-- ModelError                   a model cannot be used
 |    |-- ModelNotPrepared        no artefact of that name; prepare makes it
 |    |-- ModelCorrupt            an artefact cannot be read, or is not what was expected
 |    |    `-- ModelTampered      a file is another one than its manifest says: nothing starts with it
 |    `-- PrepareError            prepare could not make an artefact; the old one is untouched
 `-- AnalysisCancelled            somebody asked for the analysis to stop

`code` is stable and meant for programs; the message tells people what is wrong and what is accepted.
The HTTP status of each class is decided in backend.errors.
"""

from typing import ClassVar


class HoldcheckError(Exception):
    """Base of every error that holdcheck raises on purpose."""

    code: ClassVar[str] = "internal_error"


class SettingsError(HoldcheckError):
    code = "invalid_settings"


class PhotoError(HoldcheckError):
    code = "invalid_photo"


class EmptyPhoto(PhotoError):
    code = "photo_empty"


class UnsupportedPhoto(PhotoError):
    code = "photo_type_unsupported"


class TruncatedPhoto(PhotoError):
    code = "photo_truncated"


class CorruptPhoto(PhotoError):
    code = "photo_corrupt"


class PhotoTooManyBytes(PhotoError):
    code = "photo_too_many_bytes"


class PhotoTooSmall(PhotoError):
    code = "photo_too_small"


class PhotoTooManyPixels(PhotoError):
    code = "photo_too_many_pixels"


class PhotoNeedsTooMuchMemory(PhotoError):
    code = "photo_needs_too_much_memory"


class ModelError(HoldcheckError):
    code = "model_unusable"


class ModelNotPrepared(ModelError):
    code = "model_not_prepared"


class ModelCorrupt(ModelError):
    code = "model_corrupt"


class ModelTampered(ModelCorrupt):
    code = "model_tampered"


class PrepareError(ModelError):
    code = "prepare_failed"


class AnalysisCancelled(HoldcheckError):
    code = "cancelled"
