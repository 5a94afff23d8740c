"""Kaggle's image: which wheels fit it."""

from __future__ import annotations

from submission.kaggle.packaging.image import Image, misfit, platforms
from tests.support.cases import cases

IMAGE = Image((3, 12), (2, 35), {})


@cases(
    ("wheel", "fits"),
    [
        ("bitsandbytes-0.50.2-py3-none-manylinux_2_24_x86_64.whl", True),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp38-abi3-manylinux2014_x86_64.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-py39-none-manylinux_2_28_x86_64.whl", True),
        ("a-1-1-py3-none-any.whl", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp313-cp313-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp313-abi3-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp312-cp312-manylinux_2_39_x86_64.whl", False),
        ("a-1-cp312-cp312-manylinux_2_17_aarch64.whl", False),
        ("a-1-cp312-cp312-win_amd64.whl", False),
        ("a-1.tar.gz", False),
        ("torch-2.10.0-cp312-cp312-manylinux_2_28_x86_64.whl", False),
        ("triton-3.6.0-cp312-cp312-manylinux_2_27_x86_64.whl", False),
        ("nvidia_cublas_cu12-12.8.4.1-py3-none-manylinux_2_27_x86_64.whl", False),
    ],
)
def test_a_wheel_fits_the_image_or_not_by_its_name(wheel: str, fits: bool) -> None:
    assert (misfit(wheel, IMAGE) == "") is fits, misfit(wheel, IMAGE)


def test_no_platform_tag_is_left_out() -> None:
    tags = platforms(IMAGE)
    assert [f"manylinux_2_{k}_x86_64" for k in range(35, 4, -1)] == tags[:31]
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(tags)
