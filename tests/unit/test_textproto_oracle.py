"""Our schema-less reader against Google's parser, field by field, on every net and solver shipped.

Google's needs a schema. `SCHEMA` is the part of caffe.proto (and of the forks' versions of it) that the shipped files
use, written down by hand; it is built into descriptors here, so no protoc is needed.
"""

import struct
from pathlib import Path

import pytest

from nandoctor.readers.caffe import kind_of
from nandoctor.readers.textproto import Document, Message, parse

pytest.importorskip("google.protobuf")
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(CORPUS.glob("**/*.prototxt"))

# Message: field type, .. ; * repeated; s string, f float, i int32, b bool, else an enum or message of this list.
SCHEMA = """
NetParameter: name s, input *s, input_shape *BlobShape, input_dim *i, force_backward b, debug_info b, state NetState,
 layer *LayerParameter, layers *V1LayerParameter, default_forward_type DType, default_backward_type DType,
 global_grad_scale f
SolverParameter: net s, net_param NetParameter, train_net s, test_net *s, test_iter *i, test_interval i, base_lr f,
 display i, max_iter i, lr_policy s, gamma f, power f, momentum f, weight_decay f, regularization_type s, stepsize i,
 stepvalue *i, clip_gradients f, snapshot i, snapshot_prefix s, solver_mode SolverMode, device_id i, random_seed i,
 type s, delta f, momentum2 f, rms_decay f, solver_type SolverType, average_loss i, iter_size i, debug_info b,
 snapshot_after_train b, min_lr f, rampup_interval i, rampup_lr f, momentum_policy s, momentum_power f, max_momentum f,
 store_blobs_in_old_format b, warmup_iter i, warmup_start_lr f, stagelr *f, stageiter *i, local_lr_auto b,
 plateau_winsize *i, eval_type s, ap_version s, train_state NetState, test_initialization b
NetState: phase Phase, level i, stage *s
NetStateRule: phase Phase, min_level i, max_level i, stage *s, not_stage *s
BlobShape: dim *i
FillerParameter: type s, value f, min f, max f, mean f, std f, sparse i, variance_norm VarianceNorm
ParamSpec: name s, lr_mult f, decay_mult f, share_mode ShareMode
LayerParameter: name s, type s, bottom *s, top *s, phase Phase, loss_weight *f, param *ParamSpec, include *NetStateRule,
 exclude *NetStateRule, propagate_down *b, transform_param TransformationParameter, loss_param LossParameter,
 accuracy_param AccuracyParameter, argmax_param ArgMaxParameter, batch_norm_param BatchNormParameter,
 concat_param ConcatParameter, contrastive_loss_param ContrastiveLossParameter,
 convolution_param ConvolutionParameter, crop_param CropParameter, data_param DataParameter,
 dropout_param DropoutParameter, dummy_data_param DummyDataParameter, eltwise_param EltwiseParameter,
 embed_param EmbedParameter, exp_param ExpParameter, flatten_param FlattenParameter, hdf5_data_param HDF5DataParameter,
 image_data_param ImageDataParameter, infogain_loss_param InfogainLossParameter, mvn_param MVNParameter,
 elu_param ELUParameter, prelu_param PReLUParameter, bias_param BiasParameter, hinge_loss_param HingeLossParameter,
 inner_product_param InnerProductParameter, input_param InputParameter,
 log_param ExpParameter, lrn_param LRNParameter, memory_data_param MemoryDataParameter, pooling_param PoolingParameter,
 power_param PowerParameter, python_param PythonParameter, recurrent_param RecurrentParameter,
 reduction_param ReductionParameter, relu_param ReLUParameter, reshape_param ReshapeParameter,
 scale_param ScaleParameter, slice_param SliceParameter, softmax_param SoftmaxParameter, spp_param SPPParameter,
 tile_param TileParameter, annotated_data_param AnnotatedDataParameter, norm_param NormalizeParameter,
 permute_param PermuteParameter, prior_box_param PriorBoxParameter, multibox_loss_param MultiBoxLossParameter,
 smooth_l1_loss_param SmoothL1LossParameter, roi_pooling_param ROIPoolingParameter, bn_param BNParameter,
 upsample_param UpsampleParameter, dense_image_data_param DenseImageDataParameter, interp_param InterpParameter,
 video_data_param VideoDataParameter, shuffle_channel_param ShuffleChannelParameter, silence_param SilenceParameter
TransformationParameter: scale f, mirror b, crop_size i, mean_file s, mean_value *f, force_color b, force_gray b,
 resize_param ResizeParameter, emit_constraint EmitConstraint, distort_param DistortionParameter,
 expand_param ExpansionParameter, fix_crop b, multi_scale b, max_distort i, scale_ratios *f, is_flow b
ResizeParameter: prob f, resize_mode ResizeMode, height i, width i, interp_mode *InterpMode
EmitConstraint: emit_type EmitType
DistortionParameter: brightness_prob f, brightness_delta f, random_order_prob f
ExpansionParameter: prob f, max_expand_ratio f
LossParameter: ignore_label i, normalization NormalizationMode, normalize b, weight_by_label_freqs b,
 class_weighting *f
AccuracyParameter: top_k i, axis i, ignore_label i
ArgMaxParameter: out_max_val b, top_k i, axis i
BatchNormParameter: use_global_stats b, moving_average_fraction f, eps f
ConcatParameter: axis i, concat_dim i
ContrastiveLossParameter: margin f
ConvolutionParameter: num_output i, bias_term b, pad *i, kernel_size *i, stride *i, dilation *i, pad_h i, pad_w i,
 kernel_h i, kernel_w i, stride_h i, stride_w i, group i, weight_filler FillerParameter, bias_filler FillerParameter,
 engine Engine, axis i
CropParameter: axis i, offset *i
DataParameter: source s, batch_size i, backend DB, scale f, mean_file s, crop_size i, mirror b, threads i, cache b
DropoutParameter: dropout_ratio f
DummyDataParameter: data_filler *FillerParameter, shape *BlobShape, num *i, channels *i, height *i, width *i
EltwiseParameter: operation EltwiseOp, coeff *f
EmbedParameter: num_output i, input_dim i, bias_term b, weight_filler FillerParameter
ExpParameter: base f, scale f, shift f
FlattenParameter: axis i, end_axis i
HDF5DataParameter: source s, batch_size i, shuffle b
ImageDataParameter: source s, batch_size i, new_height i, new_width i, is_color b
InfogainLossParameter: source s, axis i
MVNParameter: normalize_variance b, across_channels b, eps f
ELUParameter: alpha f
PReLUParameter: filler FillerParameter, channel_shared b
BiasParameter: axis i, num_axes i, filler FillerParameter
HingeLossParameter: norm HingeNorm
InnerProductParameter: num_output i, bias_term b, weight_filler FillerParameter, bias_filler FillerParameter, axis i
InputParameter: shape *BlobShape
LRNParameter: local_size i, alpha f, beta f, k f
MemoryDataParameter: batch_size i, channels i, height i, width i
PoolingParameter: pool PoolMethod, pad i, kernel_size i, stride i, kernel_h i, kernel_w i, global_pooling b,
 round_mode RoundMode
PowerParameter: power f, scale f, shift f
PythonParameter: module s, layer s, param_str s
RecurrentParameter: num_output i, weight_filler FillerParameter, bias_filler FillerParameter
ReductionParameter: operation ReductionOp, axis i, coeff f
ReLUParameter: negative_slope f
ReshapeParameter: shape BlobShape, axis i, num_axes i
ScaleParameter: axis i, filler FillerParameter, bias_term b, bias_filler FillerParameter
SliceParameter: axis i, slice_point *i, slice_dim i
SoftmaxParameter: axis i, engine Engine
SPPParameter: pyramid_height i, pool PoolMethod
TileParameter: axis i, tiles i
AnnotatedDataParameter: batch_sampler *BatchSampler, label_map_file s
BatchSampler: sampler Sampler, sample_constraint SampleConstraint, max_sample i, max_trials i
Sampler: min_scale f, max_scale f, min_aspect_ratio f, max_aspect_ratio f
SampleConstraint: min_jaccard_overlap f
NormalizeParameter: across_spatial b, scale_filler FillerParameter, channel_shared b
PermuteParameter: order *i
PriorBoxParameter: min_size *f, max_size *f, aspect_ratio *f, flip b, clip b, variance *f, step f, offset f
MultiBoxLossParameter: loc_loss_type LocLossType, conf_loss_type ConfLossType, loc_weight f, num_classes i,
 share_location b, match_type MatchType, overlap_threshold f, use_prior_for_matching b, background_label_id i,
 use_difficult_gt b, neg_pos_ratio f, neg_overlap f, code_type CodeType, ignore_cross_boundary_bbox b,
 mining_type MiningType
SmoothL1LossParameter: sigma f
ROIPoolingParameter: pooled_h i, pooled_w i, spatial_scale f
BNParameter: scale_filler FillerParameter, shift_filler FillerParameter, bn_mode BNMode, frozen b,
 slope_filler FillerParameter, bias_filler FillerParameter
UpsampleParameter: scale i
DenseImageDataParameter: source s, batch_size i, shuffle b, new_height i, new_width i
InterpParameter: zoom_factor i
VideoDataParameter: source s, batch_size i, new_length i, num_segments i, modality Modality, name_pattern s
ShuffleChannelParameter: group i
SilenceParameter: note s
V1LayerParameter: name s, type V1LayerType, bottom *s, top *s, layer V0LayerParameter, include *NetStateRule,
 blobs_lr *f, weight_decay *f, loss_weight *f, data_param DataParameter, convolution_param ConvolutionParameter,
 pooling_param PoolingParameter, inner_product_param InnerProductParameter, dropout_param DropoutParameter,
 lrn_param LRNParameter
V0LayerParameter: name s, type s, num_output i, biasterm b, weight_filler FillerParameter, bias_filler FillerParameter,
 pad i, kernelsize i, group i, stride i, pool PoolMethod, dropout_ratio f, local_size i, alpha f, beta f, k f, source s,
 scale f, meanfile s, batchsize i, cropsize i, mirror b, blobs_lr *f, weight_decay *f
Foreign: value f, other f, third f
"""
ENUMS = """
Phase: TRAIN TEST; SolverMode: CPU GPU; SolverType: SGD NESTEROV ADAGRAD RMSPROP ADADELTA ADAM; DB: LEVELDB LMDB
DType: DOUBLE FLOAT FLOAT16; VarianceNorm: FAN_IN FAN_OUT AVERAGE; ShareMode: STRICT PERMISSIVE
Engine: DEFAULT CAFFE CUDNN; EltwiseOp: PROD SUM MAX; PoolMethod: MAX AVE STOCHASTIC; RoundMode: CEIL FLOOR
ReductionOp: NOTHING SUM ASUM SUMSQ MEAN; NormalizationMode: FULL VALID BATCH_SIZE NONE; ResizeMode: WARP FIT_SMALL_SIZE
InterpMode: LINEAR AREA NEAREST; EmitType: CENTER MIN_OVERLAP; LocLossType: L2 SMOOTH_L1; ConfLossType: SOFTMAX LOGISTIC
MatchType: BIPARTITE PER_PREDICTION; CodeType: CORNER CENTER_SIZE; MiningType: NOMINING MAX_NEGATIVE
BNMode: LEARN INFERENCE; HingeNorm: NONORM L1 L2; Modality: RGB FLOW
V1LayerType: NOLAYER ACCURACY CONVOLUTION DATA INNER_PRODUCT POOLING RELU
 SOFTMAX_LOSS DROPOUT LRN
"""
SCALARS = {"s": 9, "f": 2, "i": 5, "b": 8}  # FieldDescriptorProto.Type
ENUM_TYPE, MESSAGE_TYPE = 14, 11
OPTIONAL, REPEATED = 1, 3


