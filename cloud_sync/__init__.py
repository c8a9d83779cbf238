"""The second daemon: takes the gateway's outbox to an MQTT broker. It knows no cardiology."""
