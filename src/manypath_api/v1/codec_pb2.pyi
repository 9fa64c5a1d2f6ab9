import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
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
    PATH_DETECTION: _ClassVar[Path]

class Task(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_UNSPECIFIED: _ClassVar[Task]
    TASK_CLASSIFICATION: _ClassVar[Task]
    TASK_SEGMENTATION: _ClassVar[Task]
    TASK_DETECTION: _ClassVar[Task]

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
PATH_DETECTION: Path
TASK_UNSPECIFIED: Task
TASK_CLASSIFICATION: Task
TASK_SEGMENTATION: Task
TASK_DETECTION: Task
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
    __slots__ = ("quality", "max_bytes", "target_bpp", "effort")
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    TARGET_BPP_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    quality: float
    max_bytes: int
    target_bpp: float
    effort: int
    def __init__(self, quality: _Optional[float] = ..., max_bytes: _Optional[int] = ..., target_bpp: _Optional[float] = ..., effort: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("task", "task_share", "top_k", "task_name", "path_name", "overlay", "min_score", "classes")
    TASK_FIELD_NUMBER: _ClassVar[int]
    TASK_SHARE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_NAME_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    task: Task
    task_share: float
    top_k: int
    task_name: str
    path_name: str
    overlay: bool
    min_score: float
    classes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task: _Optional[_Union[Task, str]] = ..., task_share: _Optional[float] = ..., top_k: _Optional[int] = ..., task_name: _Optional[str] = ..., path_name: _Optional[str] = ..., overlay: _Optional[bool] = ..., min_score: _Optional[float] = ..., classes: _Optional[_Iterable[str]] = ...) -> None: ...

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

class Box(_message.Message):
    __slots__ = ("left", "top", "right", "bottom", "index", "name", "score")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    left: float
    top: float
    right: float
    bottom: float
    index: int
    name: str
    score: float
    def __init__(self, left: _Optional[float] = ..., top: _Optional[float] = ..., right: _Optional[float] = ..., bottom: _Optional[float] = ..., index: _Optional[int] = ..., name: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class Detection(_message.Message):
    __slots__ = ("boxes", "overlay")
    BOXES_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    boxes: _containers.RepeatedCompositeFieldContainer[Box]
    overlay: bytes
    def __init__(self, boxes: _Optional[_Iterable[_Union[Box, _Mapping]]] = ..., overlay: _Optional[bytes] = ...) -> None: ...

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
    __slots__ = ("task", "route", "model", "worker_seconds", "classification", "segmentation", "tensors", "detection", "task_name")
    TASK_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WORKER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CLASSIFICATION_FIELD_NUMBER: _ClassVar[int]
    SEGMENTATION_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    DETECTION_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    task: Task
    route: Route
    model: str
    worker_seconds: float
    classification: Classification
    segmentation: Segmentation
    tensors: Tensors
    detection: Detection
    task_name: str
    def __init__(self, task: _Optional[_Union[Task, str]] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., model: _Optional[str] = ..., worker_seconds: _Optional[float] = ..., classification: _Optional[_Union[Classification, _Mapping]] = ..., segmentation: _Optional[_Union[Segmentation, _Mapping]] = ..., tensors: _Optional[_Union[Tensors, _Mapping]] = ..., detection: _Optional[_Union[Detection, _Mapping]] = ..., task_name: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("model", "model_digest", "device", "min_quality", "max_quality", "quality_step", "max_pixels", "max_message_bytes", "picture_formats", "trained_paths", "has_uplink", "path_names", "max_effort")
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
    MAX_EFFORT_FIELD_NUMBER: _ClassVar[int]
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
    max_effort: int
    def __init__(self, model: _Optional[str] = ..., model_digest: _Optional[str] = ..., device: _Optional[str] = ..., min_quality: _Optional[float] = ..., max_quality: _Optional[float] = ..., quality_step: _Optional[float] = ..., max_pixels: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., picture_formats: _Optional[_Iterable[str]] = ..., trained_paths: _Optional[_Iterable[_Union[Path, str]]] = ..., has_uplink: _Optional[bool] = ..., path_names: _Optional[_Iterable[str]] = ..., max_effort: _Optional[int] = ...) -> None: ...

class DecoderServiceGetCapabilitiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DecoderServiceGetCapabilitiesResponse(_message.Message):
    __slots__ = ("model", "model_digest", "device", "path_names", "task_names", "max_pixels", "max_message_bytes", "max_paths", "main_path")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PATH_NAMES_FIELD_NUMBER: _ClassVar[int]
    TASK_NAMES_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_PATHS_FIELD_NUMBER: _ClassVar[int]
    MAIN_PATH_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_digest: str
    device: str
    path_names: _containers.RepeatedScalarFieldContainer[str]
    task_names: _containers.RepeatedScalarFieldContainer[str]
    max_pixels: int
    max_message_bytes: int
    max_paths: int
    main_path: str
    def __init__(self, model: _Optional[str] = ..., model_digest: _Optional[str] = ..., device: _Optional[str] = ..., path_names: _Optional[_Iterable[str]] = ..., task_names: _Optional[_Iterable[str]] = ..., max_pixels: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., max_paths: _Optional[int] = ..., main_path: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("bitstream", "bit_map")
    BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    BIT_MAP_FIELD_NUMBER: _ClassVar[int]
    bitstream: bytes
    bit_map: bool
    def __init__(self, bitstream: _Optional[bytes] = ..., bit_map: _Optional[bool] = ...) -> None: ...

class BitMap(_message.Message):
    __slots__ = ("width", "height", "bits")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    bits: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., bits: _Optional[_Iterable[float]] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("facts", "slices_present", "slices", "decodable", "bit_map")
    FACTS_FIELD_NUMBER: _ClassVar[int]
    SLICES_PRESENT_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    DECODABLE_FIELD_NUMBER: _ClassVar[int]
    BIT_MAP_FIELD_NUMBER: _ClassVar[int]
    facts: BitstreamFacts
    slices_present: int
    slices: int
    decodable: bool
    bit_map: BitMap
    def __init__(self, facts: _Optional[_Union[BitstreamFacts, _Mapping]] = ..., slices_present: _Optional[int] = ..., slices: _Optional[int] = ..., decodable: _Optional[bool] = ..., bit_map: _Optional[_Union[BitMap, _Mapping]] = ...) -> None: ...

class StreamOpen(_message.Message):
    __slots__ = ("session", "settled", "return_bitstream")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    RETURN_BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    session: str
    settled: int
    return_bitstream: bool
    def __init__(self, session: _Optional[str] = ..., settled: _Optional[int] = ..., return_bitstream: _Optional[bool] = ...) -> None: ...

class SequenceRange(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class StreamOpened(_message.Message):
    __slots__ = ("received", "window_frames", "window_bytes", "heartbeat_seconds")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FRAMES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    received: StreamAcknowledgement
    window_frames: int
    window_bytes: int
    heartbeat_seconds: float
    def __init__(self, received: _Optional[_Union[StreamAcknowledgement, _Mapping]] = ..., window_frames: _Optional[int] = ..., window_bytes: _Optional[int] = ..., heartbeat_seconds: _Optional[float] = ...) -> None: ...

class StreamAcknowledgement(_message.Message):
    __slots__ = ("contiguous", "above")
    CONTIGUOUS_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    contiguous: int
    above: _containers.RepeatedCompositeFieldContainer[SequenceRange]
    def __init__(self, contiguous: _Optional[int] = ..., above: _Optional[_Iterable[_Union[SequenceRange, _Mapping]]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("settled",)
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    settled: int
    def __init__(self, settled: _Optional[int] = ...) -> None: ...

class FrameTime(_message.Message):
    __slots__ = ("captured_at", "monotonic_seconds", "source_seconds", "clock_synced")
    CAPTURED_AT_FIELD_NUMBER: _ClassVar[int]
    MONOTONIC_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_SYNCED_FIELD_NUMBER: _ClassVar[int]
    captured_at: _timestamp_pb2.Timestamp
    monotonic_seconds: float
    source_seconds: float
    clock_synced: bool
    def __init__(self, captured_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., monotonic_seconds: _Optional[float] = ..., source_seconds: _Optional[float] = ..., clock_synced: _Optional[bool] = ...) -> None: ...

class FrameHeader(_message.Message):
    __slots__ = ("sequence", "settled", "camera", "time", "origin", "traceparent")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    settled: int
    camera: str
    time: FrameTime
    origin: FrameOrigin
    traceparent: str
    def __init__(self, sequence: _Optional[int] = ..., settled: _Optional[int] = ..., camera: _Optional[str] = ..., time: _Optional[_Union[FrameTime, _Mapping]] = ..., origin: _Optional[_Union[FrameOrigin, _Mapping]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class FrameOrigin(_message.Message):
    __slots__ = ("session", "sequence")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    session: str
    sequence: int
    def __init__(self, session: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class FrameWishes(_message.Message):
    __slots__ = ("tasks", "pictures", "picture_format", "answer")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskRequest]
    pictures: _containers.RepeatedCompositeFieldContainer[PathRequest]
    picture_format: PictureFormat
    answer: bool
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskRequest, _Mapping]]] = ..., pictures: _Optional[_Iterable[_Union[PathRequest, _Mapping]]] = ..., picture_format: _Optional[_Union[PictureFormat, str]] = ..., answer: _Optional[bool] = ...) -> None: ...

class PictureFrame(_message.Message):
    __slots__ = ("header", "picture", "rate", "wishes", "at_lowest_quality")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    WISHES_FIELD_NUMBER: _ClassVar[int]
    AT_LOWEST_QUALITY_FIELD_NUMBER: _ClassVar[int]
    header: FrameHeader
    picture: Picture
    rate: Rate
    wishes: FrameWishes
    at_lowest_quality: bool
    def __init__(self, header: _Optional[_Union[FrameHeader, _Mapping]] = ..., picture: _Optional[_Union[Picture, _Mapping]] = ..., rate: _Optional[_Union[Rate, _Mapping]] = ..., wishes: _Optional[_Union[FrameWishes, _Mapping]] = ..., at_lowest_quality: _Optional[bool] = ...) -> None: ...

class BitstreamFrame(_message.Message):
    __slots__ = ("header", "bitstream", "wishes")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    WISHES_FIELD_NUMBER: _ClassVar[int]
    header: FrameHeader
    bitstream: bytes
    wishes: FrameWishes
    def __init__(self, header: _Optional[_Union[FrameHeader, _Mapping]] = ..., bitstream: _Optional[bytes] = ..., wishes: _Optional[_Union[FrameWishes, _Mapping]] = ...) -> None: ...

class FrameAnswer(_message.Message):
    __slots__ = ("sequence", "camera", "encoded", "analyzed", "time", "origin")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    ANALYZED_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    camera: str
    encoded: EncodeResponse
    analyzed: AnalyzeResponse
    time: FrameTime
    origin: FrameOrigin
    def __init__(self, sequence: _Optional[int] = ..., camera: _Optional[str] = ..., encoded: _Optional[_Union[EncodeResponse, _Mapping]] = ..., analyzed: _Optional[_Union[AnalyzeResponse, _Mapping]] = ..., time: _Optional[_Union[FrameTime, _Mapping]] = ..., origin: _Optional[_Union[FrameOrigin, _Mapping]] = ...) -> None: ...

class FrameRefusal(_message.Message):
    __slots__ = ("sequence", "code", "details", "permanent", "retry_after_seconds")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    code: int
    details: str
    permanent: bool
    retry_after_seconds: float
    def __init__(self, sequence: _Optional[int] = ..., code: _Optional[int] = ..., details: _Optional[str] = ..., permanent: _Optional[bool] = ..., retry_after_seconds: _Optional[float] = ...) -> None: ...

class EncodeStreamRequest(_message.Message):
    __slots__ = ("open", "frame", "heartbeat")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    open: StreamOpen
    frame: PictureFrame
    heartbeat: Heartbeat
    def __init__(self, open: _Optional[_Union[StreamOpen, _Mapping]] = ..., frame: _Optional[_Union[PictureFrame, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class EncodeStreamResponse(_message.Message):
    __slots__ = ("opened", "acknowledgement", "answer", "refusal", "heartbeat")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    opened: StreamOpened
    acknowledgement: StreamAcknowledgement
    answer: FrameAnswer
    refusal: FrameRefusal
    heartbeat: Heartbeat
    def __init__(self, opened: _Optional[_Union[StreamOpened, _Mapping]] = ..., acknowledgement: _Optional[_Union[StreamAcknowledgement, _Mapping]] = ..., answer: _Optional[_Union[FrameAnswer, _Mapping]] = ..., refusal: _Optional[_Union[FrameRefusal, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class AnalyzeStreamRequest(_message.Message):
    __slots__ = ("open", "frame", "heartbeat")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    open: StreamOpen
    frame: BitstreamFrame
    heartbeat: Heartbeat
    def __init__(self, open: _Optional[_Union[StreamOpen, _Mapping]] = ..., frame: _Optional[_Union[BitstreamFrame, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class AnalyzeStreamResponse(_message.Message):
    __slots__ = ("opened", "acknowledgement", "answer", "refusal", "heartbeat")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    opened: StreamOpened
    acknowledgement: StreamAcknowledgement
    answer: FrameAnswer
    refusal: FrameRefusal
    heartbeat: Heartbeat
    def __init__(self, opened: _Optional[_Union[StreamOpened, _Mapping]] = ..., acknowledgement: _Optional[_Union[StreamAcknowledgement, _Mapping]] = ..., answer: _Optional[_Union[FrameAnswer, _Mapping]] = ..., refusal: _Optional[_Union[FrameRefusal, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class WatchResultsRequest(_message.Message):
    __slots__ = ("cameras", "bitstreams", "interval_seconds")
    CAMERAS_FIELD_NUMBER: _ClassVar[int]
    BITSTREAMS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    cameras: _containers.RepeatedScalarFieldContainer[str]
    bitstreams: bool
    interval_seconds: float
    def __init__(self, cameras: _Optional[_Iterable[str]] = ..., bitstreams: _Optional[bool] = ..., interval_seconds: _Optional[float] = ...) -> None: ...

class WatchResultsResponse(_message.Message):
    __slots__ = ("camera", "session", "header", "facts", "analyzed", "bitstream", "age_seconds", "bytes_per_minute", "frames_per_minute")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    ANALYZED_FIELD_NUMBER: _ClassVar[int]
    BITSTREAM_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    camera: str
    session: str
    header: FrameHeader
    facts: BitstreamFacts
    analyzed: AnalyzeResponse
    bitstream: bytes
    age_seconds: float
    bytes_per_minute: int
    frames_per_minute: int
    def __init__(self, camera: _Optional[str] = ..., session: _Optional[str] = ..., header: _Optional[_Union[FrameHeader, _Mapping]] = ..., facts: _Optional[_Union[BitstreamFacts, _Mapping]] = ..., analyzed: _Optional[_Union[AnalyzeResponse, _Mapping]] = ..., bitstream: _Optional[bytes] = ..., age_seconds: _Optional[float] = ..., bytes_per_minute: _Optional[int] = ..., frames_per_minute: _Optional[int] = ...) -> None: ...
