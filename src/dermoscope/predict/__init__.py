"""A bundle and images make predictions and answers, on ONNX Runtime."""
