"""Training on thick scans alone, and on thin ones if the cohort contains any.

train_cohort       complete training: from a folder of scans to a checkpoint with its card
distillation       one training step: which view learns from which data
training_recipes   named recipes: crops of a step and learning rates
training_report    the report folder of a training

scans/             training data: the cohort, cached scans, and crops with ground truth
objectives/        loss terms: predictions of the views, the published losses, mutual agreement
optimization/      the training loop, the optimizer step, process groups, and the state to resume from
validation/        evaluation of trained weights: held-out scans, view weights, the expected error
"""
