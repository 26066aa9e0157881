"""Where Nyala has what Keras, in any of its versions, keeps under a module path of its own.

Paths are written without the root: ``layers.core`` is ``keras.layers.core``, ``tf.keras.layers.core`` and so on.
"""

from __future__ import annotations

import re

KERAS_VERSION = "3.15.0"
"""The version that ``keras.__version__`` tells: the newest one whose names Nyala has."""

_ROOT = re.compile(
    r"""
    (?: tensorflow\.(?:python\.|compat\.v[12]\.|_api\.v2\.(?:compat\.v[12]\.)?)? keras | tf_keras | keras_core | keras )
    (?: \.(?: _tf_keras\.keras | _tf_keras | (?:src|api)(?:\.api)?(?:\._v[12])?(?:\.keras)? ) )*
    (?= \. | $ )""",
    re.VERBOSE,
)

_SPLIT_OFF = {
    "keras_preprocessing": "preprocessing",
    "keras_applications": "applications",
    "tensorflow_model_optimization": "tfmot",
}
"""Packages that stood beside Keras 2."""


def path_in_keras(module: str) -> str | None:
    """The path below the root of a Keras module, ``""`` for the root itself, ``None`` if it is no Keras module."""
    top, _, rest = module.partition(".")
    if top in _SPLIT_OFF:
        return f"{_SPLIT_OFF[top]}.{rest}".rstrip(".")
    found = _ROOT.match(module)
    return module[found.end() + 1 :] if found else None


HOMES = {
    "": ". models",
    "applications": "applications",
    "backend": "backend",
    "engine": "layers models . utils saving losses metrics",
    "experimental": "schedules callbacks models layers",
    "initializations": "compat.initializations initializers",
    "layers": "layers models layers.removed",
    "legacy": "layers models saving",
    "legacy.interfaces": "compat.interfaces",
    "legacy.saving": "legacy.saving",
    "mixed_precision": "mixed_precision config . optimizers",
    "models": "models saving",
    "optimizers.schedules": "schedules",
    "dtype_policies": "dtype_policies .",
    "preprocessing": "preprocessing utils",
    "preprocessing.image": "preprocessing.image utils",
    "preprocessing.timeseries": "preprocessing.sequence utils",
    "saving": "saving models utils",
    "tfmot": "",
    "tfmot.sparsity": "",
    "tfmot.sparsity.keras": "pruning",
    "utils": "utils saving models preprocessing losses",
    "utils.bounding_boxes": "utils.bounding_boxes",
    "utils.legacy": "utils.legacy",
    "wrappers": "wrappers",
    "wrappers.scikit_learn": "wrappers",
}
"""Module path -> the modules of Nyala in which a name is looked for, first to last; ``.`` is ``nyala`` itself.

A path that is not here has the module of Nyala with the same path as its only home.
"""

_SAME_AS = {
    "activations": "activations",
    "applications": """
        convnext densenet efficientnet efficientnet_v2 imagenet_utils inception_resnet_v2 inception_v3 mobilenet
        mobilenet_v2 mobilenet_v3 nasnet resnet resnet50 resnet_v2 vgg16 vgg19 xception""",
    "backend": "common config load_backend tensorflow_backend /backend_config",
    "callbacks": "callbacks callbacks_v1 callback_v1 experimental tensorboard_v1 tensorboard_v2",
    "constraints": "constraints",
    "engine": """
        base_layer base_layer_utils base_layer_v1 base_preprocessing_layer compile_utils data_adapter functional
        input_layer input_spec keras_tensor network node saving sequential topology training training_arrays
        training_generator training_utils training_v1""",
    "initializers": "constant_initializers initializer initializers initializers_v1 initializers_v2 random_initializers",
    "layers": """
        activation advanced_activations attention containers convolutional convolutional_recurrent core
        cudnn_recurrent dense_attention embeddings experimental experimental.preprocessing legacy local
        locally_connected merge merging noise normalization normalization_v2 pooling preprocessing
        preprocessing.image_preprocessing recurrent recurrent_v2 regularization reshaping rnn rnn_cell_wrapper_v2
        serialization wrappers /legacy.layers""",
    "losses": "loss losses losses_utils /losses_utils /utils.losses_utils /objectives",
    "metrics": """
        accuracy_metrics base_metric confusion_metrics f_score_metrics hinge_metrics iou_metrics metric metrics
        probabilistic_metrics reduction_metrics regression_metrics /utils.metrics_utils""",
    "mixed_precision": "experimental loss_scale_optimizer policy",
    "models": "cloning model models",
    "ops": "core image linalg math nn numpy operation operation_utils",
    "optimizers": """
        base_optimizer experimental gradient_descent legacy optimizer optimizer_experimental optimizer_v1 optimizer_v2 optimizers
        /optimizer /optimizer_v1 /optimizer_v2
        /optimizer_v2.gradient_descent /optimizer_v2.optimizer_v2 /optimizers.optimizer_v2.gradient_descent""",
    "optimizers.schedules": """
        learning_rate_schedule /optimizers.learning_rate_schedule /optimizer_v2.learning_rate_schedule""",
    "preprocessing": "dataset_utils image_dataset text_dataset",
    "preprocessing.image": "affine_transformations image_data_generator",
    "random": "random seed_generator",
    "regularizers": "regularizers",
    "saving": """
        hdf5_format legacy model_config object_registration save saved_model saving_api saving_lib serialization_lib
        /utils.saving_utils""",
    "utils": """
        all_utils audio_dataset conv_utils data_utils dataset_utils file_utils generic_utils image_dataset image_utils
        io_utils layer_utils model_visualization multi_gpu_utils np_utils numerical_utils sequence_utils text_dataset
        tf_utils timeseries_dataset tracking training_utils vis_utils visualize_util""",
}
SAME_AS = {
    path[1:] if path[0] == "/" else f"{target}.{path}": target
    for target, paths in _SAME_AS.items()
    for path in paths.split()
}
"""Older module path -> the path whose names it has. In the table above ``/`` begins a path from the root."""

