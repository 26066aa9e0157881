"""Old module paths and old names lead to Nyala's objects."""

from __future__ import annotations

import ast
import copy
import pickle

import numpy as np
import pytest

import nyala
import nyala.compat
import nyala.compat.initializations
import nyala.compat.keras1
from nyala import layers, losses, metrics, models, optimizers, schedules, utils
from nyala.compat import names, old
from nyala.compat.facade import exists, facade
from nyala.compat.program import formattable, needs_tensorflow

ROOTS = [
    "keras", "tensorflow.keras", "tf_keras", "keras_core", "tensorflow.python.keras", "tensorflow.compat.v1.keras",
    "tensorflow.compat.v2.keras", "keras.api", "keras.src", "keras._tf_keras.keras", "keras.api._v1.keras",
    "keras.api._v2.keras", "keras.src.api._v2.keras", "tensorflow.keras.api._v2.keras", "tf_keras.src",
    "tensorflow.python.keras.api._v1.keras", "tensorflow._api.v2.compat.v1.keras",
]  # fmt: skip


@pytest.mark.parametrize("root", ROOTS)
def test_roots(root: str) -> None:
    assert names.path_in_keras(root) == ""
    assert names.path_in_keras(f"{root}.layers.core") == "layers.core"


def test_helpers_of_keras_1(capsys: pytest.CaptureFixture[str]) -> None:
    from nyala.compat import keras1

    model = models.Sequential([layers.Input((5, 5, 1)), layers.Conv2D(1, 2, name="turned"), layers.Flatten()])
    before = model.layers[0].kernel.numpy()
    keras1.convert_all_kernels_in_model(model)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), before[::-1, ::-1])
    keras1.print_summary(model.layers)
    assert "turned" in capsys.readouterr().out and keras1.count_params(model.weights * 2) == 5
    assert list(keras1.probas_to_classes(np.array([[0.2], [0.7]]))) == [0, 1]
    assert keras1.has_arg(model.call, "training") and not keras1.has_arg(model.call, "nosuch", accept_all=False)
    assert keras1.to_list((1, 2)) == [(1, 2)] and keras1.unpack_singleton([3]) == 3
    assert [len(x) for x in keras1.slice_arrays([np.ones(5)] * 2, 1, 3)] == [2, 2] and keras1.slice_arrays(
        np.arange(4), [2]
    )[0] == 2
    assert list(keras1.probas_to_classes(np.eye(2))) == [0, 1] == list(keras1.categorical_probas_to_classes(np.eye(2)))
    assert keras1.accuracy(np.array([1, 2]), np.array([1, 3])) == 0.5
    assert facade("preprocessing.text").base_filter()[0] == "!"
    shape = facade("applications.imagenet_utils")._obtain_input_shape
    assert shape(None, 224, 32, "channels_last", True) == (224, 224, 3)
    assert shape(None, 224, 32, "channels_first", False) == (3, None, None) and shape((40, 40, 1), 224, 32) == (
        40,
        40,
        1,
    )
    for wrong in ((8, 40, 3), (40, 40), (None, 40, 3)):
        with pytest.raises(ValueError, match="obtain_input_shape"):
            shape(wrong, 224, 32)
    decorated = facade("legacy.interfaces").legacy_get_updates_support(len)
    assert decorated is len and facade("utils").legacy.deserialize_keras_object("relu", {"relu": len}) is len
    with nyala.utils.custom_object_scope({"mine": dict}):
        assert (
            facade("utils").legacy.deserialize_keras_object({"class_name": "mine", "config": {}}, {"mine": len}) == {}
        )


@pytest.mark.parametrize(
    "module", ["kerastuner", "keras_tuner.src", "tensorflow", "tensorflow.data", "tensorflow.kerasx"]
)
def test_other_modules_are_left_alone(module: str) -> None:
    assert names.path_in_keras(module) is None


