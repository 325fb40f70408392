//! Turn ONNX, GGUF and safetensors into programs.
