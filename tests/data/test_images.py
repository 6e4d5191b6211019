"""Decoding: every kind of file that arrives in practice, and every kind that must be refused in a sentence."""

import io
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, ImageOps

from dermoscope.core.errors import ImageError, InputError
from dermoscope.data import images, jpeg
from dermoscope.data.images import Picture, image_size, list_images, read_image, read_images

DATA = os.environ.get("DERMOSCOPE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="DERMOSCOPE_DATA is not set: no real images to read")


def scene(width: int = 96, height: int = 64) -> np.ndarray:
    """A smooth colour picture without symmetry: each corner has its own colour."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([40 + 200 * x, 30 + 200 * y, 220 - 150 * x * y], axis=2).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def scene_as(kind: str, mode: str = "RGB", **options: object) -> bytes:
    return encoded(Image.fromarray(scene()).convert(mode), kind, **options)


def assert_close(pixels: np.ndarray, expected: np.ndarray, mean: float = 2.0) -> None:
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected.astype(int)).mean() <= mean


def refused(source: object, match: str, **options: object) -> None:
    with pytest.raises(ImageError, match=match):
        read_image(source, **options)  # type: ignore[arg-type]


@pytest.fixture(params=["simplejpeg", "opencv"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both decoders of plain JPEG; None in sys.modules makes `import simplejpeg` fail as where it is not installed."""
    if request.param == "opencv":
        monkeypatch.setitem(sys.modules, "simplejpeg", None)
    else:
        pytest.importorskip("simplejpeg", reason="simplejpeg is not installed")
    return str(request.param)


# ------------------------------------------------------------------------------------------------ what is decoded


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_lossless_formats_are_exact(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read_image(scene_as(kind, **options))
    np.testing.assert_array_equal(picture.pixels, scene())
    assert (picture.width, picture.height, picture.format) == (96, 64, kind)


@pytest.mark.usefixtures("decoder")
def test_a_jpeg_reads_from_path_string_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(scene_as("JPEG", quality=95))
    for source in (path, str(path), path.read_bytes()):
        picture = read_image(source)
        assert_close(picture.pixels, scene())
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.flags.c_contiguous
        assert picture.pixels.flags.writeable
        assert picture.format == "JPEG"


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"subsampling": 2}, {"optimize": True}])
def test_jpeg_flavours(options: dict[str, object]) -> None:
    assert_close(read_image(scene_as("JPEG", quality=95, **options)).pixels, scene(), 3)


def test_both_decoders_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg", reason="simplejpeg is not installed")
    data = encoded(Image.fromarray(scene(603, 451)), "JPEG", quality=90)
    for at_least in (0, 200, 100, 50):
        with monkeypatch.context() as patch:
            ours = read_image(data, at_least=at_least)
            patch.setitem(sys.modules, "simplejpeg", None)
            theirs = read_image(data, at_least=at_least)
        assert_close(ours.pixels, theirs.pixels, 0.5)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(
    ("at_least", "side"),
    [(0, 448), (449, 448), (448, 448), (225, 448), (224, 224), (113, 224), (112, 112), (56, 56), (3, 56)],
)
def test_the_strongest_scaling_that_is_still_large_enough(at_least: int, side: int) -> None:
    data = encoded(Image.fromarray(scene(600, 448)), "JPEG", quality=95)
    picture = read_image(data, at_least=at_least)
    assert picture.pixels.shape[0] == side
    assert (picture.width, picture.height) == (600, 448)
    assert_close(picture.pixels, cv2.resize(scene(600, 448), picture.pixels.shape[1::-1], interpolation=cv2.INTER_AREA))


