"""What every part of Nyala stands on: variables and the scope of their values, names, settings, configs, checks, nests."""