RENAMED: dict[str, dict[str, str]] = {
    "applications": {
        "_obtain_input_shape": "compat.keras1.obtain_input_shape",
        "obtain_input_shape": "compat.keras1.obtain_input_shape",
    },
    "": {"version": "compat.names.keras_version"},
    "callbacks": {"BaseLogger": "callbacks.Callback"},
    "layers": {
        "AbstractRNNCell": "layers.Layer",
        "AtrousConv1D": "layers.Conv1D",
        "AtrousConv2D": "layers.Conv2D",
        "AtrousConvolution1D": "layers.Conv1D",
        "AtrousConvolution2D": "layers.Conv2D",
        "BatchNormalizationV1": "layers.BatchNormalization",
        "BatchNormalizationV2": "layers.BatchNormalization",
        "Convolution2D": "compat.old.Convolution2D",
        "Convolution3D": "compat.old.Convolution3D",
        "ConvRecurrent2D": "layers.ConvLSTM2D",
        "CuDNNGRU": "layers.GRU",
        "CuDNNLSTM": "layers.LSTM",
        "Deconv2D": "layers.Conv2DTranspose",
        "Deconv3D": "layers.Conv3DTranspose",
        "Deconvolution2D": "layers.Conv2DTranspose",
        "Deconvolution3D": "layers.Conv3DTranspose",
        "Merge": "compat.old.Merge",
        "_Merge": "compat.old.MergeLayer",
        "PreprocessingLayer": "layers.Layer",
        "Recurrent": "compat.recurrent.Recurrent",
        "_time_distributed_dense": "compat.recurrent.time_distributed_dense",
        "time_distributed_dense": "compat.recurrent.time_distributed_dense",
        "SyncBatchNormalization": "layers.BatchNormalization",
        "TimeDistributedDense": "layers.Dense",
        "TimeDistributedMerge": "compat.old.TimeDistributedMerge",
    },
    "engine": {
        "slice_X": "compat.keras1.slice_arrays",
        "Container": "models.Functional",
        "Network": "models.Functional",
        "Node": "graph.node.Node",
        "merge": "compat.old.merge",
    },
    "losses": {
        "Reduction": "compat.old.Reduction",
        "ReductionV2": "compat.old.Reduction",
        "cosine": "losses.cosine_similarity",
        "cosine_proximity": "losses.cosine_similarity",
    },
    "metrics": {
        "cosine_proximity": "losses.cosine_similarity",
        "fbeta_score": "metrics.older.fbeta_score",
        "fmeasure": "metrics.older.fmeasure",
        "matthews_correlation": "metrics.older.matthews_correlation",
        "precision": "metrics.older.precision",
        "recall": "metrics.older.recall",
    },
    "preprocessing.text": {"base_filter": "compat.keras1.base_filter"},
    "regularizers": {
        "ActivityRegularizer": "regularizers.L1L2",
        "WeightRegularizer": "regularizers.L1L2",
        "activity_l1": "regularizers.L1",
        "activity_l1l2": "regularizers.L1L2",
        "activity_l2": "regularizers.L2",
    },
    "utils": {
        "HDF5Matrix": "compat.old.HDF5Matrix",
        "accuracy": "compat.keras1.accuracy",
        "categorical_probas_to_classes": "compat.keras1.categorical_probas_to_classes",
        "convert_all_kernels_in_model": "compat.keras1.convert_all_kernels_in_model",
        "count_params": "compat.keras1.count_params",
        "has_arg": "compat.keras1.has_arg",
        "layer_from_config": "layers.deserialize",
        "print_summary": "compat.keras1.print_summary",
        "probas_to_classes": "compat.keras1.probas_to_classes",
        "slice_X": "compat.keras1.slice_arrays",
        "slice_arrays": "compat.keras1.slice_arrays",
        "to_graph": "utils.model_to_dot",
        "to_list": "compat.keras1.to_list",
        "unpack_singleton": "compat.keras1.unpack_singleton",
        "multi_gpu_model": "compat.old.multi_gpu_model",
        "plot": "utils.plot_model",
    },
    "models": {"Graph": "compat.recurrent.Graph", "model_from_config": "layers.deserialize"},
    "optimizers": {
        "LearningRateSchedule": "schedules.LearningRateSchedule",
        "OptimizerV2": "optimizers.Optimizer",
        "TFOptimizer": "compat.old.TFOptimizer",
    },
    "mixed_precision": {
        "Policy": "DTypePolicy",
        "global_policy": "config.dtype_policy",
        "set_policy": "config.set_dtype_policy",
        "set_global_policy": "config.set_dtype_policy",
    },
    "initializers": {
        "normal": "initializers.RandomNormal",
        "one": "initializers.Ones",
        "uniform": "initializers.RandomUniform",
        "zero": "initializers.Zeros",
    },
}
"""Names that Nyala has under another name, by the module whose homes they are looked up with."""

CALLED = {"layers.merge": "compat.old.merge"}
"""Modules that were functions in an earlier version, and may still be called."""

TREES = ("applications", "datasets", "ops", "preprocessing")
"""Packages of Nyala whose modules have the names that Keras's have."""


def keras_version() -> str:
    """``keras.version()``, by which libraries tell Keras 2 from Keras 3."""
    return KERAS_VERSION
