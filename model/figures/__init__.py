"""The pictures of `model/README.md`: each module counts one thing and draws it."""
