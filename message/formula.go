package message

import (
	"fmt"
	"slices"
	"strings"
)

// computed replaces functions of numbers by what they come to.
func computed(value string) string {
	if strings.IndexByte(value, '(') < 0 {
		return value
	}
	for _, name := range []string{"-webkit-calc(", "calc(", "min(", "max(", "clamp("} {
		for from := 0; ; {
			i := strings.Index(value[from:], name)
			if i < 0 {
				break
			}
			i += from
			sum := formula{rest: value[i:]}
			n := sum.unit()
			if from = i + 1; sum.bad || i > 0 && isWord(value[i-1]) {
				continue
			}
			value = value[:i] + sum.text(n) + sum.rest
		}
	}
	return value
}

// formula is a sum of lengths or numbers as it is read.
type formula struct {
	rest  string
	depth int
	units bool // there was one
	bad   bool
}

func (f *formula) text(n float64) string {
	if n == 0 || !f.units {
		return fmt.Sprint(n)
	}
	return fmt.Sprint(n) + "px"
}

func (f *formula) sum() float64 {
	n := f.product()
	for !f.bad {
		f.rest = strings.TrimLeft(f.rest, " \t\r\n")
		switch {
		case strings.HasPrefix(f.rest, "+ "):
			f.rest = f.rest[1:]
			n += f.product()
		case strings.HasPrefix(f.rest, "- "):
			f.rest = f.rest[1:]
			n -= f.product()
		default:
			return n
		}
	}
	return n
}

func (f *formula) product() float64 {
	n := f.unit()
	for !f.bad {
		f.rest = strings.TrimLeft(f.rest, " \t\r\n")
		switch {
		case strings.HasPrefix(f.rest, "*"):
			f.rest = f.rest[1:]
			n *= f.unit()
		case strings.HasPrefix(f.rest, "/"):
			f.rest = f.rest[1:]
			n /= f.unit()
		default:
			return n
		}
	}
	return n
}

// unit is a number with its unit, a bracket, or a function.
func (f *formula) unit() float64 {
	f.rest = strings.TrimLeft(f.rest, " \t\r\n")
	open := strings.IndexByte(f.rest, '(')
	if open >= 0 && strings.IndexFunc(f.rest[:open], func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') }) < 0 {
		return f.function(f.rest[:open], open)
	}
	end := numberEnd(f.rest)
	for end < len(f.rest) && ('a' <= f.rest[end] && f.rest[end] <= 'z' || f.rest[end] == '%') {
		end++
	}
	n, unit, ok := px(f.rest[:end])
	f.units, f.bad = f.units || unit != "", f.bad || !ok
	f.rest = f.rest[end:]
	return n
}

func (f *formula) function(name string, open int) float64 {
	f.rest = f.rest[open+1:]
	if f.depth++; f.depth > 20 {
		f.bad = true
		return 0
	}
	args := []float64{f.sum()}
	for !f.bad && strings.HasPrefix(f.rest, ",") {
		f.rest = f.rest[1:]
		args = append(args, f.sum())
	}
	rest, closed := strings.CutPrefix(f.rest, ")")
	f.rest, f.bad = rest, f.bad || !closed
	switch {
	case name == "min":
		return slices.Min(args)
	case name == "max":
		return slices.Max(args)
	case name == "clamp" && len(args) == 3:
		return max(args[0], min(args[1], args[2]))
	case (name == "" || name == "calc" || name == "-webkit-calc") && len(args) == 1:
		return args[0]
	}
	f.bad = true
	return 0
}
