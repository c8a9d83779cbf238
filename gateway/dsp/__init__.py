"""Signal stages: arrays in, arrays or beats out; no clock, file, log or configuration object."""
