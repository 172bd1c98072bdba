"""Learning from thick scans alone, and from thin ones where a cohort has them.

train_cohort       from a folder of scans to a checkpoint with its card: the whole story
distillation       one training step: which view learns from what
training_recipes   named recipes: which crops a step draws, and how fast the networks learn
training_report    the report folder of a training

scans/             what is learned from: the cohort, its cached scans, crops with a true answer
objectives/        what a step minimizes: the views' answers, the published losses, the mutual agreement
optimization/      how a step is taken: the loop, the optimizer, process groups, the state to resume from
validation/        what is measured on trained weights: held-out scans, view weights, the expected error
"""
