"""Callbacks: what happens around training besides training."""

from nyala.training.callbacks.backup import BackupAndRestore
from nyala.training.callbacks.base import Callback
from nyala.training.callbacks.checkpoint import ModelCheckpoint
from nyala.training.callbacks.container import CallbackList
from nyala.training.callbacks.control import LambdaCallback, LearningRateScheduler, TerminateOnNaN
from nyala.training.callbacks.ema import SwapEMAWeights
from nyala.training.callbacks.experiments import MLflowCallback, WandbCallback
from nyala.training.callbacks.logging import CSVLogger, History, ProgbarLogger
from nyala.training.callbacks.monitor import EarlyStopping, ReduceLROnPlateau
from nyala.training.callbacks.orbax import OrbaxCheckpoint
from nyala.training.callbacks.remote import RemoteMonitor
from nyala.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "MLflowCallback",
    "ModelCheckpoint",
    "OrbaxCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "WandbCallback",
]
