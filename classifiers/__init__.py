"""Compact image classifiers: convolution kernels that share weights across channels."""

from classifiers.model import CompactCNN
from classifiers.networks import allow_network, create_network, list_networks
from classifiers.tie import tie, untie

__all__ = ["CompactCNN", "allow_network", "create_network", "list_networks", "tie", "untie"]
