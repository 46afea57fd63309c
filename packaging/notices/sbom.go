package main

import (
	"encoding/json"
	"net/url"
	"strings"
)

// bill is a bill of materials, CycloneDX 1.5. It has neither a time nor a serial
// number: the same sources give the same bill.
type bill struct {
	Format   string `json:"bomFormat"`
	Spec     string `json:"specVersion"`
	Version  int    `json:"version"`
	Metadata struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type component struct {
	Type     string    `json:"type"`
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	PURL     string    `json:"purl"`
	Licenses []licence `json:"licenses,omitempty"`
}

type licence struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

// billOf is the bill of a program: itself, Go, and every module that is linked.
func billOf(modules []module, version string) []byte {
	b := bill{Format: "CycloneDX", Spec: "1.5", Version: 1}
	self := "pkg:deb/o2n-milter@" + url.PathEscape(version)
	b.Metadata.Component = component{Type: "application", Ref: self, Name: "o2n-milter", Version: version, PURL: self}
	on := dependency{Ref: self}
	for _, m := range modules {
		c := componentOf(m)
		b.Components = append(b.Components, c)
		on.On = append(on.On, c.Ref)
	}
	b.Dependencies = []dependency{on}
	raw, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(raw, '\n')
}

func componentOf(m module) component {
	purl := "pkg:golang/" + strings.ToLower(m.Path) + "@" + url.PathEscape(m.Version)
	c := component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
	for _, id := range m.licences() {
		var l licence
		l.License.ID = id
		c.Licenses = append(c.Licenses, l)
	}
	return c
}
