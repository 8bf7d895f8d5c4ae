"""One run, from configuration to record: built, trained, resumed, evaluated, pictured, loaded."""
