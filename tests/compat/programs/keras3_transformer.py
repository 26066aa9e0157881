# As of 2024: the examples of keras.io in the manner of Keras 3 (a Transformer, nested models, callbacks, a ResNet block).
import keras
import numpy as np
from keras import layers, ops


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs):
        attn_output = self.dropout1(self.att(inputs, inputs))
        out1 = self.layernorm1(inputs + attn_output)
        return self.layernorm2(out1 + self.dropout2(self.ffn(out1)))


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = ops.shape(x)[-1]
        positions = self.pos_emb(ops.arange(start=0, stop=maxlen, step=1))
        return self.token_emb(x) + positions


inputs = layers.Input(shape=(10,))
x = TokenAndPositionEmbedding(10, 50, 8)(inputs)
x = TransformerBlock(8, 2, 16)(x)
x = layers.GlobalAveragePooling1D()(x)
outputs = layers.Dense(2, activation="softmax")(layers.Dropout(0.1)(x))
model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
tokens = np.random.randint(0, 50, (32, 10))
h = model.fit(tokens, tokens[:, 0] % 2, batch_size=8, epochs=2, validation_data=(tokens, tokens[:, 0] % 2), verbose=0)
assert {"accuracy", "val_accuracy"} <= set(h.history)

img = keras.Input(shape=(16, 16, 3), name="img")
x = layers.Conv2D(8, 3, activation="relu")(img)
block_1_output = layers.MaxPooling2D(3)(x)
x = layers.Conv2D(8, 3, activation="relu", padding="same")(block_1_output)
block_2_output = layers.add([layers.BatchNormalization()(x), block_1_output])
x = layers.GlobalAveragePooling2D()(block_2_output)
resnet = keras.Model(img, layers.Dense(3)(x), name="toy_resnet")


class LogsToList(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(f"epoch {epoch}")

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(sorted(logs))

    def on_test_end(self, logs=None):
        self.seen.append(self.model.name)


log = LogsToList()
resnet.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    metrics=["acc", keras.metrics.AUC(from_logits=True, name="auc")],
)
resnet.fit(
    np.random.rand(16, 16, 16, 3), keras.utils.to_categorical(np.arange(16) % 3, 3), batch_size=8, validation_split=0.5,
    callbacks=[log, keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))], verbose=0,
)
assert log.seen == ["epoch 0", ["acc", "auc", "loss"], "toy_resnet"], log.seen


def get_model():
    return keras.Sequential([keras.Input(shape=(16, 16, 3)), resnet, layers.Dense(1)])


members = [get_model() for _ in range(2)]
inputs = keras.Input(shape=(16, 16, 3))
ensemble = keras.Model(inputs, layers.average([m(inputs) for m in members]))
assert ensemble.predict(np.zeros((2, 16, 16, 3)), verbose=0).shape == (2, 1)
extract = keras.Model(resnet.input, [layer.output for layer in resnet.layers[1:]])
assert len(extract(np.zeros((1, 16, 16, 3), "float32"))) == len(resnet.layers) - 1
copy = keras.Model.from_config(resnet.get_config())
assert copy.count_params() == resnet.count_params()