def declarations(text, separator):
    joined = text.replace("\n ", " ").strip().replace(separator, "\n")
    for line in joined.splitlines():
        name, _, body = line.partition(":")
        if body:
            yield name.strip(), body.strip()


def build():
    file = descriptor_pb2.FileDescriptorProto(name="subset.proto", package="caffe", syntax="proto2")
    enums = dict(declarations(ENUMS, ";"))
    for name, body in enums.items():
        holder = file.message_type.add(name=f"{name}Holder")  # enum values live beside their type: one message each
        enum = holder.enum_type.add(name=name)
        for number, value in enumerate(body.split()):
            enum.value.add(name=value, number=number)
    for name, body in declarations(SCHEMA, "\0"):
        message = file.message_type.add(name=name)
        for number, declared in enumerate(body.split(","), 1):
            field_name, kind = declared.split()
            label = REPEATED if kind.startswith("*") else OPTIONAL
            kind = kind.lstrip("*")
            field = message.field.add(name=field_name, number=number, label=label)
            field.type = SCALARS.get(kind) or (ENUM_TYPE if kind in enums else MESSAGE_TYPE)
            if kind not in SCALARS:
                field.type_name = f".caffe.{kind}Holder.{kind}" if kind in enums else f".caffe.{kind}"
        if name == "NetParameter":
            message.extension_range.add(start=1000, end=2000)
    extension = file.extension.add(name="of_somebody", number=1000, label=OPTIONAL, extendee=".caffe.NetParameter")
    extension.type, extension.type_name = MESSAGE_TYPE, ".caffe.Foreign"
    descriptors = descriptor_pool.DescriptorPool()
    descriptors.Add(file)
    return descriptors