def test_packages_beside_keras_2() -> None:
    assert names.path_in_keras("keras_preprocessing.sequence") == "preprocessing.sequence"
    assert names.path_in_keras("keras_applications") == "applications"


WHERE = {
    "": {"Sequential": models.Sequential, "Input": layers.Input, "Model": models.Model, "Layer": layers.Layer},
    "activations": {"relu": nyala.activations.relu},
    "backend.tensorflow_backend": {"set_session": nyala.backend.set_session},
    "callbacks": {"EarlyStopping": nyala.callbacks.EarlyStopping},
    "callbacks.experimental": {"ModelCheckpoint": nyala.callbacks.ModelCheckpoint},
    "constraints": {"max_norm": nyala.constraints.MaxNorm, "maxnorm": nyala.constraints.MaxNorm},
    "datasets.mnist": {"load_data": nyala.datasets.mnist.load_data},
    "engine": {"merge": old.merge, "Layer": layers.Layer, "InputSpec": layers.InputSpec, "Model": models.Model},
    "engine.base_layer": {"Layer": layers.Layer},
    "engine.sequential": {"Sequential": models.Sequential},
    "engine.topology": {"Layer": layers.Layer, "Input": layers.Input, "Network": models.Functional},
    "engine.training": {"Model": models.Model},
    "experimental": {"CosineDecay": schedules.CosineDecay},
    "initializations": {"uniform": nyala.compat.initializations.uniform},
    "initializers": {"glorot_uniform": nyala.initializers.GlorotUniform, "normal": nyala.initializers.RandomNormal},
    "initializers.initializers_v2": {"HeNormal": nyala.initializers.HeNormal},
    "layers": {"Dense": layers.Dense, "Convolution1D": layers.Conv1D, "MaxPool2D": layers.MaxPooling2D},
    "layers.advanced_activations": {"LeakyReLU": layers.LeakyReLU, "PReLU": layers.PReLU},
    "layers.convolutional": {"Conv2D": layers.Conv2D, "ZeroPadding2D": layers.ZeroPadding2D},
    "layers.core": {"Dense": layers.Dense, "Lambda": layers.Lambda, "Dropout": layers.Dropout},
    "layers.core.dense": {"Dense": layers.Dense},
    "layers.convolutional.conv2d": {"Conv2D": layers.Conv2D},
    "layers.embeddings": {"Embedding": layers.Embedding},
    "layers.experimental": {"SyncBatchNormalization": layers.BatchNormalization},
    "layers.experimental.preprocessing": {"Rescaling": layers.Rescaling, "PreprocessingLayer": layers.Layer},
    "layers.merge": {"add": layers.add, "Concatenate": layers.Concatenate},
    "layers.noise": {"GaussianNoise": layers.GaussianNoise},
    "layers.normalization": {"BatchNormalization": layers.BatchNormalization},
    "layers.normalization.layer_normalization": {"LayerNormalization": layers.LayerNormalization},
    "layers.pooling": {"MaxPooling2D": layers.MaxPooling2D},
    "layers.wrappers": {"TimeDistributed": layers.TimeDistributed},
    "losses": {"mse": losses.mse, "MSE": losses.mean_squared_error, "Reduction": old.Reduction},
    "metrics": {"Mean": metrics.Mean, "mse": metrics.mse},
    "mixed_precision": {"set_global_policy": nyala.config.set_dtype_policy, "Policy": nyala.DTypePolicy},
    "mixed_precision.experimental": {"set_policy": nyala.config.set_dtype_policy},
    "models": {"load_model": nyala.saving.load_model, "Model": models.Model},
    "objectives": {"mean_squared_error": losses.mean_squared_error},
    "ops": {"relu": nyala.ops.relu},
    "ops.numpy": {"add": nyala.ops.add},
    "optimizer_v2.adam": {"Adam": optimizers.Adam},
    "optimizer_v2.gradient_descent": {"SGD": optimizers.SGD},
    "optimizer_v2.learning_rate_schedule": {"ExponentialDecay": schedules.ExponentialDecay},
    "optimizers": {"adam": optimizers.Adam, "sgd": optimizers.SGD, "rmsprop": optimizers.RMSprop},
    "optimizers.adam_v2": {"Adam": optimizers.Adam},
    "optimizers.experimental": {"AdamW": optimizers.AdamW},
    "optimizers.legacy": {"Adam": optimizers.Adam},
    "optimizers.schedules": {"PiecewiseConstantDecay": schedules.PiecewiseConstantDecay},
    "regularizers": {"l2": nyala.regularizers.L2},
    "saving": {"register_keras_serializable": nyala.saving.register_keras_serializable},
    "utils": {"to_categorical": utils.to_categorical, "Sequence": utils.PyDataset},
    "utils.data_utils": {"get_file": utils.get_file, "Sequence": utils.PyDataset},
    "utils.generic_utils": {"Progbar": utils.Progbar, "CustomObjectScope": utils.CustomObjectScope},
    "utils.io_utils": {"HDF5Matrix": old.HDF5Matrix},
    "utils.losses_utils": {"ReductionV2": old.Reduction},
    "utils.np_utils": {"to_categorical": utils.to_categorical, "normalize": utils.normalize},
    "utils.training_utils": {"multi_gpu_model": old.multi_gpu_model},
}  # fmt: skip


