"""Trained networks as files that other programs read: ONNX, TorchScript, safetensors."""