@pytest.fixture(scope="module")
def descriptors():
    return build()


def as_float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def google_fields(message):
    """(name, [values]) of a Google message, sorted by name."""
    found = {}
    for descriptor, value in message.ListFields():
        name = f"[{descriptor.full_name}]" if descriptor.is_extension else descriptor.name
        values = list(value) if descriptor.is_repeated else [value]
        if descriptor.message_type is not None:
            values = [google_fields(inner) for inner in values]
        elif descriptor.enum_type is not None:
            values = [descriptor.enum_type.values_by_number[number].name for number in values]
        found[name] = [repr(value) if isinstance(value, float) else value for value in values]
    return found


def our_fields(message, descriptor):
    """The same of ours; the schema only says what is a float, and which number an enum means."""
    found = {}
    for field in message.fields:
        if field.name.startswith("["):
            known = descriptor.file.pool.FindExtensionByName(field.name[1:-1])
        else:
            known = descriptor.fields_by_name[field.name]
        value = field.value
        if isinstance(value, Message):
            value = our_fields(value, known.message_type)
        elif known.type == SCALARS["f"]:
            value = repr(as_float32(value))
        elif known.type == SCALARS["b"]:
            value = bool(value)
        elif known.enum_type is not None and isinstance(value, int):
            value = known.enum_type.values_by_number[value].name
        found.setdefault(field.name, []).append(value)
    return found


