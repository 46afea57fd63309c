package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// units of sizes: decimal as in SI, and by 1,024 (IEC 80000-13).
var units = map[string]int64{
	"B": 1, "": 1,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

const (
	wantSize = `a size from 1MB to 100TB, such as "64MB" or "1GiB"`
	minSize  = 1e6
	maxSize  = 100e12
)

// size reads a number of bytes: "64MB".
func size(s, _ string) (int64, error) {
	digits := strings.TrimRight(s, "BTGMKkbi")
	unit, known := units[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case err != nil || !known:
		return 0, errors.New("is no size")
	case n > math.MaxInt64/uint64(unit):
		return 0, errors.New("is out of range")
	}
	if b := int64(n) * unit; b >= minSize && b <= maxSize {
		return b, nil
	}
	return 0, errors.New("is out of range")
}
