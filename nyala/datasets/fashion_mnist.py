"""Fashion-MNIST: 70,000 pictures of clothes in ten kinds (Xiao, Rasul, Vollgraf 2017; MIT licence)."""

from __future__ import annotations

from nyala.datasets._files import Arrays, cached, idx

_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def load_data() -> tuple[Arrays, Arrays]:
    """``(x_train, y_train), (x_test, y_test)``: images uint8 (n, 28, 28), labels uint8 (n,), n 60,000 and 10,000."""
    images, labels, test_images, test_labels = (
        idx(cached(f"fashion-mnist/{name}", name, md5), 3 if "images" in name else 1) for name, md5 in _MD5.items()
    )
    return (images, labels), (test_images, test_labels)
