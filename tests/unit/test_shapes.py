"""Shape inference: Caffe's rounding, empty windows, every layer type, gaps, and nets that do not fit together."""

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nandoctor.readers.caffe import read_net
from nandoctor.readers.dimensions import product, shown
from nandoctor.readers.shape_rules import RULES
from nandoctor.readers.shapes import (
    ave_is_nan,
    empty_window,
    empty_windows,
    fan_in,
    fan_out,
    infer_shapes,
    max_is_lowest,
    weight_shape,
)
from nandoctor.readers.textproto import parse
from nandoctor.readers.windows import Window, convolved, deconvolved, pooled

CORPUS = Path(__file__).parents[1] / "corpus"
NETS = sorted((CORPUS / "nets").glob("*.prototxt"))


def net_of(text: str):
    return read_net(parse(text, "net.prototxt"))


def shipped(name: str):
    return read_net(parse((CORPUS / "nets" / f"{name}.prototxt").read_text(encoding="utf-8"), name))


def top_of(layer: str, *bottoms: tuple[int, ...]):
    """The shapes of the tops `t`, `u` of one layer over inputs `x`, `y`, and the defects."""
    inputs = "".join(
        f"input: '{name}' input_shape {{ {' '.join(f'dim: {dim}' for dim in shape)} }} "
        for name, shape in zip("xyz", bottoms, strict=False)
    )
    shapes = infer_shapes(net_of(f"{inputs} layer {{ name: 'l' {layer} }}"))
    return shapes.tops("l"), [defect.message for defect in shapes.defects]


def pooling(pool: str, kernel: int, stride: int, extra: str = ""):
    text = (
        f"layer {{ type: 'Pooling' pooling_param {{ pool: {pool} kernel_size: {kernel} stride: {stride} {extra} }} }}"
    )
    return net_of(text).layers[0]


