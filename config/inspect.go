package config

import "slices"

// Inspect is Load for those who look and do not act: beside the faults it gives what
// could be read, with defaults for the rest. Whole is false when a file could not be
// read at all, so that nobody knows what is a default and what is not.
func Inspect(file string, explicit bool) (c *Config, faults []Fault, whole bool) {
	c, faults = load(file, explicit)
	lost := func(f Fault) bool { return f.Key == keyFile || f.Key == keySyntax }
	return c, faults, !slices.ContainsFunc(faults, lost)
}