@pytest.mark.parametrize("path", WHERE)
def test_names_are_the_same_objects(path: str) -> None:
    assert exists(path)
    for name, value in WHERE[path].items():
        assert getattr(facade(path), name) is value, name


@pytest.mark.parametrize("path", [*names.HOMES, *names.SAME_AS])
def test_every_path_of_the_table_is_below_one_that_exists(path: str) -> None:
    assert exists(path)
    assert exists(path.rpartition(".")[0])
    assert names.SAME_AS.get(names.SAME_AS.get(path, path)) is None, "the table points at a path that is elsewhere"


def test_attributes_are_modules_too() -> None:
    keras = facade("")
    assert keras.layers is facade("layers") and keras.optimizers.schedules is facade("optimizers.schedules")
    assert keras.layers.core.Dense is layers.Dense
    assert keras.layers.experimental.preprocessing.Rescaling is layers.Rescaling
    assert keras.utils.np_utils is facade("utils.np_utils")


def test_keras_says_a_version_of_keras() -> None:
    major, *_ = facade("").__version__.split(".")
    assert int(major) >= 3


def test_nothing_of_the_machinery_shows() -> None:
    for name in ("backends", "base", "graph", "compat", "training", "cli"):
        assert not exists(name)
        assert not hasattr(facade(""), name)
    assert not exists("layers.base") and not exists("layers._weights")


@pytest.mark.parametrize(
    ("path", "name", "near"),
    [("layers", "Dens", "Dense"), ("", "Sequentail", "Sequential"), ("optimizers", "Adamm", "Adam")],
)
def test_an_absent_name_says_what_is_near(path: str, name: str, near: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{name}'.*'{near}'"):
        getattr(facade(path), name)


def test_star_and_dir() -> None:
    assert {"Dense", "Conv2D", "SyncBatchNormalization"} <= set(facade("layers.core").__all__)
    assert "Sequential" in dir(facade("")) and "check" not in dir(facade("layers"))
    assert all(hasattr(facade("losses"), name) for name in facade("losses").__all__)


def test_modules_that_were_functions() -> None:
    assert isinstance(facade("optimizers.adam")(learning_rate=0.1), optimizers.Adam)
    with pytest.raises(TypeError, match=r"keras\.layers\.core"):
        facade("layers.core")()


def test_a_module_is_copied_as_itself() -> None:
    assert copy.copy(facade("utils")) is copy.deepcopy(facade("utils")) is facade("utils")
    assert not nyala.compat.installed(), "in the process of the tests, keras is Keras"


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("sum", [4.0, 6.0]), ("mul", [3.0, 8.0]), ("ave", [2.0, 3.0]), ("max", [3.0, 4.0]), ("concat", [1.0, 2.0, 3.0, 4.0]),
     ("dot", [11.0]), ("cos", [11 / np.sqrt(5 * 25)]), (lambda x: x[0] - x[1], [-2.0, -2.0])],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:keras.layers.merge")
