"""Text classifiers whose sequence shortens on its way through the network."""

from textclf.model import PlanFacts, TextClassifier, TextConfig, Trace

__all__ = ["PlanFacts", "TextClassifier", "TextConfig", "Trace"]
