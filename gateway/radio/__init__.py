"""The sensor's side of the gateway: Bluetooth links, frames and sealed messages."""
