package replay

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// folder takes what is mail in a folder and all below it: everything in cur and new of
// a Maildir but hidden files, elsewhere what is called .eml or .mbox. Links are not
// followed.
func (x *Index) folder(root string) error {
	maildirs := map[string]bool{}
	inMaildir := func(path string) bool {
		dir := filepath.Dir(path)
		is, known := maildirs[dir]
		if !known {
			is = isMaildir(dir)
			maildirs[dir] = is
		}
		return is
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if x.ctx.Err() != nil {
			return x.ctx.Err()
		}
		if err != nil {
			x.failed(path, plain(err))
			return nil
		}
		name, dir := d.Name(), filepath.Dir(path)
		box := filepath.Base(dir)
		switch {
		case d.IsDir() && name == "tmp" && path != root && inMaildir(path):
			return filepath.SkipDir // half written
		case d.IsDir():
		case !d.Type().IsRegular():
			x.LeftOut++
		case strings.EqualFold(filepath.Ext(name), ".mbox"):
			x.file(path, false)
		case isEML(name), (box == "cur" || box == "new") && name[0] != '.' && inMaildir(dir):
			x.file(path, true)
		case inMaildir(path):
			// What an IMAP server keeps beside the mail: indexes, subscriptions.
		default:
			x.LeftOut++
		}
		return nil
	})
}

// isMaildir says whether a folder has what every Maildir has.
func isMaildir(dir string) bool {
	for _, name := range []string{"cur", "new"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

func isEML(name string) bool { return strings.EqualFold(filepath.Ext(name), ".eml") }
