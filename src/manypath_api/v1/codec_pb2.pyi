from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Path(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PATH_UNSPECIFIED: _ClassVar[Path]
    PATH_PERCEPTUAL: _ClassVar[Path]
    PATH_MSE: _ClassVar[Path]
    PATH_CLASSIFICATION: _ClassVar[Path]
    PATH_SEGMENTATION: _ClassVar[Path]

class Task(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_UNSPECIFIED: _ClassVar[Task]
    TASK_CLASSIFICATION: _ClassVar[Task]
    TASK_SEGMENTATION: _ClassVar[Task]

class PictureFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PICTURE_FORMAT_UNSPECIFIED: _ClassVar[PictureFormat]
    PICTURE_FORMAT_PNG: _ClassVar[PictureFormat]
    PICTURE_FORMAT_RAW: _ClassVar[PictureFormat]
PATH_UNSPECIFIED: Path
PATH_PERCEPTUAL: Path
PATH_MSE: Path
PATH_CLASSIFICATION: Path
PATH_SEGMENTATION: Path
TASK_UNSPECIFIED: Task
TASK_CLASSIFICATION: Task
TASK_SEGMENTATION: Task
PICTURE_FORMAT_UNSPECIFIED: PictureFormat
PICTURE_FORMAT_PNG: PictureFormat
PICTURE_FORMAT_RAW: PictureFormat

class RawPicture(_message.Message):
    __slots__ = ("width", "height", "data")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    data: bytes
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Picture(_message.Message):
    __slots__ = ("file", "raw")
    FILE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    file: bytes
    raw: RawPicture
    def __init__(self, file: _Optional[bytes] = ..., raw: _Optional[_Union[RawPicture, _Mapping]] = ...) -> None: ...

class Rate(_message.Message):
    __slots__ = ("quality", "max_bytes", "target_bpp")
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    TARGET_BPP_FIELD_NUMBER: _ClassVar[int]
    quality: float
    max_bytes: int
    target_bpp: float
    def __init__(self, quality: _Optional[float] = ..., max_bytes: _Optional[int] = ..., target_bpp: _Optional[float] = ...) -> None: ...

class PathRequest(_message.Message):
    __slots__ = ("path", "task_share", "path_name", "score_maps")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TASK_SHARE_FIELD_NUMBER: _ClassVar[int]
    PATH_NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_MAPS_FIELD_NUMBER: _ClassVar[int]
    path: Path
    task_share: float
    path_name: str
    score_maps: bool
    def __init__(self, path: _Optional[_Union[Path, str]] = ..., task_share: _Optional[float] = ..., path_name: _Optional[str] = ..., score_maps: _Optional[bool] = ...) -> None: ...

class TaskRequest(_message.Message):
    __slots__ = ("task", "task_share", "top_k", "task_name", "path_name", "overlay")
    TASK_FIELD_NUMBER: _ClassVar[int]
    TASK_SHARE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_NAME_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    task: Task
    task_share: float
    top_k: int
    task_name: str
    path_name: str
    overlay: bool
    def __init__(self, task: _Optional[_Union[Task, str]] = ..., task_share: _Optional[float] = ..., top_k: _Optional[int] = ..., task_name: _Optional[str] = ..., path_name: _Optional[str] = ..., overlay: _Optional[bool] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("asked", "used", "fallback", "task_share", "asked_name", "used_name")
    ASKED_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    TASK_SHARE_FIELD_NUMBER: _ClassVar[int]
    ASKED_NAME_FIELD_NUMBER: _ClassVar[int]
    USED_NAME_FIELD_NUMBER: _ClassVar[int]
    asked: Path
    used: Path
    fallback: bool
    task_share: float
    asked_name: str
    used_name: str
    def __init__(self, asked: _Optional[_Union[Path, str]] = ..., used: _Optional[_Union[Path, str]] = ..., fallback: _Optional[bool] = ..., task_share: _Optional[float] = ..., asked_name: _Optional[str] = ..., used_name: _Optional[str] = ...) -> None: ...

class StageTiming(_message.Message):
    __slots__ = ("stage", "seconds")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    stage: str
    seconds: float
    def __init__(self, stage: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("asked_bytes", "used_bytes")
    ASKED_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    asked_bytes: int
    used_bytes: int
    def __init__(self, asked_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ...) -> None: ...

class BitstreamFacts(_message.Message):
    __slots__ = ("version", "width", "height", "quality", "bytes", "bpp", "model_digest", "bands")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    BPP_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BANDS_FIELD_NUMBER: _ClassVar[int]
    version: int
    width: int
    height: int
    quality: float
    bytes: int
    bpp: float
    model_digest: str
    bands: int
    def __init__(self, version: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., quality: _Optional[float] = ..., bytes: _Optional[int] = ..., bpp: _Optional[float] = ..., model_digest: _Optional[str] = ..., bands: _Optional[int] = ...) -> None: ...

class DecodedPicture(_message.Message):
    __slots__ = ("picture", "route", "score_maps")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    SCORE_MAPS_FIELD_NUMBER: _ClassVar[int]
    picture: Picture
    route: Route
    score_maps: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, picture: _Optional[_Union[Picture, _Mapping]] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., score_maps: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("index", "name", "score")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    index: int
    name: str
    score: float
    def __init__(self, index: _Optional[int] = ..., name: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class Classification(_message.Message):
    __slots__ = ("labels",)
    LABELS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class Mask(_message.Message):
    __slots__ = ("width", "height", "png", "raw")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    png: bytes
    raw: bytes
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., png: _Optional[bytes] = ..., raw: _Optional[bytes] = ...) -> None: ...

class SegmentClass(_message.Message):
    __slots__ = ("index", "name", "share", "colour")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    COLOUR_FIELD_NUMBER: _ClassVar[int]
    index: int
    name: str
    share: float
    colour: int
    def __init__(self, index: _Optional[int] = ..., name: _Optional[str] = ..., share: _Optional[float] = ..., colour: _Optional[int] = ...) -> None: ...

class Segmentation(_message.Message):
    __slots__ = ("mask", "classes", "overlay")
    MASK_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    mask: Mask
    classes: _containers.RepeatedCompositeFieldContainer[SegmentClass]
    overlay: bytes
    def __init__(self, mask: _Optional[_Union[Mask, _Mapping]] = ..., classes: _Optional[_Iterable[_Union[SegmentClass, _Mapping]]] = ..., overlay: _Optional[bytes] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "datatype", "shape", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Tensors(_message.Message):
    __slots__ = ("tensors",)
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    tensors: _containers.RepeatedCompositeFieldContainer[Tensor]
    def __init__(self, tensors: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("task", "route", "model", "worker_seconds", "classification", "segmentation", "tensors", "task_name")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WORKER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    SEGMENTATION_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    task: Task
    route: Route
    model: str
    worker_seconds: float
    classification: Classification
    segmentation: Segmentation
    tensors: Tensors
    task_name: str
    def __init__(self, task: _Optional[_Union[Task, str]] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., model: _Optional[str] = ..., worker_seconds: _Optional[float] = ..., classification: _Optional[_Union[Classification, _Mapping]] = ..., segmentation: _Optional[_Union[Segmentation, _Mapping]] = ..., tensors: _Optional[_Union[Tensors, _Mapping]] = ..., task_name: _Optional[str] = ...) -> None: ...

class EncodeRequest(_message.Message):
    __slots__ = ("picture", "rate")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    picture: Picture
    rate: Rate
    def __init__(self, picture: _Optional[_Union[Picture, _Mapping]] = ..., rate: _Optional[_Union[Rate, _Mapping]] = ...) -> None: ...

class EncodeResponse(_message.Message):
    __slots__ = ("bitstream", "facts", "budget", "device", "timings")
    BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    bitstream: bytes
    facts: BitstreamFacts
    budget: Budget
    device: str
    timings: _containers.RepeatedCompositeFieldContainer[StageTiming]
    def __init__(self, bitstream: _Optional[bytes] = ..., facts: _Optional[_Union[BitstreamFacts, _Mapping]] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., device: _Optional[str] = ..., timings: _Optional[_Iterable[_Union[StageTiming, _Mapping]]] = ...) -> None: ...

class ProcessRequest(_message.Message):
    __slots__ = ("picture", "rate", "tasks", "pictures", "picture_format", "return_bitstream")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    RETURN_BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    picture: Picture
    rate: Rate
    tasks: _containers.RepeatedCompositeFieldContainer[TaskRequest]
    pictures: _containers.RepeatedCompositeFieldContainer[PathRequest]
    picture_format: PictureFormat
    return_bitstream: bool
    def __init__(self, picture: _Optional[_Union[Picture, _Mapping]] = ..., rate: _Optional[_Union[Rate, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[TaskRequest, _Mapping]]] = ..., pictures: _Optional[_Iterable[_Union[PathRequest, _Mapping]]] = ..., picture_format: _Optional[_Union[PictureFormat, str]] = ..., return_bitstream: _Optional[bool] = ...) -> None: ...

class ProcessResponse(_message.Message):
    __slots__ = ("encoded", "analyzed")
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    ANALYZED_FIELD_NUMBER: _ClassVar[int]
    encoded: EncodeResponse
    analyzed: AnalyzeResponse
    def __init__(self, encoded: _Optional[_Union[EncodeResponse, _Mapping]] = ..., analyzed: _Optional[_Union[AnalyzeResponse, _Mapping]] = ...) -> None: ...

class GetCapabilitiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCapabilitiesResponse(_message.Message):
    __slots__ = ("model", "model_digest", "device", "min_quality", "max_quality", "quality_step", "max_pixels", "max_message_bytes", "picture_formats", "trained_paths", "has_uplink", "path_names")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MIN_QUALITY_FIELD_NUMBER: _ClassVar[int]
    MAX_QUALITY_FIELD_NUMBER: _ClassVar[int]
    QUALITY_STEP_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FORMATS_FIELD_NUMBER: _ClassVar[int]
    TRAINED_PATHS_FIELD_NUMBER: _ClassVar[int]
    HAS_UPLINK_FIELD_NUMBER: _ClassVar[int]
    PATH_NAMES_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_digest: str
    device: str
    min_quality: float
    max_quality: float
    quality_step: float
    max_pixels: int
    max_message_bytes: int
    picture_formats: _containers.RepeatedScalarFieldContainer[str]
    trained_paths: _containers.RepeatedScalarFieldContainer[Path]
    has_uplink: bool
    path_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., model_digest: _Optional[str] = ..., device: _Optional[str] = ..., min_quality: _Optional[float] = ..., max_quality: _Optional[float] = ..., quality_step: _Optional[float] = ..., max_pixels: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., picture_formats: _Optional[_Iterable[str]] = ..., trained_paths: _Optional[_Iterable[_Union[Path, str]]] = ..., has_uplink: _Optional[bool] = ..., path_names: _Optional[_Iterable[str]] = ...) -> None: ...

class DecoderServiceGetCapabilitiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DecoderServiceGetCapabilitiesResponse(_message.Message):
    __slots__ = ("model", "model_digest", "device", "path_names", "task_names", "max_pixels", "max_message_bytes", "max_paths")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PATH_NAMES_FIELD_NUMBER: _ClassVar[int]
    TASK_NAMES_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_PATHS_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_digest: str
    device: str
    path_names: _containers.RepeatedScalarFieldContainer[str]
    task_names: _containers.RepeatedScalarFieldContainer[str]
    max_pixels: int
    max_message_bytes: int
    max_paths: int
    def __init__(self, model: _Optional[str] = ..., model_digest: _Optional[str] = ..., device: _Optional[str] = ..., path_names: _Optional[_Iterable[str]] = ..., task_names: _Optional[_Iterable[str]] = ..., max_pixels: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., max_paths: _Optional[int] = ...) -> None: ...

class DecodeRequest(_message.Message):
    __slots__ = ("bitstream", "pictures", "picture_format")
    BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    bitstream: bytes
    pictures: _containers.RepeatedCompositeFieldContainer[PathRequest]
    picture_format: PictureFormat
    def __init__(self, bitstream: _Optional[bytes] = ..., pictures: _Optional[_Iterable[_Union[PathRequest, _Mapping]]] = ..., picture_format: _Optional[_Union[PictureFormat, str]] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("pictures", "facts", "device", "timings")
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    pictures: _containers.RepeatedCompositeFieldContainer[DecodedPicture]
    facts: BitstreamFacts
    device: str
    timings: _containers.RepeatedCompositeFieldContainer[StageTiming]
    def __init__(self, pictures: _Optional[_Iterable[_Union[DecodedPicture, _Mapping]]] = ..., facts: _Optional[_Union[BitstreamFacts, _Mapping]] = ..., device: _Optional[str] = ..., timings: _Optional[_Iterable[_Union[StageTiming, _Mapping]]] = ...) -> None: ...

class AnalyzeRequest(_message.Message):
    __slots__ = ("bitstream", "tasks", "pictures", "picture_format")
    BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    bitstream: bytes
    tasks: _containers.RepeatedCompositeFieldContainer[TaskRequest]
    pictures: _containers.RepeatedCompositeFieldContainer[PathRequest]
    picture_format: PictureFormat
    def __init__(self, bitstream: _Optional[bytes] = ..., tasks: _Optional[_Iterable[_Union[TaskRequest, _Mapping]]] = ..., pictures: _Optional[_Iterable[_Union[PathRequest, _Mapping]]] = ..., picture_format: _Optional[_Union[PictureFormat, str]] = ...) -> None: ...

class AnalyzeResponse(_message.Message):
    __slots__ = ("results", "pictures", "facts", "device", "timings")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TaskResult]
    pictures: _containers.RepeatedCompositeFieldContainer[DecodedPicture]
    facts: BitstreamFacts
    device: str
    timings: _containers.RepeatedCompositeFieldContainer[StageTiming]
    def __init__(self, results: _Optional[_Iterable[_Union[TaskResult, _Mapping]]] = ..., pictures: _Optional[_Iterable[_Union[DecodedPicture, _Mapping]]] = ..., facts: _Optional[_Union[BitstreamFacts, _Mapping]] = ..., device: _Optional[str] = ..., timings: _Optional[_Iterable[_Union[StageTiming, _Mapping]]] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ("bitstream",)
    BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    bitstream: bytes
    def __init__(self, bitstream: _Optional[bytes] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("facts", "slices_present", "slices", "decodable")
    FACTS_FIELD_NUMBER: _ClassVar[int]
    SLICES_PRESENT_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    DECODABLE_FIELD_NUMBER: _ClassVar[int]
    facts: BitstreamFacts
    slices_present: int
    slices: int
    decodable: bool
    def __init__(self, facts: _Optional[_Union[BitstreamFacts, _Mapping]] = ..., slices_present: _Optional[int] = ..., slices: _Optional[int] = ..., decodable: _Optional[bool] = ...) -> None: ...
