"""A virtual ward: ESP32 sensors with real or synthetic ECG on a virtual radio."""
