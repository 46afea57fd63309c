// Command notices writes what a package says of the modules that are linked into its
// program: the Debian copyright file with every licence, and a bill of materials
// (CycloneDX). It fails where a module has no licence that it knows.
//
// It goes by "go list", so by vendor/ where that is, and by what is linked, not by
// go.mod. The same sources give the same bytes.
package main

import (
	"flag"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("notices: ")
	program := flag.String("package", "./cmd/o2n-milter", "the program's `PACKAGE`")
	version := flag.String("version", "dev", "the program's `VERSION`")
	copyright := flag.String("copyright", "", "write the copyright `FILE`")
	sbom := flag.String("sbom", "", "write the bill of materials to `FILE`")
	flag.Parse()
	modules, err := linked(".", *program)
	if err == nil && *copyright != "" {
		err = os.WriteFile(*copyright, copyrightFile(modules), 0o644)
	}
	if err == nil && *sbom != "" {
		err = os.WriteFile(*sbom, billOf(modules, *version), 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}
