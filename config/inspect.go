package config

// Inspect is Load for those who look and do not act: beside the faults it gives what
// could be read, with defaults for the rest. The Config is never nil.
func Inspect(file string, explicit bool) (*Config, []Fault) { return load(file, explicit) }