@given(st.integers(16, 4000), st.integers(16, 4000), st.integers(1, 2000))
def test_scaling_never_goes_below_what_was_asked(width: int, height: int, at_least: int) -> None:
    factor = jpeg.factor_for(width, height, at_least)
    shorter = min(width, height)
    assert factor in (1, 2, 4, 8)
    assert factor == 1 or -(-shorter // factor) >= at_least
    assert factor == 8 or -(-shorter // (2 * factor)) < at_least
    assert jpeg.factor_for(width, height, 0) == 1


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = scene_as(kind, exif=exif, **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    picture = read_image(data)
    assert_close(picture.pixels, upright, 1)
    assert (picture.width, picture.height) == (upright.shape[1], upright.shape[0])


@pytest.mark.usefixtures("decoder")
def test_orientation_and_scaling_together() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(scene(600, 448)), "JPEG", exif=exif)
    picture = read_image(data, at_least=100)
    assert picture.pixels.shape == (150, 112, 3)
    assert (picture.width, picture.height) == (448, 600)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_impossible_orientation_means_none(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert read_image(scene_as("JPEG", exif=exif)).width == 96


@pytest.mark.usefixtures("decoder")
def test_broken_exif_does_not_spoil_the_image() -> None:
    data = scene_as("JPEG", quality=95)
    segment = b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\x80" * 40
    broken = data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]
    assert_close(read_image(broken).pixels, scene())


@pytest.mark.usefixtures("decoder")
def test_grey_becomes_three_equal_channels() -> None:
    grey = np.asarray(Image.fromarray(scene()).convert("L"))
    for kind in ("PNG", "JPEG"):
        pixels = read_image(scene_as(kind, "L")).pixels
        assert_close(pixels, np.repeat(grey[:, :, None], 3, axis=2))
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_one_bit() -> None:
    pixels = read_image(scene_as("PNG", "1")).pixels
    assert set(np.unique(pixels)) == {0, 255}


def test_cmyk_jpeg_and_tiff() -> None:
    for kind in ("JPEG", "TIFF"):
        assert_close(read_image(scene_as(kind, "CMYK")).pixels, scene(), 3)


def test_ycck_jpeg_as_photoshop_writes_it() -> None:
    plain = scene_as("JPEG", "CMYK", quality=95)
    with Image.open(io.BytesIO(plain)) as image:
        assert image.mode == "CMYK"
    assert jpeg.read_header(plain).components == 4
    assert not jpeg.read_header(plain).plain


def test_palette_with_and_without_transparency() -> None:
    palette = Image.fromarray(scene()).quantize(256)
    colours = np.asarray(palette.convert("RGB"))
    assert_close(read_image(encoded(palette, "PNG")).pixels, colours, 0)
    seen = read_image(encoded(palette, "PNG", transparency=bytes([0] + [255] * 255))).pixels
    clear = np.asarray(palette) == 0
    assert clear.any()
    assert (seen[clear] == 255).all()
    np.testing.assert_array_equal(seen[~clear], colours[~clear])


def test_alpha_is_laid_on_white() -> None:
    rgba = np.dstack([scene(), np.full((64, 96), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    rgba[10:20, :, 3] = 51
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        pixels = read_image(encoded(Image.fromarray(rgba), kind, **options)).pixels
        assert (pixels[:10] == 255).all()
        np.testing.assert_array_equal(pixels[20:], scene()[20:])
        blended = scene()[10:20] * 0.2 + 255 * 0.8
        assert np.abs(pixels[10:20] - blended).max() <= 1.5


def test_grey_with_alpha() -> None:
    la = Image.fromarray(scene()).convert("LA")
    la.putalpha(0)
    assert (read_image(encoded(la)).pixels == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled(kind: str) -> None:
    deep = np.linspace(0, 65535, 64 * 96).reshape(64, 96).astype(np.uint16)
    pixels = read_image(encoded(Image.fromarray(deep), kind)).pixels
    np.testing.assert_array_equal(pixels[..., 1], np.rint(deep / 257).astype(np.uint8))


@pytest.mark.parametrize(("suffix", "channels"), [(".png", 3), (".tiff", 3), (".png", 4)])
def test_sixteen_bit_colour_is_scaled(suffix: str, channels: int) -> None:
    deep = scene().astype(np.uint16) * 257
    if channels == 4:
        deep = np.dstack([deep, np.full((64, 96), 65535, np.uint16)])
    order = [2, 1, 0, 3][:channels]
    done, data = cv2.imencode(suffix, deep[..., order])
    assert done
    np.testing.assert_array_equal(read_image(data.tobytes()).pixels, scene())


def test_float_pixels_are_refused_with_a_remedy() -> None:
    refused(encoded(Image.fromarray(scene()[..., 0].astype(np.float32)), "TIFF"), "mode F cannot be read; export")


def test_first_frame_of_an_animation() -> None:
    frames = [Image.fromarray(scene()), Image.new("RGB", (96, 64), "black")]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert_close(read_image(data).pixels, scene(), 12 if kind == "GIF" else 0)


def test_two_pictures_in_one_jpeg_give_the_first() -> None:
    frames = [Image.fromarray(scene()), Image.new("RGB", (96, 64), "black")]
    picture = read_image(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert picture.format == "JPEG"
    assert_close(picture.pixels, scene())


def profile_with_swapped_primaries() -> bytes:
    """An sRGB profile whose red and green colorants are exchanged, under another name: reading it must swap them."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return (
        icc.replace(b"rXYZ", b"tmp!")
        .replace(b"gXYZ", b"rXYZ")
        .replace(b"tmp!", b"gXYZ")
        .replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    )


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_an_icc_profile_is_obeyed(kind: str) -> None:
    options: dict[str, object] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    data = scene_as(kind, icc_profile=profile_with_swapped_primaries(), **options)
    assert_close(read_image(data).pixels, scene()[..., [1, 0, 2]], 4)


def test_icc_profile_under_transparency() -> None:
    rgba = Image.fromarray(np.dstack([scene(), np.full((64, 96), 255, np.uint8)]))
    pixels = read_image(encoded(rgba, icc_profile=profile_with_swapped_primaries())).pixels
    assert_close(pixels, scene()[..., [1, 0, 2]], 4)


@pytest.mark.usefixtures("decoder")
def test_an_srgb_profile_changes_nothing_and_keeps_the_fast_path() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert jpeg.is_srgb(icc)
    data = scene_as("JPEG", icc_profile=icc)
    assert jpeg.read_header(data).plain
    np.testing.assert_array_equal(read_image(data).pixels, read_image(scene_as("JPEG")).pixels)


@pytest.mark.parametrize(("mode", "profile"), [("RGB", True), ("L", True), ("CMYK", False)])
def test_damage_is_told_of_a_jpeg_that_pillow_decodes(mode: str, profile: bool) -> None:
    pytest.importorskip("simplejpeg", reason="simplejpeg is not installed: OpenCV may let this pass")
    icc = profile_with_swapped_primaries().replace(b"RGB ", b"GRAY" if mode == "L" else b"RGB ")
    data = scene_as("JPEG", mode, **({"icc_profile": icc} if profile else {}))
    read_image(data)
    half = (data.rindex(b"\xff\xda") + len(data)) // 2
    with pytest.raises(ImageError, match=r"^a\.jpg: the image is damaged .*; copy or download it again"):
        read_image(data[:half] + b"\xff\xd9", name="a.jpg")


@pytest.mark.parametrize("icc", [b"junk", b"\0" * 200, profile_with_swapped_primaries()[:300]])
def test_a_broken_profile_is_taken_for_srgb(icc: bytes) -> None:
    assert_close(read_image(scene_as("JPEG", icc_profile=icc, quality=95)).pixels, scene())
    assert_close(read_image(scene_as("PNG", icc_profile=icc)).pixels, scene())


def test_a_profile_of_another_colour_space_is_not_applied() -> None:
    grey = scene_as("PNG", "L", icc_profile=profile_with_swapped_primaries())
    assert_close(read_image(grey).pixels, np.asarray(Image.fromarray(scene()).convert("L").convert("RGB")), 3)
    cmyk = scene_as("TIFF", "CMYK", icc_profile=profile_with_swapped_primaries())
    assert_close(read_image(cmyk).pixels, scene(), 3)


def test_jpeg_with_a_profile_is_scaled_by_pillow() -> None:
    data = encoded(Image.fromarray(scene(600, 448)), "JPEG", icc_profile=profile_with_swapped_primaries())
    picture = read_image(data, at_least=100)
    assert picture.pixels.shape == (112, 150, 3)
    assert (picture.width, picture.height) == (600, 448)


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(scene_as("PNG"))
    assert read_image(path).format == "PNG"


def test_an_array_is_handed_on() -> None:
    picture = read_image(scene())
    np.testing.assert_array_equal(picture.pixels, scene())
    assert (picture.width, picture.height, picture.format) == (96, 64, "array")
    assert read_image(scene()[:, ::-1]).pixels.flags.c_contiguous


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_a_file_that_is_cut_off(kind: str, share: float, tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, f"^{path}: .*(cut off|damaged|not an image)")


def test_no_other_library_makes_a_cut_file_acceptable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as WeasyPrint does when it is imported
    data = scene_as("PNG")
    refused(data[: len(data) // 2], "^the image: .*(cut off|damaged)")


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_last_bytes_is_cut_off(progressive: bool) -> None:
    data = scene_as("JPEG", progressive=progressive)
    for missing in (1, 2, 3, 40):
        refused(data[:-missing], "^the image: the JPEG is cut off; copy or download it again")


def test_the_end_of_a_thumbnail_does_not_hide_a_cut() -> None:
    exif = b"Exif\0\0" + scene_as("JPEG")
    data = scene_as("JPEG", exif=exif)
    assert data.count(b"\xff\xd9") == 2
    assert read_image(data).width == 96
    refused(data[:-2], "cut off")


@pytest.mark.usefixtures("decoder")
def test_bytes_after_the_end_do_not_matter() -> None:
    assert_close(read_image(scene_as("JPEG", quality=95) + b"\0" * 500).pixels, scene())


@pytest.mark.usefixtures("decoder")
def test_stray_bytes_between_segments_cost_nothing() -> None:
    data = scene_as("JPEG", quality=95)
    at = data.index(b"\xff\xdb")
    assert_close(read_image(data[:at] + b"\0\0\0" + data[at:]).pixels, scene())


def test_a_jpeg_that_is_mostly_nothing_is_refused_at_once() -> None:
    started = time.monotonic()
    refused(b"\xff\xd8\xff" + b"\0" * 50_000_000, "cut off")
    assert time.monotonic() - started < 2


def test_a_jpeg_overwritten_in_the_middle() -> None:
    pytest.importorskip("simplejpeg", reason="simplejpeg is not installed: OpenCV may let this pass")
    data = bytearray(scene_as("JPEG", quality=95))
    middle = data.index(b"\xff\xda") + 200
    data[middle : middle + 200] = b"\xff\xd0" * 100
    refused(bytes(data), "damaged")


def test_missing_empty_folder_and_foreign_files(tmp_path: Path) -> None:
    refused(tmp_path / "none.jpg", r"none\.jpg: no such file; check the path")
    refused(tmp_path, "a folder, not an image; give the files in it")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    refused(empty, r"empty\.jpg: the file is empty; copy or download it again")
    text = tmp_path / "notes.jpg"
    text.write_text("these are no pixels" * 50)
    refused(text, r"notes\.jpg: not an image of a known format")
    refused(f"{tmp_path}/a\0b.jpg", "cannot be opened")
    refused("x" * 5000, "cannot be opened")
    refused(text / "below.jpg", "cannot be opened")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    refused(tmp_path / "pipe.jpg", "not an ordinary file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(scene_as("JPEG"))
    path.chmod(0)
    refused(path, r"cannot be opened \(Permission denied\)")


def test_formats_that_run_other_programs_are_not_opened() -> None:
    refused(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n" * 9, "not an image of a known format"
    )


def test_pixel_bombs_are_refused_before_decoding() -> None:
    bomb = bytearray(scene_as("JPEG"))
    at = bomb.index(b"\xff\xc0")
    bomb[at + 5 : at + 9] = (60000).to_bytes(2, "big") * 2
    refused(bytes(bomb), "60000 x 60000 pixels, over the limit of 100 million; scale the image down")
    for width, height in ((10_400, 10_000), (20_000, 10_000)):  # the second is over Pillow's own limit
        small = Image.new("1", (width, height))
        refused(encoded(small, "PNG"), "million")


def test_large_files_are_refused_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    with path.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)  # sparse: takes no room on the disk
    refused(path, r"huge\.tif: a file of 1000000001 bytes, over the limit of 1000000000; make it smaller")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15)])
def test_too_small(kind: str, size: tuple[int, int]) -> None:
    refused(encoded(Image.new("RGB", size), kind), "both sides must have at least 16: give a larger image")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.int64),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((), np.uint8),
    ],
)
def test_arrays_of_another_kind(array: np.ndarray) -> None:
    refused(array, r"^the image: (an array|0 x 0 pixels)")


def test_the_given_name_begins_the_message() -> None:
    refused(b"", "^upload 7: the file is empty", name="upload 7")
    refused(np.zeros((2, 2, 3), np.uint8), "^row 3: 2 x 2 pixels", name="row 3")


def test_an_error_has_no_chain_for_a_user_to_read() -> None:
    with pytest.raises(ImageError) as caught:
        read_image(scene_as("PNG")[:200])
    assert caught.value.__suppress_context__


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
def test_hostile_bytes_give_a_picture_or_an_image_error(kind: str, hits: list[tuple[float, int]], keep: float) -> None:
    data = bytearray(scene_as(kind))
    for where, value in hits:
        data[int(where * len(data))] = value
    cut = bytes(data[: max(int(keep * 1.5 * len(data)), 1)])
    ((_, result),) = read_images([cut], threads=1)
    assert isinstance(result, Picture) or str(result).startswith("the image: ")


def test_nothing_is_printed_for_damaged_files(tmp_path: Path) -> None:
    pytest.importorskip("simplejpeg", reason="simplejpeg is not installed: libjpeg remarks on stderr through OpenCV")
    for kind in ("JPEG", "TIFF", "PNG", "GIF", "WEBP", "BMP"):
        (tmp_path / f"{kind}.png").write_bytes(scene_as(kind)[:-30] + b"\xff\xd9")
    code = (
        "import sys\nfrom dermoscope.data.images import list_images, read_images\n"
        "print(len(list(read_images(list_images(sys.argv[1])))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("6\n", "")


# --------------------------------------------------------------------------------------------- folders and batches


def test_list_images_is_sorted_recursive_and_knows_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "sub/deep/c.tiff", "notes.txt", ".hidden.jpg", ".cache/d.jpg", "sub/e.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(p.relative_to(tmp_path)) for p in list_images(tmp_path)] == [
        "a.png",
        "b.JPG",
        "sub/deep/c.tiff",
        "sub/e.webp",
    ]


def test_list_images_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder; give the folder that holds the images"):
        list_images(tmp_path / "none")


def test_image_size_reads_the_header(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG"):
        path = tmp_path / f"a.{kind}"
        path.write_bytes(scene_as(kind))
        assert image_size(path) == (96, 64)
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"bad\.jpg: not an image"):
        image_size(tmp_path / "bad.jpg")


@pytest.mark.parametrize("threads", [1, 3])
def test_a_batch_keeps_its_order_and_goes_on_past_bad_files(tmp_path: Path, threads: int) -> None:
    paths = []
    for number in range(40):
        path = tmp_path / f"{number:02}.png"
        path.write_bytes(b"" if number % 7 == 3 else encoded(Image.new("RGB", (16 + number, 20))))
        paths.append(path)
    seen = list(read_images(paths, threads=threads))
    assert [position for position, _ in seen] == list(range(40))
    for number, result in seen:
        if number % 7 == 3:
            assert isinstance(result, ImageError)
            assert str(result).startswith(str(paths[number]))
        else:
            assert isinstance(result, Picture)
            assert result.width == 16 + number


def test_a_batch_looks_only_a_little_ahead() -> None:
    taken = 0

    def sources() -> object:
        nonlocal taken
        for _ in range(500):
            taken += 1
            yield scene()

    stream = read_images(sources(), threads=2)  # type: ignore[arg-type]
    next(stream)
    assert taken <= 2 * 4 + 1
    stream.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_many_threads_leave_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    data = [scene_as("PNG"), scene_as("TIFF"), scene_as("JPEG", exif=Image.Exif())] * 30
    assert len(list(read_images(data, threads=8))) == 90
    assert list(warnings.filters) == before


def test_importing_stays_light() -> None:
    code = (
        "import sys, dermoscope.data.images\n"
        "print([m for m in ('pandas', 'PIL', 'cv2', 'simplejpeg', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


@needs_data
def test_real_images_of_each_collection() -> None:
    assert DATA is not None
    for folder, size in (
        ("ham10000/images", (200, 150)),
        ("ham10000-224/images", (224, 224)),
        ("isic2017/images", (256, 256)),
    ):
        for path in list_images(Path(DATA, folder))[::1000]:
            picture = read_image(path, at_least=100)
            assert (picture.width, picture.height) == size
            assert min(picture.pixels.shape[:2]) >= 100


def test_large_pictures_in_memory_are_decoded_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    data, taken = encoded(Image.new("RGB", (100, 100))), []
    monkeypatch.setattr("dermoscope.data.images.AHEAD", 25_000)
    stream = read_images((taken.append(None) or data for _ in range(9)), threads=8)  # type: ignore[func-returns-value]
    for seen in range(1, 8):
        next(stream)
        assert len(taken) <= seen + 2
    assert len(list(stream)) == 2
