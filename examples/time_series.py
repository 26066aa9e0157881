"""Forecast tomorrow's temperature from the last month's with an LSTM and with a convolution, beside saying "as today".

    python examples/time_series.py --backend tensorflow

Uses Melbourne's daily minima, 1981 to 1990, below $NYALA_DATA; else, and with --quick, a series that is made up here.
"""

from __future__ import annotations

from collections.abc import Sequence

import common
import numpy as np

import nyala as keras
from nyala import layers


def temperatures(quick: bool) -> np.ndarray:
    """Degrees by day: (days,)."""
    place = None if quick else common.find("daily-min-temperatures.csv", "timeseries/daily-min-temperatures.csv")
    if place:
        return np.loadtxt(place, delimiter=",", skiprows=1, usecols=1, dtype="float32")
    rng = np.random.default_rng(0)
    days = 800 if quick else 3650
    weather = np.zeros(days)
    for i in range(1, days):  # a warm week follows a warm one
        weather[i] = 0.9 * weather[i - 1] + rng.normal(0, 1)
    single_days = rng.normal(0, 2, days)
    return (11 + 4 * np.cos(np.arange(days) * 2 * np.pi / 365) + weather + single_days).astype("float32")


def lstm(window: int) -> keras.Model:
    return keras.Sequential([keras.Input((window, 1)), layers.LSTM(32), layers.Dense(1)], name="lstm")


def convolution(window: int) -> keras.Model:
    """Convolutions that see only what was before, each twice as far back."""
    model = keras.Sequential([keras.Input((window, 1))], name="convolution")
    for step in (1, 2, 4, 8):
        model.add(layers.Conv1D(24, 2, padding="causal", dilation_rate=step, activation="relu"))
    model.add(layers.Lambda(lambda x: x[:, -1]))
    model.add(layers.Dense(1))
    return model


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train both, draw their forecasts, and return the mean absolute error of each on the last fifth, in degrees."""
    args = common.options(__doc__, argv, epochs=(20, 6))
    degrees, window = temperatures(args.quick), 30
    train_end, test_start = int(0.7 * len(degrees)), int(0.8 * len(degrees))
    mean, deviation = degrees[:train_end].mean(), degrees[:train_end].std()
    series = (degrees - mean)[:, None] / deviation

    def windows(start: int, end: int, shuffle: bool = False) -> keras.utils.PyDataset:
        """Windows of days, and the day after each."""
        part = series[start:end]
        return keras.utils.timeseries_dataset_from_array(
            part[:-1], part[window:], window, batch_size=64, shuffle=shuffle, seed=0
        )

    train = windows(0, train_end, shuffle=True)
    validation, test = windows(train_end - window, test_start), windows(test_start - window, len(series))
    truth = degrees[test_start:]
    forecasts = {"as today": degrees[test_start - 1 : -1]}
    for model in (lstm(window), convolution(window)):
        model.compile(keras.optimizers.Adam(3e-3), loss="mae")
        stop = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
        model.fit(train, validation_data=validation, epochs=args.epochs, callbacks=[stop], verbose=2)
        forecasts[model.name] = model.predict(test, verbose=0)[:, 0] * deviation + mean
    errors = {name: float(np.abs(forecast - truth).mean()) for name, forecast in forecasts.items()}
    for name, error in errors.items():
        print(f"{name}: mean absolute error {error:.3f} degrees")

    figure, axes = common.subplots(figsize=(11, 4))
    axes.plot(truth[-90:], "k", label="truth")
    for name, forecast in forecasts.items():
        axes.plot(forecast[-90:], label=f"{name} ({errors[name]:.2f})", alpha=0.7)
    axes.set(title="the last 90 days", xlabel="day", ylabel="degrees")
    axes.legend()
    common.save(figure, args.out / "time_series.png")
    return errors


if __name__ == "__main__":
    main()
