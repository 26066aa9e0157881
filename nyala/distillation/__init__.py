"""Training a small model to do as a large one does."""

from nyala.distillation.distiller import Distiller
from nyala.distillation.losses import DistillationLoss, FeatureDistillation, LogitsDistillation

__all__ = ["DistillationLoss", "Distiller", "FeatureDistillation", "LogitsDistillation"]