def message_type(document: Document, descriptors):
    name = "caffe.SolverParameter" if kind_of(document) == "solver" else "caffe.NetParameter"
    return descriptors.FindMessageTypeByName(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_agrees_with_googles_parser(path, descriptors):
    text = path.read_text(encoding="utf-8")
    document = parse(text, path.name)
    descriptor = message_type(document, descriptors)
    theirs = message_factory.GetMessageClass(descriptor)()
    text_format.Parse(text, theirs)
    assert our_fields(document.root, descriptor) == google_fields(theirs)


def test_the_oracle_can_disagree(descriptors):
    """The comparison is not blind: a changed number, a dropped and a moved element each show."""
    descriptor = descriptors.FindMessageTypeByName("caffe.SolverParameter")
    theirs = message_factory.GetMessageClass(descriptor)()
    text_format.Parse("base_lr: 0.1 stepvalue: 1 stepvalue: 2", theirs)
    for other in ("base_lr: 0.2 stepvalue: [1, 2]", "base_lr: 0.1 stepvalue: 1", "base_lr: 0.1 stepvalue: [2, 1]"):
        assert our_fields(parse(other).root, descriptor) != google_fields(theirs)
    assert our_fields(parse("base_lr: .1f; stepvalue: [1, 0x2]").root, descriptor) == google_fields(theirs)


MALFORMED = ["base_lr: ", "base_lr 0.1", "net: 'x", "net_param {", "net_param }", "stepsize: 08", "base_lr: 1.2.3",
             "stepvalue: [1 2]", "stepvalue: [1, ]", "base_lr: 3x", ": 3", "net_param { >", "net: 'a\nb'"]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_google_refuses_what_we_refuse(text, descriptors):
    from nandoctor.errors import TextFormatError

    theirs = message_factory.GetMessageClass(descriptors.FindMessageTypeByName("caffe.SolverParameter"))()
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text, theirs)
    with pytest.raises(TextFormatError):
        parse(text)
