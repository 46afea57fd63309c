package config

import "testing"

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"1MB": 1e6, "1000kB": 1e6, "1000KB": 1e6, "1000000": 1e6, "1000000B": 1e6, "1MiB": 1 << 20, "977KiB": 977 << 10,
		"64MB": 64e6, "2GB": 2e9, "2GiB": 2 << 30, "1TiB": 1 << 40, "100TB": 100e12,
	} {
		if got, err := size(text, ""); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "is no size", "MB": "is no size", "64 MB": "is no size", "64Mb": "is no size", "64M": "is no size", "-1MB": "is no size",
		"+1MB": "is no size", "1.5GB": "is no size", "1e6": "is no size", "0x10MB": "is no size", "1MBMB": "is no size", "1_000MB": "is no size",
		"0MB": "is out of range", "999999": "is out of range", "976KiB": "is out of range", "100000001MB": "is out of range",
		"9223372036854775807TB": "is out of range", "9223372036854775808": "is no size",
	} {
		if got, err := size(text, ""); err == nil || err.Error() != want {
			t.Errorf("%s: got %d, %v, want %s", text, got, err, want)
		}
	}
}

func FuzzSize(f *testing.F) {
	f.Add("64MB")
	f.Add("9223372036854775807TiB")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := size(text, ""); err == nil && (n < minSize || n > maxSize) {
			t.Errorf("%q is %d", text, n)
		}
	})
}
