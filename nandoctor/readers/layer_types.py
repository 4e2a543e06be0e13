"""Names of Caffe layer types and enum values: BVLC's, those of known forks, and the older spellings."""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> dict[str, str]:
    return {old: new for old, _, new in (pair.partition(":") for pair in text.split())}


# BVLC Caffe master (REGISTER_LAYER_CLASS and layer_factory.cpp).
STANDARD = _names(
    """AbsVal Accuracy ArgMax BatchNorm BatchReindex Bias BNLL Clip Concat ContrastiveLoss Convolution Crop Data
    Deconvolution Dropout DummyData Eltwise ELU Embed EuclideanLoss Exp Filter Flatten HDF5Data HDF5Output HingeLoss
    Im2col ImageData InfogainLoss InnerProduct Input Log LRN LSTM LSTMUnit MemoryData MultinomialLogisticLoss MVN
    Parameter Pooling Power PReLU Python Reduction ReLU Reshape RNN Scale Sigmoid SigmoidCrossEntropyLoss Silence Slice
    Softmax SoftmaxWithLoss Split SPP Swish TanH Threshold Tile WindowData"""
)

# Forks, by the program or paper that brought them. A type in no list is reported once as unknown, never refused.
_FORKS = {
    "SSD": """AnnotatedData DetectionEvaluate DetectionOutput MultiBoxLoss Normalize Permute PriorBox SmoothL1Loss
        VideoData ParseEvaluate ParseOutput Unpooling""",
    "NVCaffe": "Axpy DetectNetTransformation L1Loss",
    "Intel Caffe": """MnActivation MnParamGrad SplitConcat BoxOutput DecodeBBox ContinuationIndicator SimplerNMS
        NewVideoData""",
    "py-faster-rcnn, R-FCN": """ROIPooling ROIAlign PSROIPooling PSROIAlign BoxAnnotatorOHEM BoxGroupOutput Proposal
        SmoothL1LossOHEM SoftmaxWithLossOHEM DeformableConvolution DeformablePSROIPooling""",
    "SegNet, DeepLab, PSPNet": """BN DenseImageData Upsample ImageSegData Interp MatRead MatWrite DenseCRF UniqueLabel
        SegAccuracy MultiStageMeanfield Padding AutoCrop SpatialDropout""",
    "MobileNet, ShuffleNet": "DepthwiseConvolution ConvolutionDepthwise ReLU6 ShuffleChannel",
    "TSN, C3D": """SegmentConsensus BatchReduction MultilabelLogisticLoss SequenceData Convolution3D Deconvolution3D
        Pooling3D VolumeData NdConvolution""",
    "CTC and OCR": """WarpCTC WarpCTCLoss CTCLoss CtcLoss CTCDecoder CTCGreedyDecoder LabelsequenceAccuracy Reverse
        Transpose Lstm BLSTM""",
    "YOLO": "RegionLoss RegionOutput Reorg BoxData EvalDetection Yolov3 Yolov3DetectionOutput YoloDetectionOutput",
    "FlowNet": """Correlation Correlation1D CustomData DataAugmentation GenerateAugmentationParameters
        FlowAugmentation FlowWarp Resample Downsample ChannelNorm Mean L1Loss LpqLoss FLOWriter ImgWriter""",
    "faces and metric learning": """CenterLoss TripletLoss TripletRankingLoss LabelSpecificAdd MarginInnerProduct
        LargeMarginInnerProduct NormalizeLayer CosineLoss LiftedStructSimilaritySoftmaxLoss""",
    "of several": """FocalLoss WeightedEuclideanLoss WeightedSigmoidCrossEntropyLoss DiceLoss DiceCoefLoss HuberLoss
        EntropyLoss MMDLoss JMMDLoss OrdinalRegressionLoss CrossEntropyLoss MultiLabelData MultiLabelLoss
        GradientScaler GradientReversal Maxout Gather SpatialTransformer LocalConvolution MultiTaskData GRU""",
}
KNOWN = STANDARD.union(*(names.split() for names in _FORKS.values()))

# Layers without inputs that feed a net.
SOURCES = _names(
    """Data ImageData WindowData HDF5Data MemoryData DummyData Input AnnotatedData VideoData DenseImageData ImageSegData
    CustomData BoxData MultiTaskData MultiLabelData NewVideoData SequenceData VolumeData Parameter"""
)

