"""Where the classifier comes from: data set, splits, training, quantisation, scores.

Needs the "train" extra (TensorFlow); the gateway itself never imports this package.
"""
