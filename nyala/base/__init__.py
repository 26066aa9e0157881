"""What every part of Nyala stands on: state, names, settings, configs, checks."""