# upgrade_proto.cpp, UpgradeV1LayerType; the rest are V1 enums of forks.
V1_TYPES = _pairs(
    """ABSVAL:AbsVal ACCURACY:Accuracy ARGMAX:ArgMax BNLL:BNLL CONCAT:Concat
        CONTRASTIVE_LOSS:ContrastiveLoss CONVOLUTION:Convolution DECONVOLUTION:Deconvolution DATA:Data DROPOUT:Dropout
        DUMMY_DATA:DummyData EUCLIDEAN_LOSS:EuclideanLoss ELTWISE:Eltwise EXP:Exp FLATTEN:Flatten HDF5_DATA:HDF5Data
        HDF5_OUTPUT:HDF5Output HINGE_LOSS:HingeLoss IM2COL:Im2col IMAGE_DATA:ImageData INFOGAIN_LOSS:InfogainLoss
        INNER_PRODUCT:InnerProduct LRN:LRN MEMORY_DATA:MemoryData MULTINOMIAL_LOGISTIC_LOSS:MultinomialLogisticLoss
        MVN:MVN POOLING:Pooling POWER:Power RELU:ReLU SIGMOID:Sigmoid
        SIGMOID_CROSS_ENTROPY_LOSS:SigmoidCrossEntropyLoss SILENCE:Silence SLICE:Slice SOFTMAX:Softmax
        SOFTMAX_LOSS:SoftmaxWithLoss SPLIT:Split TANH:TanH THRESHOLD:Threshold WINDOW_DATA:WindowData PRELU:PReLU
        BN:BN UPSAMPLE:Upsample DENSE_IMAGE_DATA:DenseImageData IMAGE_SEG_DATA:ImageSegData INTERP:Interp CROP:Crop
        SEG_ACCURACY:SegAccuracy PADDING:Padding EMBED:Embed LSTM:LSTM RNN:RNN RESHAPE:Reshape SPP:SPP PYTHON:Python
        VIDEO_DATA:VideoData CONVOLUTION3D:Convolution3D DECONVOLUTION3D:Deconvolution3D POOLING3D:Pooling3D
        VOLUME_DATA:VolumeData"""
)
# The order of the V1 enum, for nets that give the number.
V1_NUMBERS = {
    1: "Accuracy", 2: "BNLL", 3: "Concat", 4: "Convolution", 5: "Data", 6: "Dropout", 7: "EuclideanLoss", 8: "Flatten",
    9: "HDF5Data", 10: "HDF5Output", 11: "Im2col", 12: "ImageData", 13: "InfogainLoss", 14: "InnerProduct", 15: "LRN",
    16: "MultinomialLogisticLoss", 17: "Pooling", 18: "ReLU", 19: "Sigmoid", 20: "Softmax", 21: "SoftmaxWithLoss",
    22: "Split", 23: "TanH", 24: "WindowData", 25: "Eltwise", 26: "Power", 27: "SigmoidCrossEntropyLoss",
    28: "HingeLoss", 29: "MemoryData", 30: "ArgMax", 31: "Threshold", 32: "DummyData", 33: "Slice", 34: "MVN",
    35: "AbsVal", 36: "Silence", 37: "ContrastiveLoss", 38: "Exp", 39: "Deconvolution",
}  # fmt: skip

# upgrade_proto.cpp, UpgradeV0LayerType.
V0_TYPES = _pairs(
    """accuracy:Accuracy bnll:BNLL concat:Concat conv:Convolution data:Data dropout:Dropout
    euclidean_loss:EuclideanLoss flatten:Flatten hdf5_data:HDF5Data hdf5_output:HDF5Output im2col:Im2col
    images:ImageData infogain_loss:InfogainLoss innerproduct:InnerProduct lrn:LRN
    multinomial_logistic_loss:MultinomialLogisticLoss pool:Pooling relu:ReLU sigmoid:Sigmoid softmax:Softmax
    softmax_loss:SoftmaxWithLoss split:Split tanh:TanH window_data:WindowData eltwise:Eltwise power:Power
    hinge_loss:HingeLoss memory_data:MemoryData argmax:ArgMax padding:Padding"""
)

SOLVER_TYPES = {
    "SGD": "SGD", "NESTEROV": "Nesterov", "ADAGRAD": "AdaGrad", "RMSPROP": "RMSProp", "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}  # fmt: skip

# Enum values may be written as numbers; the checks know only the names (caffe.proto).
ENUM_NUMBERS: dict[str, dict[int, str]] = {
    path: dict(enumerate(names.split(), first))
    for path, first, names in (
        ("phase", 0, "TRAIN TEST"),
        ("include.phase", 0, "TRAIN TEST"),
        ("exclude.phase", 0, "TRAIN TEST"),
        ("state.phase", 0, "TRAIN TEST"),
        ("pooling_param.pool", 0, "MAX AVE STOCHASTIC"),
        ("pooling_param.round_mode", 0, "CEIL FLOOR"),
        ("spp_param.pool", 0, "MAX AVE STOCHASTIC"),
        ("eltwise_param.operation", 0, "PROD SUM MAX"),
        ("lrn_param.norm_region", 0, "ACROSS_CHANNELS WITHIN_CHANNEL"),
        ("reduction_param.operation", 1, "SUM ASUM SUMSQ MEAN"),
        ("loss_param.normalization", 0, "FULL VALID BATCH_SIZE NONE"),
        ("hinge_loss_param.norm", 1, "L1 L2"),
        ("data_param.backend", 0, "LEVELDB LMDB"),
        ("solver_mode", 0, "CPU GPU"),
        ("solver_type", 0, "SGD NESTEROV ADAGRAD RMSPROP ADADELTA ADAM"),
        ("snapshot_format", 0, "HDF5 BINARYPROTO"),
    )
}


def current_type(written: str, version: int) -> str:
    """The current name of a layer type as written in a net of version 0 or 1; unknown names stay as they are."""
    if version == 0 and written in V0_TYPES:
        return V0_TYPES[written]
    return V1_TYPES.get(written, written)
