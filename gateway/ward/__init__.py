"""Links, sensors and beds: from a sealed frame that arrives to a patient's screen and alarms."""
