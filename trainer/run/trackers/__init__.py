"""Where the records of metrics.jsonl go beside the file: TensorBoard, W&B and MLflow."""
