"""Evaluation results, the regression gate and model selection."""
