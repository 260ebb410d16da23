"""From examples to batches: order, splits, augmentation, the tf.data pipeline."""
