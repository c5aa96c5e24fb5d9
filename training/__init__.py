"""What every training script shares: the loop, data sets, measuring. Knows no model."""
