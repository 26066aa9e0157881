"""``nyala run`` behaves as ``python`` does, and the hook reaches every process of a program."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nyala import backends, cli
from nyala.compat import program

ROOT = str(Path(__file__).parents[2])


def run(folder: Path, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "nyala", "run", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_program_as_under_python(tmp_path: Path) -> None:
    """Arguments, paths, standard input, workers however they start, pickles, sources, output at exit, exit status."""
    (tmp_path / "helper.py").write_text("from keras.layers.core import Dense\n")
    (tmp_path / "data.txt").write_text("data")
    (tmp_path / "program.py").write_text("""
import atexit, inspect, multiprocessing, os, pickle, sys
import helper
from keras import layers

class Mine:
    pass

def work(n):
    return layers.Dense is helper.Dense, layers.Dense(n).units

if __name__ == "__main__":
    assert sys.argv == ["program.py", "--flag", "1"], sys.argv
    assert __file__ == os.path.abspath("program.py") and __spec__ is None
    assert sys.path[0] == os.path.dirname(os.path.realpath("program.py"))
    assert open("data.txt").read() == "data" and sys.stdin.read() == "in"
    assert type(pickle.loads(pickle.dumps(Mine()))) is Mine
    assert pickle.loads(pickle.dumps(layers)) is layers
    assert inspect.getsource(work).startswith("def work")
    assert not {"jax", "torch", "tensorflow"} & set(sys.modules)
    for how in ("spawn", "fork", "forkserver"):
        with multiprocessing.get_context(how).Pool(1) as pool:
            assert pool.map(work, [1, 2]) == [(True, 1), (True, 2)], how
    import numpy
    atexit.register(print, f"bye {numpy.ones(2):.1f} {1:>3} {'x'!r:<5}|")
    sys.exit(3)
""")
    done = run(tmp_path, "program.py", "--flag", "1", stdin="in")
    assert (done.returncode, done.stdout) == (3, "bye [1.0 1.0]   1 'x'  |\n"), done.stderr


def test_traceback_is_the_programs(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("def f():\n    raise ValueError('mine')\n\nf()\n")
    ours = run(tmp_path, "program.py")
    theirs = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ours.returncode == theirs.returncode == 1
    assert ours.stderr == theirs.stderr


def test_interrupt_and_hooks(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        # What a shell runs in its background ignores interrupts, and passes that on.
        "import os, sys, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nsys.excepthook = lambda kind, e, tb: print(kind.__name__, tb.tb_lineno)\n"
        "os.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(9)\n"
    )
    done = run(tmp_path, "program.py")
    assert done.returncode == -signal.SIGINT
    assert done.stdout.startswith("KeyboardInterrupt")


def test_modules_folders_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "__main__.py").write_text("import sys, keras; print(__name__, sys.argv[1:], keras.Model)")
    said = "__main__ ['a', '-b'] <class 'nyala.models.model.Model'>\n"
    assert run(tmp_path, "-m", "package", "a", "-b").stdout == said
    assert run(tmp_path, "package", "a", "-b").stdout == said
    assert run(tmp_path, "-", stdin="import sys; print(sys.argv)").stdout == "['-']\n"
    assert run(tmp_path, "absent.py").returncode == 2


def test_tensorflow_beside_its_keras(tmp_path: Path) -> None:
    """The real TensorFlow, loaded only when it is touched, with Nyala as its Keras under every name."""
    (tmp_path / "program.py").write_text("""
import os
os.environ["KERAS_BACKEND"] = "torch"
import sys
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.layers import Dense
import tensorflow.keras.backend as K
import matplotlib.cbook

assert tf.keras is keras and tf.keras.layers is layers and layers.Dense is Dense
assert tf.losses.MeanSquaredError is keras.losses.MeanSquaredError
assert matplotlib.cbook._is_tensorflow_array(1) is False
assert "tensorflow.python" not in sys.modules
assert keras.config.backend() == "torch"
try:
    from tensorflow.keras.layers import Dens
except ImportError as error:
    assert "'Dense'" in str(error)
else:
    assert False

assert tf.__version__ and int(tf.reduce_sum(tf.constant([1, 2]))) == 3
assert len(list(tf.data.Dataset.range(3))) == 3
assert tf.keras is keras and tf.optimizers.Adam is keras.optimizers.Adam and tf.initializers.Zeros and tf.metrics.Mean
assert tf.compat.v1.keras is keras and tf.compat.v2.keras is keras
from tensorflow.python import keras as deep
from tensorflow.python.keras.layers import Dense as deeper
import tensorflow.compat.v1.keras.layers as v1
assert deep is keras and deeper is Dense and v1 is layers
assert not [m for m in sys.modules if m.partition(".")[0] == "keras" and type(sys.modules[m]).__module__ != "nyala.compat.facade"]
print("done")
""")
    done = run(tmp_path, "program.py", NYALA_BACKEND="")
    assert done.stdout == "done\n", done.stderr


def test_without_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("""
import nyala.compat.tensorflow as hidden
others = hidden.spec_of_others
hidden.spec_of_others = lambda name, finder: None if name.startswith("tensorflow") else others(name, finder)
from tensorflow import keras
import tensorflow as tf
from tensorflow.python.keras.layers import Dense
from tensorflow.compat.v1 import keras as v1
import tensorboard.compat.notf
assert tf.keras.layers.Dense is Dense and v1 is keras and tf.losses.Huber
for touch in ("tf.data", "from tensorflow import data", "import tensorflow.data", "keras.utils.set_random_seed(1); "
              "import nyala; nyala.backends.get('tensorflow')"):
    try:
        exec(touch)
    except ModuleNotFoundError as error:
        assert "nyala[tensorflow]" in str(error), error
    else:
        assert False, touch
print("done")
""")
    done = run(tmp_path, "program.py")
    assert done.stdout == "done\n", done.stderr


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    jax = backends.get("jax")

    def get(name: str) -> object:
        if name == "torch":
            raise ModuleNotFoundError("backend 'torch' needs ...")
        return jax

    monkeypatch.setattr(backends, "get", get)
    monkeypatch.setattr(backends, "default_name", lambda: "jax")
    cli.main(["doctor"])
    said = capsys.readouterr().out
    assert "* jax: " in said and "cpu:0" in said and "  torch: backend 'torch' needs" in said
    monkeypatch.setattr(backends, "default_name", lambda: "torch")
    with pytest.raises(SystemExit):
        cli.main(["doctor"])


@pytest.mark.parametrize("arguments", [[], ["run"], ["nosuch"]])
def test_wrong_commands_say_so(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2 and "usage: nyala" in capsys.readouterr().err


LAYOUTS = {
    "m.add(Convolution2D(32, 3, 3, input_shape=(3, h, w)))": True,
    "m.add(Convolution2D(n, 1, k, k))": True,
    "m.add(Convolution2D(32, 3, 3, input_shape=(h, w, 3)))": False,
    "m.add(Convolution2D(32, 3, 3, 'uniform', input_shape=shape))": False,
    "m.add(Conv2D(32, 3, input_shape=(3, h, w)))": False,
    "K.set_image_dim_ordering('tf'); m.add(Convolution2D(32, 3, 3, input_shape=(3, h, w)))": False,
    "m.add(ZeroPadding2D(input_shape=(1, 8, 8))); m.add(Convolution2D(32, 3, 3, dim_ordering='tf'))": False,
}


@pytest.mark.parametrize("source", LAYOUTS)
def test_the_layout_a_program_of_keras_1_was_written_for(source: str) -> None:
    assert program.counts_channels_first(ast.parse(source)) == LAYOUTS[source]
