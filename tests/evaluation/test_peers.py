import numpy as np
import pytest

from manypath_lab.evaluation.metrics import psnr
from manypath_lab.evaluation.peers import PeerError, make_peers, peer_names
from manypath_lab.evaluation.vvc import Vvc

QUICK = [name for name in peer_names() if name != "vvc"]


@pytest.mark.parametrize("name", QUICK)
def test_a_peer_returns_the_picture_better_and_larger_at_its_highest_quality(name: str, picture: np.ndarray) -> None:
    grey = np.repeat(picture[..., :1], 3, axis=-1)  # 4:2:0 would cost the strong colours of the fixture dearly
    (peer,) = make_peers([name])
    low, high = (peer.encode(grey, peer.qualities[i]) for i in (0, -1))
    restored = [peer.decode(data) for data in (low, high)]
    assert [(image.shape, image.dtype) for image in restored] == [(picture.shape, np.uint8)] * 2
    assert len(low) < len(high)
    assert psnr(grey, restored[0]) < psnr(grey, restored[1])
    assert psnr(grey, restored[1]) > 33.0


@pytest.mark.parametrize("name", QUICK)
def test_a_peer_writes_the_same_bytes_twice(name: str, picture: np.ndarray) -> None:
    (peer,) = make_peers([name])
    assert peer.encode(picture, peer.qualities[3]) == peer.encode(picture, peer.qualities[3])


def test_vvc_returns_a_picture_of_odd_size(picture: np.ndarray) -> None:
    odd = picture[:63, :79]
    peer = Vvc()
    restored = peer.decode(peer.encode(odd, 32))
    assert restored.shape == odd.shape
    assert psnr(odd, restored) > 28.0


def test_a_failing_ffmpeg_is_a_named_error_with_its_message() -> None:
    with pytest.raises(PeerError, match="ffmpeg failed with status"):
        Vvc().decode(b"\x10\x00\x10\x00this is no VVC stream")


@pytest.mark.parametrize("name", peer_names())
def test_a_peer_tells_its_version_and_its_settings_differ_by_quality(name: str) -> None:
    (peer,) = make_peers([name])
    assert any(character.isdigit() for character in peer.version)
    assert len({peer.settings(quality) for quality in peer.qualities}) == len(peer.qualities)


def test_an_unknown_peer_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(PeerError, match=r"jpeg, webp, jxl, avif, avif-psnr, vvc; got bpg"):
        make_peers(["jpeg", "bpg"])