class TestPooling:
    # (kernel, stride): the sizes at which real runs gave nan, of 5 to 20
    @pytest.mark.parametrize(
        ("kernel", "stride", "sizes"),
        [(3, 5, {5, 10, 15, 20}), (1, 2, {6, 8, 10, 12, 14, 16, 18, 20}), (2, 3, {6, 9, 12, 15, 18}),
         (2, 4, {8, 12, 16, 20}), (3, 4, {8, 12, 16, 20}), (3, 2, set()), (3, 3, set())],
    )  # fmt: skip
    def test_ave_divides_zero_by_zero_at_multiples_of_the_stride(self, kernel, stride, sizes):
        layer = pooling("AVE", kernel, stride)
        assert {size for size in range(5, 21) if ave_is_nan(layer, (1, 1, size, size))} == sizes

    @pytest.mark.parametrize(
        ("kernel", "stride", "sizes"),
        [(3, 5, {5, 9, 10, 14, 15, 19, 20}), (2, 4, {7, 8, 11, 12, 15, 16, 19, 20}), (3, 2, set()),
         (1, 2, {6, 8, 10, 12, 14, 16, 18, 20})],
    )  # fmt: skip
    def test_max_keeps_its_lowest_value_in_empty_windows(self, kernel, stride, sizes):
        layer = pooling("MAX", kernel, stride)
        assert {size for size in range(5, 21) if max_is_lowest(layer, (1, 1, size, size))} == sizes

    @pytest.mark.parametrize("extra", ["pad: 1", "pad: 2", "round_mode: FLOOR", "ceil_mode: false", "pad_w: 1"])
    @pytest.mark.parametrize("pool", ["AVE", "MAX"])
    def test_padding_and_rounding_down_prevent_it(self, pool, extra):
        layer = pooling(pool, 3, 5, extra)
        assert not any(empty_windows(layer, (1, 1, size, size)) for size in range(5, 21))

    def test_what_is_told(self):
        window = empty_window(pooling("AVE", 3, 5), (64, 20, 12, 15))
        assert window is not None
        assert (window.effect, window.axis, window.size, window.kernel, window.stride) == ("nan", "width", 15, 3, 5)
        silent = empty_window(pooling("AVE", 3, 5), (1, 1, 14, 12))
        assert silent is not None
        assert silent.effect == "zero"
        assert empty_window(pooling("AVE", 3, 5), (1, 1, None, None)) is None
        assert empty_window(pooling("AVE", 3, 5), None) is None
        assert empty_window(pooling("AVE", 3, 5, "global_pooling: true"), (1, 1, 15, 15)) is None
        assert empty_window(net_of("layer { type: 'ReLU' }").layers[0], (1, 1, 5, 5)) is None

    @given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 9), st.integers(0, 4), st.booleans())
    @settings(deadline=None)
    def test_against_caffes_loops(self, size, kernel, stride, pad, is_max):
        """pooling_layer.cpp, window by window."""
        if pad >= kernel or size + 2 * pad < kernel:
            return
        out = -(-(size + 2 * pad - kernel) // stride) + 1
        if pad and (out - 1) * stride >= size + pad:
            out -= 1
        nan = lowest = False
        for p in range(out):
            start = p * stride - pad
            if is_max:
                lowest |= max(start, 0) >= min(start + kernel, size)
            else:
                end = min(start + kernel, size + pad)
                nan |= end - start == 0
        layer = pooling("MAX" if is_max else "AVE", kernel, stride, f"pad: {pad}")
        assert top_of(f"type: 'Pooling' bottom: 'x' top: 't' pooling_param {{ kernel_size: {kernel} stride: {stride} "
                      f"pad: {pad} }}", (1, 1, size, size)) == ([(1, 1, out, out)], [])  # fmt: skip
        assert ave_is_nan(layer, (1, 1, size, size)) == nan
        assert max_is_lowest(layer, (1, 1, size, size)) == lowest


class TestSizes:
    def test_rounding(self):
        assert convolved(227, Window(11, 4, 0)) == 55
        assert convolved(5, Window(3, 1, 0, dilation=2)) == 1
        assert convolved(2, Window(5, 2, 0)) == 0  # C divides towards zero: a size that cannot be is told apart below
        assert deconvolved(16, Window(4, 2, 1)) == 32
        assert pooled(112, Window(3, 2, 0), any_pad=False) == 56
        assert pooled(112, Window(3, 2, 0), any_pad=False, floor=True) == 55
        assert pooled(4, Window(2, 2, 1), any_pad=True) == 3
        assert pooled(None, Window(2, 2, 0), any_pad=False) is None
        assert convolved(5, Window(None, 1, 0)) is None
        assert convolved(5, Window(3, 0, 0)) is None

    @pytest.mark.parametrize(
        ("layer", "bottoms", "tops"),
        [
            ("type: 'Convolution' bottom: 'x' top: 't' convolution_param { num_output: 8 kernel_size: 3 pad: 1 }",
             [(2, 3, 9, 7)], [(2, 8, 9, 7)]),
            ("type: 'Convolution' bottom: 'x' bottom: 'y' top: 't' top: 'u' convolution_param { num_output: 8 "
             "kernel_size: 2 stride: 2 }", [(2, 3, 8, 8), (4, 3, 6, 6)], [(2, 8, 4, 4), (4, 8, 3, 3)]),
            ("type: 'Convolution' bottom: 'x' top: 't' convolution_param { num_output: 8 kernel_size: [3, 3, 2] }",
             [(2, 3, 9, 9, 9)], [(2, 8, 7, 7, 8)]),
            ("type: 'Convolution' bottom: 'x' top: 't' convolution_param { num_output: 8 kernel_size: 3 axis: 2 }",
             [(2, 5, 3, 9)], [(2, 5, 8, 7)]),
            ("type: 'Deconvolution' bottom: 'x' top: 't' convolution_param { num_output: 2 kernel_size: 4 stride: 2 }",
             [(1, 2, 10, 12)], [(1, 2, 22, 26)]),
            ("type: 'InnerProduct' bottom: 'x' top: 't' inner_product_param { num_output: 8 }", [(2, 3, 9)], [(2, 8)]),
            ("type: 'InnerProduct' bottom: 'x' top: 't' inner_product_param { num_output: 8 axis: -1 }",
             [(2, 3, 9)], [(2, 3, 8)]),
            ("type: 'Embed' bottom: 'x' top: 't' embed_param { num_output: 8 input_dim: 5 }", [(7, 2)], [(7, 2, 8)]),
            ("type: 'LSTM' bottom: 'x' bottom: 'y' top: 't' recurrent_param { num_output: 8 }",
             [(20, 4, 6), (20, 4)], [(20, 4, 8)]),
            ("type: 'RNN' bottom: 'x' bottom: 'y' top: 't' top: 'u' recurrent_param { num_output: 8 }",
             [(20, 4, 6), (20, 4)], [(20, 4, 8), (1, 4, 8)]),
            ("type: 'Concat' bottom: 'x' bottom: 'y' top: 't' concat_param { axis: 0 }", [(2, 3), (5, 3)], [(7, 3)]),
            ("type: 'Slice' bottom: 'x' top: 't' top: 'u' slice_param { axis: 0 }", [(6, 3)], [(3, 3), (3, 3)]),
            ("type: 'Eltwise' bottom: 'x' bottom: 'y' top: 't'", [(2, 3), (2, 3)], [(2, 3)]),
            ("type: 'Reshape' bottom: 'x' top: 't' reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } }",
             [(1, 18, 14, 7)], [(1, 2, 126, 7)]),
            ("type: 'Reshape' bottom: 'x' top: 't' reshape_param { shape { dim: 6 } axis: -1 }", [(2, 3)], None),
            ("type: 'Flatten' bottom: 'x' top: 't'", [(2, 3, 4, 5)], [(2, 60)]),
            ("type: 'Tile' bottom: 'x' top: 't' tile_param { tiles: 4 }", [(2, 3)], [(2, 12)]),
            ("type: 'Crop' bottom: 'x' bottom: 'y' top: 't' crop_param { offset: 1 }",
             [(1, 3, 9, 9), (1, 7, 5, 6)], [(1, 3, 5, 6)]),
            ("type: 'Reduction' bottom: 'x' top: 't' reduction_param { axis: 1 }", [(2, 3, 4)], [(2,)]),
            ("type: 'ArgMax' bottom: 'x' top: 't'", [(2, 10)], [(2, 1, 1)]),
            ("type: 'Permute' bottom: 'x' top: 't' permute_param { order: 1 }", [(2, 3, 4)], [(3, 2, 4)]),
            ("type: 'Accuracy' bottom: 'x' bottom: 'y' top: 't' top: 'u'", [(2, 10), (2,)], [(), (10,)]),
            ("type: 'SoftmaxWithLoss' bottom: 'x' bottom: 'y' top: 't' top: 'u'", [(2, 10), (2,)], [(), (2, 10)]),
            ("type: 'SoftmaxWithLoss' bottom: 'x' bottom: 'y' top: 't'", [(2, 21, 5, 6), (2, 1, 5, 6)], [()]),
            ("type: 'EuclideanLoss' bottom: 'x' bottom: 'y' top: 't'", [(2, 10), (2, 10, 1)], [()]),
            ("type: 'BatchNorm' bottom: 'x' top: 't'", [(2, 3, 4, 5)], [(2, 3, 4, 5)]),
            ("type: 'Split' bottom: 'x' top: 't' top: 'u'", [(2, 3)], [(2, 3), (2, 3)]),
            ("type: 'Filter' bottom: 'x' bottom: 'y' top: 't'", [(4, 3), (4,)], [(None, 3)]),
            ("type: 'LSTMUnit' bottom: 'x' bottom: 'y' top: 't' top: 'u'", [(1, 2, 3), (1, 2, 12)],
             [(1, 2, 3), (1, 2, 12)]),
            ("type: 'Upsample' bottom: 'x' top: 't' upsample_param { scale: 2 pad_out_h: true }",
             [(1, 2, 23, 30)], [(1, 2, 45, 60)]),
            ("type: 'Upsample' bottom: 'x' top: 't' upsample_param { scale: 2 upsample_h: 45 }",
             [(1, 2, 23, 30)], [(1, 2, 45, 60)]),
            ("type: 'Interp' bottom: 'x' top: 't' interp_param { height: 33 width: 65 }",
             [(1, 2, 5, 9)], [(1, 2, 33, 65)]),
            ("type: 'PSROIPooling' bottom: 'x' bottom: 'y' top: 't' "
             "psroi_pooling_param { output_dim: 21 group_size: 7 }",
             [(1, 1029, 9, 9), (300, 5)], [(300, 21, 7, 7)]),
            ("type: 'DetectionOutput' bottom: 'x' top: 't'", [(1, 8)], [(1, 1, None, 7)]),
        ],
    )  # fmt: skip
    def test_layers(self, layer, bottoms, tops):
        found, defects = top_of(layer, *bottoms)
        if tops is None:
            assert defects
        else:
            assert (found, defects) == (tops, [])

    @pytest.mark.parametrize(
        ("layer", "tops"),
        [
            ("type: 'Input' top: 't' input_param { shape { dim: 1 dim: 2 } }", [(1, 2)]),
            ("type: 'Input' top: 't' top: 'u' input_param { shape { dim: 1 } shape { dim: 3 } }", [(1,), (3,)]),
            ("type: 'DummyData' top: 't' top: 'u' dummy_data_param { num: 5 channels: 2 height: 1 width: [1, 7] }",
             [(5, 2, 1, 1), (5, 2, 1, 7)]),
            ("type: 'MemoryData' top: 't' top: 'u' memory_data_param { batch_size: 4 channels: 3 height: 8 width: 9 }",
             [(4, 3, 8, 9), (4,)]),
            ("type: 'Data' top: 't' top: 'u' data_param { batch_size: 4 } transform_param { crop_size: 227 }",
             [(4, None, 227, 227), (4,)]),
            ("type: 'Data' top: 't' data_param { batch_size: 4 } transform_param { mean_value: [1, 2, 3] }",
             [(4, 3, None, None)]),
            ("type: 'Data' top: 't' data_param { batch_size: 4 } transform_param { force_gray: true }",
             [(4, 1, None, None)]),
            ("type: 'ImageData' top: 't' top: 'u' image_data_param { batch_size: 4 new_height: 64 new_width: 32 }",
             [(4, 3, 64, 32), (4,)]),
            ("type: 'ImageData' top: 't' image_data_param { is_color: false }", [(1, 1, None, None)]),
            ("type: 'WindowData' top: 't' top: 'u' window_data_param { batch_size: 9 crop_size: 5 }",
             [(9, 3, 5, 5), (9,)]),
            ("type: 'HDF5Data' top: 't' top: 'u' hdf5_data_param { batch_size: 9 }", [None, None]),
            ("type: 'Python' top: 't'", [None]),
            ("type: 'Parameter' top: 't' parameter_param { shape { dim: 6 } }", [(6,)]),
        ],
    )  # fmt: skip
    def test_sources(self, layer, tops):
        assert top_of(layer) == (tops, [])

    @pytest.mark.parametrize(
        ("layer", "bottoms", "message"),
        [
            ("type: 'Convolution' bottom: 'x' top: 't' convolution_param { num_output: 8 kernel_size: 9 }",
             [(1, 3, 5, 5)], "window of 9 does not fit into an input of 5"),
            ("type: 'Convolution' bottom: 'x' top: 't' convolution_param { num_output: 8 kernel_size: 3 group: 2 }",
             [(1, 3, 5, 5)], "3 channels cannot be divided into 2 groups"),
            ("type: 'Convolution' bottom: 'x' top: 't' convolution_param { kernel_size: 3 }",
             [(1, 3, 5, 5)], "no num_output"),
            ("type: 'Convolution' bottom: 'x' top: 't' convolution_param { num_output: 8 }",
             [(1, 3, 5, 5)], "no kernel_size"),
            ("type: 'Pooling' bottom: 'x' top: 't' pooling_param { kernel_size: 2 }", [(1, 3)], "must have 4 axes"),
            ("type: 'Pooling' bottom: 'x' top: 't' pooling_param { kernel_size: 9 stride: 2 }",
             [(1, 3, 4, 4)], "does not fit"),
            ("type: 'InnerProduct' bottom: 'x' top: 't'", [(1, 3)], "no num_output"),
            ("type: 'InnerProduct' bottom: 'x' top: 't' inner_product_param { num_output: 3 axis: 4 }", [(1, 3)],
             "axis 4 out of range for 2-D Blob"),
            ("type: 'Concat' bottom: 'x' bottom: 'y' top: 't'", [(1, 3), (2, 3)], "except at concat_axis"),
            ("type: 'Concat' bottom: 'x' bottom: 'y' top: 't'", [(1, 3), (1, 3, 1)], "same #axes"),
            ("type: 'Eltwise' bottom: 'x' bottom: 'y' top: 't'", [(1, 3), (1, 4)], "different shapes: 1 x 3 and 1 x 4"),
            ("type: 'Slice' bottom: 'x' top: 't' top: 'u'", [(1, 3)], "should evenly divide"),
            ("type: 'Slice' bottom: 'x' top: 't' slice_param { slice_point: 1 }",
             [(1, 3)], "1 slice points for 1 tops"),
            ("type: 'Slice' bottom: 'x' top: 't' top: 'u' slice_param { slice_point: 3 }", [(1, 3)], "outside an axis"),
            ("type: 'Reshape' bottom: 'x' top: 't' reshape_param { shape { dim: 7 dim: -1 } }", [(1, 3)], "divisible"),
            ("type: 'Reshape' bottom: 'x' top: 't' reshape_param { shape { dim: 7 } }", [(1, 3)], "output count"),
            ("type: 'Reshape' bottom: 'x' top: 't' reshape_param { shape { dim: 1 dim: 3 dim: 0 } }",
             [(1, 3)], "dim: 0"),
            ("type: 'SoftmaxWithLoss' bottom: 'x' bottom: 'y' top: 't'", [(4, 10), (3,)],
             "3 labels (3) for 4 predictions"),
            ("type: 'Accuracy' bottom: 'x' bottom: 'y' top: 't'", [(4, 10), (4, 10)], "Number of labels"),
            ("type: 'EuclideanLoss' bottom: 'x' bottom: 'y' top: 't'", [(4, 10), (4, 9)], "same dimension"),
            ("type: 'SoftmaxWithLoss' bottom: 'x' top: 't'", [(4, 10)], "takes 2 bottom blob(s) as input, not 1"),
            ("type: 'Eltwise' bottom: 'x' top: 't'", [(4, 10)], "takes at least 2"),
            ("type: 'InfogainLoss' bottom: 'x' top: 't'", [(4, 10)], "takes 2 to 3"),
            ("type: 'Permute' bottom: 'x' top: 't' permute_param { order: 1 order: 1 }", [(4, 10)], "does not fit"),
            ("type: 'RNN' bottom: 'x' top: 't' recurrent_param { num_output: 8 }", [(4,)], "at least 2 axes"),
            ("type: 'Tile' bottom: 'x' top: 't' tile_param { tiles: 2000000000 }", [(4, 10)], "INT_MAX"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit(self, layer, bottoms, message):
        _, defects = top_of(layer, *bottoms)
        assert any(message in defect for defect in defects), defects


class TestWeights:
    def test_fan_in_and_out(self):
        convolution, full, transposed, embed, up = net_of(
            """layer { type: "Convolution" convolution_param { num_output: 64 kernel_size: 3 group: 2 } }
            layer { type: "InnerProduct" inner_product_param { num_output: 10 } }
            layer { type: "InnerProduct" inner_product_param { num_output: 10 transpose: true } }
            layer { type: "Embed" embed_param { input_dim: 5 num_output: 7 } }
            layer { type: "Deconvolution" convolution_param { num_output: 21 kernel_size: 4 } }"""
        ).layers
        image = (8, 32, 12, 12)
        assert weight_shape(convolution, image) == (64, 16, 3, 3)
        assert (fan_in(convolution, image), fan_out(convolution, image)) == (144, 576)
        assert (fan_in(full, image), fan_out(full, image)) == (4608, 10)
        assert weight_shape(transposed, image) == (4608, 10)
        assert fan_in(transposed, image) == 10
        assert fan_in(embed, (3,)) == 7
        assert weight_shape(up, image) == (32, 21, 4, 4)
        assert fan_in(full, (8, None, 12, 12)) is None
        assert fan_in(full, None) is None
        assert fan_in(convolution, ()) is None
        assert fan_in(full, ()) == 1
        assert fan_in(net_of("layer { type: 'ReLU' }").layers[0], image) is None


class TestNets:
    @pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
    def test_shipped_nets_fit_together(self, path):
        net = read_net(parse(path.read_text(encoding="utf-8"), path.name))
        assert infer_shapes(net).problems == []

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("lenet_v1", {"pool1": (64, 20, 12, 12), "ip2": (64, 10), "loss": ()}),
            ("imagenet_v0", {"pool1": (256, 96, 27, 27), "conv2": (256, 256, 27, 27), "fc8": (256, 1000)}),
            ("googlenet_part", {"out": (8, 224, 56, 56), "auxpool": (8, 224, 18, 18), "gpool": (8, 224, 1, 1)}),
            ("resnet_part", {"pool1": (2, 64, 56, 56), "res2a": (2, 256, 56, 56), "pool5": (2, 256, 8, 8)}),
            ("ssd_part", {"conv4_norm": (32, 512, 38, 38), "mbox_loc": (32, 23104), "mbox_priorbox": (1, 2, 23104)}),
            ("segnet_part", {"pool1_mask": (4, 64, 180, 240), "upsample1": (4, 64, 360, 480)}),
            ("fcn_part", {"upscore2": (1, 21, 688, 564), "score": (1, 21, 500, 375)}),
            ("mobilenet_part", {"conv2/dw": (1, 32, 112, 112), "attention": (1, 64, 112, 112)}),
            ("faster_rcnn_part", {"pool5": (None, 256, 6, 6), "fc6": (None, 4096), "data": None}),
            ("tsn_part", {"conv1": (None, 64, 112, 112), "fc": (None, 101)}),
            ("recurrent", {"words": None, "lstm": (None, None, 500), "predict": (None, None, 8801)}),
            ("siamese", {"a": (64, 1, 28, 28), "feat_b": (64, 2)}),
            ("arrangements", {"spp": (4, 126), "argmax_old": (4, 2, 2, 1), "total": (), "dilated": (4, 5, 8, 5),
                              "im2col": (4, 54, 4, 5), "interp": (4, 6, 57, 73), "reindexed": (3, 6, 8, 10)}),
        ],
    )  # fmt: skip
    def test_known_sizes(self, name, expected):
        blobs = infer_shapes(shipped(name)).blobs
        assert {blob: blobs[blob] for blob in expected} == expected

    def test_gaps_are_filled_from_the_log_and_by_the_owner(self):
        net = shipped("lenet_v2")
        assert infer_shapes(net).blobs["pool2"] == (64, 50, None, None)
        logged = infer_shapes(net, known={"data": (64, 1, 28, 28), "conv1": (9, 9, 9, 9)})
        assert logged.blobs["pool2"] == (64, 50, 4, 4)  # what the file tells is not overruled
        assert infer_shapes(net, input_shapes={"data": (1, 1, 20, 20)}).blobs["pool2"] == (1, 50, 2, 2)
        rnn = infer_shapes(shipped("recurrent"), known={"words": (20, 8)})
        assert rnn.blobs["predict"] == (20, 8, 8801)
        head = infer_shapes(shipped("faster_rcnn_part"), known={"rpn_rois": (128, 5)})
        assert head.blobs["fc6"] == (128, 4096)

    def test_a_fork_layer_does_not_stop_the_rest(self):
        shapes = infer_shapes(
            net_of(
                """input: "x" input_shape { dim: 2 dim: 3 }
                layer { name: "mine" type: "Mine" bottom: "x" top: "y" }
                layer { name: "here" type: "Mine" bottom: "x" top: "x" }
                layer { name: "lost" type: "MyOwnLoss" bottom: "y" top: "l" }
                layer { name: "ip" type: "InnerProduct" bottom: "y" top: "z" inner_product_param { num_output: 4 } }"""
            )
        )
        assert shapes.blobs == {"x": (2, 3), "y": None, "l": (), "z": (None, 4)}
        assert shapes.problems == []

    def test_by_layer(self):
        net = shipped("lenet_v1")
        shapes = infer_shapes(net)
        pool = net.layer("pool1")
        assert shapes.bottoms("pool1") == shapes.bottoms(pool) == [(64, 20, 24, 24)]
        assert shapes.bottom(pool) == (64, 20, 24, 24)
        assert shapes.bottom(pool, 3) is None
        assert shapes.tops(pool) == [(64, 20, 12, 12)]
        assert shapes.tops("nobody") == shapes.bottoms("nobody") == []
        twice = shipped("lenet_v2")
        test = infer_shapes(twice, "TEST")
        assert test.tops(twice.for_phase("TEST")[0])[1] == (100,)
        assert test.tops(twice.layers[0]) == []

    def test_in_place_layers_see_the_blob_as_it_was(self):
        shapes = infer_shapes(
            net_of(
                """input: "x" input_shape { dim: 2 dim: 3 }
                layer { name: "a" type: "InnerProduct" bottom: "x" top: "x" inner_product_param { num_output: 5 } }
                layer { name: "b" type: "ReLU" bottom: "x" top: "x" }"""
            )
        )
        assert (shapes.bottoms("a"), shapes.bottoms("b"), shapes.blobs["x"]) == ([(2, 3)], [(2, 5)], (2, 5))

    def test_structure(self):
        shapes = infer_shapes(
            net_of(
                """layer { name: "a" type: "ReLU" bottom: "nowhere" top: "t" }
layer { name: "b" type: "ReLU" bottom: "later" top: "u" }
layer { name: "b" type: "ReLU" bottom: "t" top: "u" }
layer { name: "c" type: "ReLU" bottom: "t" top: "later" }
layer { name: "d" type: "ReLU" bottom: "round" top: "e" }
layer { name: "e" type: "ReLU" bottom: "e" top: "round" }
layer { name: "f" type: "ReLU" bottom: "self" top: "self" }
layer { name: "g" type: "Split" bottom: "t" top: "twin" top: "twin" }"""
            )
        )
        found = [(defect.kind, defect.layer, defect.location.line, defect.location.column) for defect in shapes.defects]
        assert found == [
            ("unknown-bottom", "a", 1, 32),
            ("later-bottom", "b", 2, 32),
            ("duplicate-name", "b", 3, 9),
            ("duplicate-top", "b", 3, 44),
            ("cycle", "d", 5, 32),
            ("cycle", "f", 7, 32),
            ("duplicate-top", "g", 8, 57),
        ]
        assert "Unknown bottom blob 'nowhere' (layer 'a', bottom index 0)" in shapes.problems[0][1]


class TestHostile:
    """Bounded time and memory, and no exception, whatever the numbers."""

    @pytest.mark.parametrize(
        "text",
        [
            "layer { type: 'InnerProduct' bottom: 'y' inner_product_param { num_output: 1 axis: 100000000 } top: 'x' }",
            "input: 'x' input_shape { dim: 9000000000000 } layer { type: 'SPP' bottom: 'x' top: 't' "
            "spp_param { pyramid_height: 2000000000 } }",
            "layer { type: 'Convolution' bottom: 'y' top: 't' convolution_param { num_output: -1 kernel_size: 0 "
            "stride: 0 stride: -1 pad: 99999999999 dilation: 0 } }",
            "input: 'x' input_shape { dim: 1 dim: 1 dim: 4 dim: 4 } layer { type: 'Pooling' bottom: 'x' top: 't' "
            "pooling_param { kernel_size: 2 stride: 0 } }",
            "input: 'x' input_shape { dim: -4 dim: 0 } layer { type: 'Reshape' bottom: 'x' top: 't' "
            "reshape_param { shape { dim: 0 dim: -1 } } }",
            "layer { type: 'Reshape' bottom: 'x' top: 't' reshape_param { axis: -99 shape { dim: 'x' } } }",
            "layer { type: 'Input' top: 't' input_param { shape { " + "dim: 2 " * 1000 + "} } }",
            "input: 'x' input_shape { dim: 1 dim: 1 dim: 4 dim: 4 } layer { type: 'Interp' bottom: 'x' top: 't' "
            "interp_param { shrink_factor: 0 zoom_factor: -5 } }",
        ],
    )
    def test_numbers(self, text):
        infer_shapes(net_of(text))

    def test_many(self):
        started = time.perf_counter()
        for text in (
            "layer { type: 'Split' " + "top: 'a' " * 20_000 + "}",
            "layer { type: 'Concat' " + "bottom: 'a' " * 20_000 + " top: 'b' }",
            "".join(f"layer {{ name: 'l' type: 'ReLU' bottom: 'b{i + 1}' top: 'b{i}' }}" for i in range(5000)),
            "input: 'x' input_shape { dim: 2 } "
            + "layer { type: 'Embed' bottom: 'x' top: 'x' embed_param { num_output: 2 } }" * 3000,
        ):
            shapes = infer_shapes(net_of(text))
            assert len(shapes.defects) <= 201
        assert time.perf_counter() - started < 5

    @given(
        st.sampled_from(sorted(RULES)),
        st.lists(st.sampled_from(["num_output", "kernel_size", "kernel_h", "stride", "pad", "group", "axis", "dilation",
                                  "slice_point", "end_axis", "top_k", "tiles", "order", "pyramid_height", "shape",
                                  "num_axes", "min_size", "batch_size", "global_pooling"]), max_size=5),
        st.lists(st.integers(-3, 5), min_size=5, max_size=5),
        st.lists(st.lists(st.integers(-1, 6), max_size=5), max_size=2),
    )  # fmt: skip
    @example("ArgMax", [], [0] * 5, [[]])
    @settings(deadline=None)
    def test_no_rule_fails(self, kind, fields, values, bottoms):
        params = {"Convolution": "convolution", "Deconvolution": "convolution", "Im2col": "convolution",
                  "SoftmaxWithLoss": "softmax", "LSTM": "recurrent", "DummyData": "dummy_data",
                  "ROIPooling": "roi_pooling", "PriorBox": "prior_box"}  # fmt: skip
        param = params.get(kind, kind.lower())
        body = " ".join(
            f"{name}: {value}" if name != "shape" else f"shape {{ dim: {value} dim: -1 }}"
            for name, value in zip(fields, values, strict=False)
        )
        names = "".join(f"bottom: '{name}' " for name, _ in zip("xy", bottoms, strict=False))
        tops, _ = top_of(f"type: '{kind}' {names} top: 't' top: 'u' {param}_param {{ {body} }}", *bottoms)
        assert len(tops) == 2


def test_words():
    assert shown((64, None, 3)) == "64 x ? x 3"
    assert (shown(()), shown(None)) == ("scalar", "unknown")
    assert (product((2, 3)), product(()), product((2, None))) == (6, 1, None)
