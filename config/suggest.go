package config

import (
	"slices"
	"strings"
)

// wantAt lists the names that are known below a path.
func (r *reader) wantAt(parent []string) string {
	names := r.below(parent)
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// below gives the names known below a path, sorted.
func (r *reader) below(parent []string) []string {
	prefix := ""
	if len(parent) > 0 {
		prefix = schemaName(parent) + "."
	}
	var names []string
	for name := range r.keys {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			name, _, _ = strings.Cut(rest, ".")
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// suggest finds the known name that the unknown end of path is most like: a
// neighbour with a slip of the finger, or a key of that name in another table.
func (r *reader) suggest(path []string) string {
	last := strings.ToLower(path[len(path)-1])
	if len(last) > 64 { // nobody means a name by this; keep the work small
		return ""
	}
	best, far := "", 1+max(1, len(last)/3)
	for _, name := range r.below(path[:len(path)-1]) {
		if d := distance(last, name); d < far {
			best, far = name, d
		}
	}
	if best != "" {
		return best
	}
	var elsewhere []string
	for name := range r.keys {
		if strings.HasSuffix(name, "."+last) {
			elsewhere = append(elsewhere, name)
		}
	}
	slices.Sort(elsewhere)
	return strings.Join(elsewhere, " or ")
}

// distance counts the single letters to insert, delete, replace or swap with
// their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	older, old := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old = old, row
	}
	return old[len(b)]
}
