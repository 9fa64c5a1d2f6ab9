"""The three sets of pictures that paths are judged on, each with its judges: for people, a classifier, a segmenter."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from manypath.errors import RequestError
from manypath_lab.evaluation.appearance import PerceptualJudge, SimilarityJudge
from manypath_lab.evaluation.classifiers import ClassifierJudge
from manypath_lab.evaluation.pictures import list_pictures, load_picture
from manypath_lab.evaluation.scores import (
    Score,
    appearance_score,
    classification_scores,
    psnr_score,
    segmentation_scores,
)
from manypath_lab.evaluation.segmenters import SegmenterJudge
from manypath_lab.evaluation.task_run import TaskRun
from manypath_lab.evaluation.tasks import Case, Judge, evenly, load_labelled, load_masked


class PictureSet(NamedTuple):
    """Pictures and who judges them.

    Attributes:
        kind: ``pictures``, ``photos`` or ``streets``.
        name: the folder's.
        path: our path that the set is the home of: ``mse``, ``classification``, ``segmentation``.
        cases: the pictures.
        judges: what is asked of them, PSNR aside.
    """

    kind: str
    name: str
    path: str
    cases: Sequence[Case]
    judges: Sequence[Judge]

    def scores(self, run: TaskRun) -> list[Score]:
        """Return all scores of a run on this set, the task's first."""
        found: list[Score] = []
        for number, judge in enumerate(self.judges):
            if isinstance(judge, ClassifierJudge):
                found.append(classification_scores(run, number, ())[0])
            elif isinstance(judge, SegmenterJudge):
                found.append(segmentation_scores(run, number, ())[0])
            else:
                found.append(appearance_score(run, number))
        return [*found, psnr_score(run)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the folders to a command line."""
    parser.add_argument("--pictures", metavar="DIR", help="any photos: PSNR, MS-SSIM, perceptual distance")
    parser.add_argument(
        "--photos", metavar="DIR", help="labelled photos with a labels.csv: top-1 of EfficientNet-Lite0"
    )
    parser.add_argument("--streets", metavar="DIR", help="folder with val/images and val/masks: mIoU of the segmenter")
    parser.add_argument("--segmenter", metavar="FILE", help="the segmenter's weights (default: the shipped ones)")
    parser.add_argument("--limit", type=int, metavar="N", help="only N pictures of each set, evenly spaced")


def read_sets(arguments: argparse.Namespace, *, appearance: bool) -> list[PictureSet]:
    """Return the sets that were asked for.

    Args:
        arguments: with what :func:`add_options` added.
        appearance: measure the perceptual distance on all sets, not on ``pictures`` only.

    Raises:
        RequestError: none was asked for.
        ManypathError: a folder or network does not exist.
    """
    sets: list[PictureSet] = []
    looks: list[Judge] = [PerceptualJudge()]
    also = looks if appearance else []
    limit: int | None = arguments.limit
    if arguments.pictures:
        files = evenly(list_pictures(arguments.pictures), limit)
        cases = [Case(load_picture(file), np.zeros((), dtype=np.int32)) for file in files]
        judges: list[Judge] = [] if appearance else [SimilarityJudge()]
        sets.append(PictureSet("pictures", _name(arguments.pictures), "mse", cases, [*judges, *looks]))
    if arguments.photos:
        folder = pathlib.Path(arguments.photos)
        photos = load_labelled(folder, folder / "labels.csv", limit)
        sets.append(
            PictureSet("photos", folder.resolve().name, "classification", photos, [ClassifierJudge("lite0"), *also])
        )
    if arguments.streets:
        streets = load_masked(pathlib.Path(arguments.streets), "val", limit)
        segmenter = SegmenterJudge(pathlib.Path(arguments.segmenter) if arguments.segmenter else None)
        sets.append(PictureSet("streets", _name(arguments.streets), "segmentation", streets, [segmenter, *also]))
    if not sets:
        raise RequestError("nothing to measure on: give at least one of --pictures, --photos, --streets")
    return sets


def _name(folder: str) -> str:
    return pathlib.Path(folder).resolve().name