def test_merge_of_keras_1(mode: object, wanted: list[float]) -> None:
    a, b = np.array([[1.0, 2.0]], "float32"), np.array([[3.0, 4.0]], "float32")
    found = facade("layers.merge")([a, b], mode=mode)
    np.testing.assert_allclose(nyala.ops.convert_to_numpy(found), [wanted], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Conv2D")
def test_convolutions_of_keras_1() -> None:
    made = old.Convolution2D(8, 3, 5, activation="relu")
    assert type(made) is layers.Conv2D and isinstance(made, old.Convolution2D) and made.kernel_size == (3, 5)
    assert old.Convolution2D(8, (3, 3), 2).strides == (2, 2)
    assert old.Convolution2D.from_config(made.get_config()).kernel_size == (3, 5)
    assert pickle.loads(pickle.dumps(old.Convolution3D)) is old.Convolution3D

    class Mine(old.Convolution2D):
        pass

    assert Mine.__mro__[1] is layers.Conv2D


def test_merge_names_its_modes() -> None:
    with pytest.raises(ValueError, match="'concat'"):
        old.merge([1, 2], mode="cat")


def test_reduction_of_keras_2() -> None:
    y = np.ones((2, 3), "float32")
    for reduction in old.Reduction.all():
        assert losses.MeanSquaredError(reduction=reduction)(y, y) is not None
    with pytest.raises(ValueError, match="Reduction"):
        old.Reduction.validate("max")


def test_hdf5_matrix(tmp_path: object) -> None:
    import h5py

    rows = np.arange(20.0).reshape(10, 2)
    with h5py.File(f"{tmp_path}/a.h5", "w") as file:
        file["x"] = rows
    matrix = old.HDF5Matrix(f"{tmp_path}/a.h5", "x", start=2, end=8, normalizer=lambda x: x / 2)
    assert matrix.shape == (6, 2) and len(matrix) == 6 and matrix.ndim == 2 and matrix.size == 12
    assert matrix.dtype == rows.dtype
    np.testing.assert_array_equal(matrix[[3, 0, 3]], rows[[5, 2, 5]] / 2)
    np.testing.assert_array_equal(np.asarray(matrix), rows[2:8] / 2)
    np.testing.assert_array_equal(matrix[1], rows[3] / 2)


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("import tensorflow as tf\ntf.constant(1)", True),
        ("import tensorflow as tf\nx = tf.keras.layers.Dense(1); print(tf.__version__)", False),
        ("import tensorflow\ntensorflow.data.Dataset", True),
        ("from tensorflow import keras", False),
        ("from tensorflow import keras, data", True),
        ("from tensorflow.keras import layers", False),
        ("from tensorflow.python.keras.layers import Dense", False),
        ("import tensorflow.compat.v1 as tf", True),
        ("import tensorflow.keras.backend as K\nK.clear_session()", False),
        ("import keras", False),
        ("from . import tensorflow", False),
    ],
)
def test_which_programs_were_written_for_tensorflow(source: str, answer: bool) -> None:
    assert needs_tensorflow(ast.parse(source)) is answer


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.array([1.0, 2.5]), "[1.00 2.50]"),
        (np.float32(1.5), "1.50"),
        (np.array(2.0), "2.00"),
        (np.ones((1, 1)), "[[1.00]]"),
    ],
)
def test_arrays_in_a_format(value: object, shown: str) -> None:
    assert f"{formattable(value):.2f}" == shown
