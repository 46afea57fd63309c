package desk

import (
	"slices"

	"o2n-milter/rules"
)

// Exemptible lists what a subject can be exempted from: the limits, automatic
// blocks, and rules.
func (d *Desk) Exemptible() []string {
	var ids []string
	for _, l := range d.Judge.Settings().Limits {
		ids = append(ids, "limit."+l.Name)
	}
	ids = append(ids, "block")
	for _, id := range rules.IDs() {
		if !slices.Contains(noExemption, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
